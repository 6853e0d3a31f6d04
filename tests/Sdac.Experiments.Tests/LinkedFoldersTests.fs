/// Reports over folders with links and folders that cannot be read.
module Sdac.Experiments.Tests.LinkedFoldersTests

open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private run (path: string) =
    Files.createFolder path
    File.WriteAllText(Path.Combine(path, "spec.json"), "{}")
    path

let private link (path: string) (target: string) =
    Directory.CreateSymbolicLink(path, target) |> ignore
    path

let private any (warnings: string list) (parts: string list) =
    Expect.exists warnings (fun warning -> parts |> List.forall warning.Contains) $"%A{parts}"

[<Tests>]
let tests =
    testList
        "linked folders"
        [ testCase "links that lead back end the search and are named" (fun () ->
              inFolder (fun root ->
                  let at (name: string) = Path.Combine(root, name)
                  let runs = [ run (at "a/one"); run (at "b/two") ]
                  let here = link (at "a/here") "."
                  let up = link (at "b/up") ".."
                  let self = link (at "self") "self"
                  let ring = [ link (at "x") "y"; link (at "y") "x" ]
                  let lost = link (at "lost") "/nowhere/at/all"
                  let found, warnings = RunSearch.find [ root ]
                  Expect.equal found runs "runs"

                  for path in [ here; up ] do
                      any warnings [ $"{path} is a link back to" ]

                  for path in self :: lost :: ring do
                      any warnings [ $"{path} is a link that leads nowhere" ]

                  Expect.equal warnings.Length 6 "warnings"))

          testCase "folders that link to each other are looked at once" (fun () ->
              inFolder (fun root ->
                  let at (name: string) = Path.Combine(root, name)
                  let runs = [ run (at "a/one"); run (at "b/two"); run (at "z/three") ]

                  // without a memory of what was seen, each level would double the folders
                  for folder in [ "a"; "b" ] do
                      for i in 1..10 do
                          link (at $"{folder}/to-a{i}") "../a" |> ignore
                          link (at $"{folder}/to-b{i}") "../b" |> ignore

                  let first = link (at "0") "z"
                  let found, _ = RunSearch.find [ root; at "a" ]
                  Expect.equal found runs "runs"
                  // what is only given as a link is found through it
                  let found, _ = RunSearch.find [ first ]
                  Expect.equal found [ Path.Combine(first, "three") ] "run"))

          testCase "a folder that cannot be read is named, and the report goes on" (fun () ->
              if not (canRun "setpriv" [ "--reuid=65534"; "--clear-groups"; "true" ]) then
                  skiptest "this process may not become another user"

              inFolder (fun root ->
                  let runs, secret = Path.Combine(root, "runs"), Path.Combine(root, "runs", "secret")
                  run (Path.Combine(runs, "one")) |> ignore
                  Files.createFolder secret
                  let out = Path.Combine(root, "out")
                  File.SetUnixFileMode(secret, UnixFileMode.UserRead)
                  let all = enum<UnixFileMode> 0o755

                  for folder in [ root; runs ] do
                      File.SetUnixFileMode(folder, all)

                  let words = [ "setpriv"; "--reuid=65534"; "--clear-groups" ] @ host [ "--report"; runs; out ]

                  use running = startWith [ "HOME", root; "DOTNET_gcServer", "0" ] words
                  let code, error = ended running
                  Expect.equal code ((Storage "").ExitCode) "code"
                  // the only run is none that can be used; the folder did not end the search
                  Expect.stringContains error "there is no usable run" "error"
                  Expect.stringContains error $"no permission to read {secret}" "error")) ]
