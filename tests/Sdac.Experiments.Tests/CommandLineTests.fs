/// What users type: the scripts' options, and the folders in which things happen.
module Sdac.Experiments.Tests.CommandLineTests

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions
open System.Threading.Tasks
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let internal started (folder: string) (variables: (string * string) list) (program: string) (arguments: string list) =
    let info = ProcessStartInfo(program, arguments, WorkingDirectory = folder)
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true
    info.RedirectStandardInput <- true

    for name, value in variables do
        info.Environment[name] <- value

    use running = Process.Start info |> nonNull
    running.StandardInput.Close()
    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()
    running.ExitCode, output, errors.Result

let private script name = Path.Combine(repository, "scripts", name)

let private commandLine file = Path.Combine(repository, "src", "Sdac.Experiments", "CommandLine", file)

/// The compiled program behind the scripts.
let private program = typeof<Spec>.Assembly.Location

/// Exit code and standard error of a command.
let private said (arguments: string list) =
    inFolder (fun path ->
        let code, _, errors = started path [] "dotnet" (program :: arguments)
        code, errors)

/// The options of a command with their attributes and types, read from its source.
let private options (file: string) =
    [ for line in File.ReadAllLines(commandLine file) do
          let found =
              Regex.Match(line, @"^ {4,8}\| (\[<(?<with>.*?)>\] )?(?<name>[A-Z]\w*)( of ((\w+): )?(?<type>.+))?$")

          if found.Success then
              found.Groups["name"].Value, found.Groups["with"].Value, found.Groups["type"].Value.Trim() ]

/// May be given several times.
let private repeatable =
    Map
        [ "Train.fs", [ "Set"; "Option" ]
          "SweepCommand.fs", [ "Sbatch" ]
          "ToyCommand.fs", [ "Target"; "Method" ]
          "OneStateCommand.fs", [ "Method" ]
          "BranchCommands.fs", [ "Set"; "Seed_Of" ] ]

/// A copy of build.sh in a repository where everything is built, with programs that only write down what they are asked.
let internal inBuilt (test: string -> string -> (string * string) list -> unit) =
    inFolder (fun path ->
        let built, caller, programs =
            Path.Combine(path, "built"), Path.Combine(path, "caller"), Path.Combine(path, "bin")

        for folder in [ built; caller; programs ] do
            Directory.CreateDirectory folder |> ignore

        for folder in [ "src"; "tests"; "scripts"; "artifacts"; ".paket" ] do
            Directory.CreateDirectory(Path.Combine(built, folder)) |> ignore

        let hashes = "src/Sdac.Experiments/CommandLine/scripts.sha256"

        for file in
            [ "build.sh"; "paket.lock"; "Sdac.Functional.sln"; "Directory.Build.props"; hashes ]
            @ [ for file in Directory.GetFiles(script "", "*.fsx") -> "scripts/" + string (Path.GetFileName file) ] do
            let copy = Path.Combine(built, file)
            Directory.CreateDirectory(string (Path.GetDirectoryName copy)) |> ignore
            File.Copy(Path.Combine(repository, file), copy)

        for program, body in
            [ "dotnet",
              $"pwd >>'{path}/asked'; printf '%%s\\n' \"$@\" >>'{path}/asked'; printf '%%s' \"$SDAC_ENTRANCE\" >'{path}/entrance'"
              "gcc", ""
              "npm", ""
              "node", ""
              "dpkg-query", "printf 'install ok installed'" ] do
            let file = Path.Combine(programs, program)
            File.WriteAllText(file, "#!/bin/bash\n" + body)
            File.SetUnixFileMode(file, UnixFileMode.UserRead ||| UnixFileMode.UserExecute)

        File.WriteAllText(Path.Combine(built, ".paket", "Paket.Restore.targets"), "")
        File.WriteAllText(Path.Combine(built, "artifacts", "built"), "SDAC_MUJOCO_INCLUDE= \n")

        let variables =
            [ "PATH", programs + ":" + Environment.GetEnvironmentVariable "PATH"
              "NUGET_SOURCE", "somewhere"
              "SDAC_MUJOCO_INCLUDE", ""
              "NUGET_PACKAGES", Path.Combine(path, "packages") ]

        test built caller variables)

let private times (folder: string) =
    [ for entry in Directory.GetFileSystemEntries(folder, "*", SearchOption.AllDirectories) |> Array.sort ->
          entry, File.GetLastWriteTimeUtc entry ]

[<Tests>]
let tests =
    testList
        "the command line"
        [ testCase
              "every option that takes one value is refused when it is given twice, and takes = or a blank"
              (fun () ->
                  let files =
                      Directory.GetFiles(commandLine "", "*.fs")
                      |> Array.map (Path.GetFileName >> string)
                      |> Array.filter (fun file -> File.ReadAllText(commandLine file).Contains "IArgParserTemplate")

                  Expect.isGreaterThan files.Length 7 "commands"

                  for name in files do
                      let several = Map.tryFind name repeatable |> Option.defaultValue []
                      let found = options name
                      Expect.isNonEmpty found name

                      for option, attributes, ty in found do
                          if not (ty.EndsWith "list") then
                              if not (List.contains option several || attributes.Contains "ExactlyOnce") then
                                  Expect.stringContains attributes "Unique" $"{name}: {option}"

                              if ty <> "" && not (attributes.Contains "MainCommand") then
                                  Expect.stringContains attributes "EqualsAssignmentOrSpaced" $"{name}: {option}")

          testCase
              "negative numbers are values, options given twice and impossible numbers are one sentence each"
              (fun () ->
                  let cases: (string list * int * string list) list =
                      [ [ "train"; "--seed=-5"; "--envs"; "0"; "--steps"; "100" ],
                        3,
                        [ "environments is 0"; "at least 1" ]
                        [ "train"; "-s"; "-5"; "--steps=-100" ], 3, [ "environment steps is -100"; "at least 1" ]
                        [ "train"; "--seed"; "1"; "-s"; "2" ], 2, [ "--seed"; "./build.sh train --help" ]
                        [ "train"; "--set"; "tau=0.1"; "--set=config.critics.tau=0.2" ],
                        2,
                        [ "--set"; "tau"; "2 times" ]
                        [ "train"; "--task=Hopper-v4"; "--option=terrain=mine.xml" ],
                        3,
                        [ "Hopper-v4"; "no option terrain"; "reset_noise_scale" ]
                        [ "evaluate"; "--seed=-5"; "--run=nowhere" ], 4, [ "no run folder nowhere" ]
                        [ "toy"; "--seed=-5"; "--target=nowhere" ], 3, [ "nowhere" ]
                        [ "sweep"; "--spec=nowhere.json"; "--sbatch"; "--partition=long" ], 4, [ "nowhere.json" ]
                        [ "envs"; "--seconds=-1" ], 3, [ "--seconds is -1" ]
                        [ "envs"; "--environments=0" ], 3, [ "--environments is 0" ]
                        [ "train"; "--lr"; "3" ], 2, [ "no option --lr: did you mean --set learningRate=VALUE?" ]
                        [ "train"; "--n_envs=3" ], 2, [ "did you mean --set environments=VALUE?" ]
                        [ "train"; "--env"; "Hopper-v4" ], 2, [ "did you mean --task?"; "./build.sh train --help" ]
                        [ "evaluate"; "--rnu"; "a" ], 2, [ "did you mean --run?" ]
                        [ "trian" ], 2, [ "trian"; "did you mean 'train'?" ]
                        [], 2, [ "train, evaluate" ] ]

                  for arguments, code, parts in cases do
                      let foundCode, errors = said arguments
                      let command = String.concat " " arguments
                      Expect.equal (foundCode, errors.Trim().Split('\n').Length) (code, 1) $"{command}: {errors}"

                      for part in parts do
                          Expect.stringContains errors part command)

          testCase "processes that want the same name at the same time get one each" (fun () ->
              inFolder (fun path ->
                  let wanted = Path.Combine(path, "runs", "pendulum-seed0")
                  let names = Array.zeroCreate 200
                  Parallel.For(0, names.Length, fun i -> names[i] <- RunFolder.unused wanted) |> ignore
                  Expect.equal (Array.distinct names).Length names.Length "names"

                  Expect.equal
                      (Set.ofArray names)
                      (Set(wanted :: [ for i in 2 .. names.Length -> $"{wanted}-{i}" ]))
                      "numbered on"

                  for name in names do
                      Expect.isTrue (Directory.Exists name) name

                  // a folder that has just been made is taken as it is
                  let folder = RunFolder.create names[0] false
                  Expect.equal folder.Path names[0] "path"))

          testCase
              "build.sh runs its programs where the caller is, and writes nothing where everything is built"
              (fun () ->
                  inBuilt (fun built caller variables ->
                      let before = times built

                      let compiled = Path.Combine(built, "src/Sdac.Experiments/bin/Release/Sdac.Experiments.dll")
                      let program = Path.Combine(built, "tests/Sdac.Benchmarks/bin/Release/Sdac.Benchmarks.dll")

                      for words, expected in
                          [ [ "train" ], [ compiled; "train" ]
                            [ "train"; "--" ], [ compiled; "train" ]
                            [ "one-state"; "--" ], [ compiled; "one-state" ]
                            [ "watch" ], [ compiled; "watch" ]
                            [ "bench" ], [ program ] ] do
                          let command = String.concat " " words
                          let asked = Path.Combine(built, "..", "asked")
                          File.Delete asked

                          let code, _, errors =
                              started
                                  caller
                                  variables
                                  "bash"
                                  (Path.Combine(built, "build.sh") :: words @ [ "--config"; "my file.json" ])

                          Expect.equal (code, errors) (0, "") command

                          Expect.equal
                              (List.ofArray (File.ReadAllLines asked))
                              (caller :: expected @ [ "--config"; "my file.json" ])
                              command

                      Expect.equal (times built) before "the repository"))

          testCase "an edited script is what its command runs" (fun () ->
              inBuilt (fun built caller variables ->
                  let asked = Path.Combine(built, "..", "asked")
                  let runs command = started caller variables "bash" [ Path.Combine(built, "build.sh"); command ]
                  let fsi name = [ caller; "fsi"; "--exec"; Path.Combine(built, "scripts", name); "--" ]
                  File.AppendAllText(Path.Combine(built, "scripts", "train.fsx"), "\n// mine")
                  let code, _, errors = runs "train"
                  Expect.equal (code, List.ofArray (File.ReadAllLines asked)) (0, fsi "train.fsx") "the edited one"
                  Expect.stringContains errors "train.fsx" "said"
                  Expect.stringLacks errors "\u001b" "no bold where no terminal is"
                  File.Delete asked
                  let _, _, errors = runs "evaluate"
                  Expect.equal (errors, (File.ReadAllLines asked).Length) ("", 3) "the others are as they were"
                  File.AppendAllText(Path.Combine(built, "scripts", "sdac.fsx"), "\n// mine")
                  File.Delete asked
                  runs "evaluate" |> ignore
                  Expect.equal (List.ofArray (File.ReadAllLines asked)) (fsi "evaluate.fsx") "what all scripts load"))

          testCase "build.sh hands on how it was called" (fun () ->
              inBuilt (fun built caller variables ->
                  let root = string (Path.GetDirectoryName caller)

                  for folder, line, called in
                      [ caller, "../built/build.sh train", "../built/build.sh"
                        caller, $"bash '{built}/build.sh' train", $"{built}/build.sh"
                        built, "bash build.sh train", "./build.sh" ] do
                      let code, _, errors = started folder variables "bash" [ "-c"; line ]
                      Expect.equal (code, errors) (0, "") line
                      Expect.equal (File.ReadAllText(Path.Combine(root, "entrance"))) called line

                  let _, usage, _ = started caller variables "bash" [ "-c"; "../built/build.sh" ]
                  Expect.stringStarts usage "usage: ../built/build.sh COMMAND" "the list of commands"
                  let _, _, errors = started caller variables "bash" [ "-c"; "../built/build.sh xyz" ]
                  Expect.stringContains errors "../built/build.sh alone lists" "a wrong word"))

          testCase "sentences and usage texts name commands as they were typed" (fun () ->
              inFolder (fun path ->
                  let run = Path.Combine(path, "run")

                  let tiny =
                      [ "train"
                        "--preset"
                        "tiny"
                        "--task"
                        "InvertedPendulum-v4"
                        "--iterations"
                        "4"
                        "--quiet"
                        "--out"
                        run ]

                  Expect.equal (said tiny |> fst) 0 "a run"

                  for called, shown in [ "", "./build.sh"; "../a b/build.sh", "'../a b/build.sh'" ] do
                      let says (arguments: string list) =
                          let _, output, errors =
                              started path [ Entrance.Variable, called ] "dotnet" (program :: arguments)

                          output + errors

                      for arguments, part in
                          [ [ "report"; "--runs"; Path.Combine(run, "checkpoints") ],
                            $"folders that `{shown} train` has made"
                            [ "evaluate"; "--run"; "a b" ], $"`{shown} train --out 'a b'`"
                            [ "watch"; path ], $"the folder that `{shown} train --out` made"
                            [ "train"; "--set"; "zebra=1" ], $"`{shown} train --settings ALGORITHM`"
                            [ "train"; "--zebra" ], $"(all options: {shown} train --help)"
                            [ "sweep"; "--help" ], $"{shown} sweep ["
                            tiny @ [ "--overwrite" ], $"{shown} watch {run}" ] do
                          let text = says arguments
                          let command = String.concat " " arguments
                          Expect.stringContains text part command
                          Expect.stringLacks text ".fsx" command))

          testCase "the checksums of the scripts are those of the scripts" (fun () ->
              let sums = File.ReadAllLines(commandLine "scripts.sha256")

              let thin =
                  [ for file in Directory.GetFiles(script "", "*.fsx") do
                        if file.EndsWith "sdac.fsx" || File.ReadAllText(file).Contains "Main.script" then
                            let sum = Security.Cryptography.SHA256.HashData(File.ReadAllBytes file)
                            $"{Convert.ToHexStringLower sum}  {Path.GetFileName file}" ]

              Expect.equal
                  (Set sums)
                  (Set thin)
                  "after editing a script: (cd scripts && sha256sum NAME.fsx), into src/Sdac.Experiments/CommandLine/scripts.sha256")

          testCase
              "build.sh names the command that a wrong word is nearest to, and every command has a help of its own"
              (fun () ->
                  inBuilt (fun built caller variables ->
                      let runs words = started caller variables "bash" (Path.Combine(built, "build.sh") :: words)

                      for word, meant in [ "trian", "train"; "evalute", "evaluate"; "cuda", "cuda-check" ] do
                          let code, _, errors = runs [ word ]
                          Expect.equal code 1 word
                          Expect.stringContains errors $"did you mean '{meant}'" word

                      let code, _, errors = runs [ "xyz" ]
                      Expect.equal code 1 "nothing like it"
                      Expect.stringLacks errors "did you mean" "nothing like it"

                      runs [ "train"; "-h" ] |> ignore
                      let asked = File.ReadAllLines(Path.Combine(built, "..", "asked"))
                      Expect.equal (Array.last asked) "--help" "the short form"
                      let _, usage, _ = runs []

                      for command in [ "test"; "setup"; "setup-tests"; "setup-watch"; "build"; "cuda-check" ] do
                          let code, help, errors = runs [ command; "--help" ]
                          Expect.equal (code, errors) (0, "") command
                          Expect.stringContains usage (help.TrimEnd()) command
                          Expect.stringContains help command command))

          testCase "build.sh itself refuses arguments of commands that could only say so after seconds" (fun () ->
              inBuilt (fun built caller variables ->
                  let runs words = started caller variables "bash" (Path.Combine(built, "build.sh") :: words)
                  let asked = Path.Combine(built, "..", "asked")

                  for words, part in
                      [ [ "mutants"; "--foo" ], "there is no option --foo of mutants"
                        [ "mutants"; "dqs"; "--seed" ], "--seed lacks its value"
                        [ "pack"; "--version"; "1.2.0"; "--to" ], "there is no option --to of pack"
                        [ "pack"; "--out" ], "--out lacks its value"
                        [ "setup"; "--all" ], "setup takes no arguments: leave out '--all'"
                        [ "setup-watch"; "now" ], "leave out 'now'"
                        [ "setup-tests"; "now" ], "leave out 'now'"
                        [ "build"; "Release" ], "leave out 'Release'" ] do
                      let command = String.concat " " words
                      let code, _, errors = runs words
                      Expect.equal (code, errors.Trim().Split('\n').Length) (1, 1) $"{command}: {errors}"
                      Expect.stringContains errors part command
                      Expect.isFalse (File.Exists asked) $"{command} starts no program"

                  // right ones come through
                  let code, _, errors = runs [ "pack"; "--version"; "1.2.0"; "--out"; "my folder" ]
                  Expect.equal (code, errors) (0, "") "pack"

                  Expect.equal
                      (File.ReadAllLines asked
                       |> Array.skip 3
                       |> Array.skipWhile (_.EndsWith("pack.fsx") >> not)
                       |> Array.tail)
                      [| "--version"; "1.2.0"; "--out"; "my folder" |]
                      "pack's arguments"

                  File.Delete asked
                  let usage = "tests/mutants/usage.txt"
                  Directory.CreateDirectory(Path.Combine(built, "tests/mutants")) |> ignore
                  File.Copy(Path.Combine(repository, usage), Path.Combine(built, usage))

                  for flag in [ "--help"; "-h" ] do
                      let code, help, _ = runs [ "mutants"; flag ]
                      Expect.equal (code, help) (0, File.ReadAllText(Path.Combine(repository, usage))) flag
                      Expect.isFalse (File.Exists asked) "help starts no program"))

          testCase "a command that could not begin leaves no folder" (fun () ->
              inFolder (fun path ->
                  for arguments in
                      [ [ "fork"; "nowhere"; "--at"; "3" ]
                        [ "fork"; "nowhere"; "--at"; "3"; "--set"; "particles=1" ]
                        [ "train"; "--task"; "Hoper-v4" ] ] do
                      let code, _, errors = started path [] "dotnet" (program :: arguments)
                      Expect.notEqual code 0 errors
                      Expect.isEmpty (Directory.GetFileSystemEntries path) (String.concat " " arguments)

                  let mine = Directory.CreateDirectory(Path.Combine(path, "runs"))
                  started path [] "dotnet" [ program; "train"; "--task"; "Hoper-v4" ] |> ignore
                  mine.Refresh()
                  Expect.isTrue mine.Exists "a folder that was there before"
                  Expect.isEmpty (mine.GetFileSystemInfos()) "what is in it"))

          testCase "an empty value, and what is said twice, are refused" (fun () ->
              let refused words (arguments: string list) =
                  let code, errors = said arguments
                  Expect.notEqual code 0 errors
                  Expect.stringContains errors words (String.concat " " arguments)

              refused "train: --out is empty" [ "train"; "--out"; "" ]
              refused "evaluate: --run is empty" [ "evaluate"; "--run=" ]
              refused "fork: argument 1 is empty" [ "fork"; ""; "--at"; "3" ]
              let twice = "say the same thing twice: give one of them"

              refused
                  $"--iterations and --set iterations {twice}"
                  [ "train"; "--iterations"; "3"; "--set"; "iterations=4" ]

              refused $"--task and --set task {twice}" [ "train"; "--set"; "task=Hopper-v4"; "--task"; "Ant-v4" ]

              refused
                  $"--envs and --set environments {twice}"
                  [ "train"; "--set"; "data.environments=2"; "--envs"; "2" ]

              refused "envs: --seconds is NaN" [ "envs"; "--seconds"; "NaN" ])

          testCase "a model's file named from where the user is, is found from anywhere" (fun () ->
              inFolder (fun path ->
                  let model = Path.Combine(repository, "src", "Sdac.Mujoco", "Models", "inverted_pendulum.xml")
                  File.Copy(model, Path.Combine(path, "mine.xml"))
                  File.WriteAllText(Path.Combine(path, "config.json"), """{"taskOptions":{"xml_file":"mine.xml"}}""")
                  let short = [ "--preset"; "tiny"; "--iterations"; "2"; "--threads"; "1"; "--quiet" ]

                  let code, _, errors =
                      started
                          path
                          []
                          "dotnet"
                          ([ program; "train"; "--config"; "config.json"; "--out"; "run" ] @ short)

                  Expect.equal code 0 errors
                  let run: RunFolder = { Path = Path.Combine(path, "run") }
                  let whole = Path.Combine(path, "mine.xml")

                  Expect.equal
                      (SpecFile.ofRun standard run).TaskOptions
                      (Map [ "xml_file", whole ])
                      "of a configuration"

                  // of a sweep, from where these tests are run
                  let here = Path.GetRelativePath(Environment.CurrentDirectory, whole)

                  let sweep =
                      SweepSpec.parse
                          standard
                          "sweep.json"
                          $"""{{"name": "mine", "preset": "tiny", "base": {{"taskOptions": {{"xml_file": "{here}"}}}}}}"""

                  let _, spec = SweepSpec.plan standard sweep |> List.head
                  Expect.equal spec.TaskOptions (Map [ "xml_file", whole ]) "of a sweep"))

          testCase "--quiet leaves out the progress, and no warning" (fun () ->
              inFolder (fun path ->
                  let short = [ "--iterations"; "2"; "--threads"; "1"; "--set"; "warmUp=10"; "--set"; "batchSize=20" ]
                  let quiet = [ program; "train"; "--quiet"; "--preset"; "tiny"; "--out"; "run" ] @ short
                  let code, output, errors = started path [] "dotnet" quiet
                  Expect.equal code 0 errors
                  Expect.stringContains errors "batchSize is 20, and the replay memory starts with 10" "the warning"
                  Expect.isFalse (output.Contains "updates,") "what a run says beforehand"))

          testCase "failures are told apart by their types, not by their words" (fun () ->
              let shown (error: exn) = captureError (fun () -> Script.run "x.fsx" (fun () -> raise error))

              let missing = (Missing "").ExitCode
              let code, text = shown (Sdac.LibTorch.MissingLibraryException "libtorch fehlt: Abhilfe")
              Expect.equal (code, text.Trim()) (missing, "x.fsx: libtorch fehlt: Abhilfe") "ours says its own remedy"
              let code, text = shown (DllNotFoundException "libx.so: see build.sh of another project")
              Expect.equal code missing "any other"
              Expect.stringContains text "a native library is missing" "any other"
              let code, text = shown (ArgumentException "Span only supports up to int.MaxValue elements.")
              Expect.equal code (Settings "").ExitCode "a tensor too large for an array"
              Expect.stringContains text "choose fewer particles" "what to do about it"

              inFolder (fun path ->
                  let spec = Runs.varied 5L

                  let run (error: exn) =
                      let stop: Stage<ActorCriticState, Update> = fun _ -> raise error
                      let out = Runs.into (Path.Combine(path, error.GetType().Name)) 1
                      fun () -> captureOutput (fun () -> Runner.compose stop Sdac.algorithm spec out) |> ignore

                  // a stage's own complaint is no divergence, whatever words are in it
                  Expect.raises<ArgumentException>(run (ArgumentException "give a finite number of widgets"))
                  |> ignore

                  (failureOf (run (Sdac.Environments.ActionException "component 0 is NaN"))).IsDiverged
                  |> Flip.Expect.isTrue "an action that is not finite")) ]
