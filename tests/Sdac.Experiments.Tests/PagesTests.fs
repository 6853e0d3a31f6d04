/// What the README and the pages beside the sources say: commands that run, links that lead somewhere, code that is in the scripts.
module Sdac.Experiments.Tests.PagesTests

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

let private pages =
    [ Path.Combine(repository, "README.md")
      Path.Combine(repository, "CHANGES.md")
      for folder in [ "src"; "scripts"; "tests" ] do
          yield!
              Directory.GetFiles(Path.Combine(repository, folder), "*.md", SearchOption.AllDirectories)
              |> Array.filter (fun file -> not (Regex.IsMatch(file, "/(bin|obj|node_modules)/"))) ]

/// The code blocks of a language.
let private blocks (language: string) (page: string) =
    [ for found in Regex.Matches(File.ReadAllText page, $"```{language}\n(.*?)```", RegexOptions.Singleline) ->
          found.Groups[1].Value ]

/// The words of each `./build.sh` line, without its comment.
let private commands (page: string) =
    [ for block in blocks "sh" page do
          for line in block.Split('\n') do
              match
                  List.ofArray ((Regex.Replace(line, @"\s#.*$", "")).Split(' ', StringSplitOptions.RemoveEmptyEntries))
              with
              | "./build.sh" :: words -> words
              | _ -> () ]

/// Those that Main.program knows, with the same words in the usage text of build.sh.
let private programs =
    let listed = File.ReadAllText(Path.Combine(repository, "build.sh"))
    let scripts = Regex.Match(listed, @"\n    (train \| [^)]*)\) build; run_script").Groups[1].Value
    set ("watch" :: List.ofArray (scripts.Split " | "))

/// A command of the README as a test can afford it: in a folder, on few iterations.
let private shrunk (folder: string) (words: string list) : string list =
    let within (word: string) =
        if
            word.StartsWith("runs/", StringComparison.Ordinal)
            || word.EndsWith(".json", StringComparison.Ordinal)
        then
            Path.Combine(folder, word)
        else
            word

    let rec fewer (words: string list) =
        match words with
        | ("--iterations" | "--at" as option) :: count :: rest -> option :: string (int count / 150) :: fewer rest
        | word :: rest -> within word :: fewer rest
        | [] -> []

    let given option = List.contains option words

    match fewer words with
    | "train" :: _ as words when not (given "--settings" || given "--resume" || given "--help") ->
        words
        @ (if given "--iterations" then [] else [ "--iterations"; "40" ])
        @ (if given "--out" then
               []
           else
               [ "--out"; RunFolder.unused (Path.Combine(folder, "runs", "unnamed")) ])
        @ [ "--set"; "warmUp=200"; "--set"; "evaluationEpisodes=1"; "--quiet" ]
    | "report" :: _ as words -> words @ [ "--out"; Path.Combine(folder, "page") ]
    | words -> words

[<Tests>]
let tests =
    testList
        "pages"
        [ testCase "every relative link of every page leads to a file" (fun () ->
              for page in pages do
                  for found in Regex.Matches(File.ReadAllText page, @"\]\((?!https?:|#)([^)#]+)") do
                      let target = Path.Combine(string (Path.GetDirectoryName page), found.Groups[1].Value)
                      Expect.isTrue (File.Exists target || Directory.Exists target) $"{page}: {found.Groups[1].Value}")

          testCase
              "every test that the derivation of RSSM names is in the file that it leads to, and every step names one"
              (fun () ->
                  let page = Path.Combine(repository, "src", "Sdac.Sampling", "RSSM.md")
                  let text = File.ReadAllText page

                  let files =
                      Map
                          [ for found in Regex.Matches(text, @"(?m)^\[(\w+)\]: (\S+)$") ->
                                let file = Path.Combine(string (Path.GetDirectoryName page), found.Groups[2].Value)
                                found.Groups[1].Value, File.ReadAllText file ]

                  let named (part: string) =
                      [ for found in Regex.Matches(part, @"\[\*([^*]+)\*\]\[(\w+)\]") ->
                            Regex.Replace(found.Groups[1].Value, @"\s+", " "), files[found.Groups[2].Value] ]

                  for name, file in named text do
                      Expect.stringContains file $"\"{name}\"" "a test's name"

                  let steps =
                      Regex.Split(text[.. text.IndexOf "\n## On a density"], @"\n\*\*\d\. ")
                      |> List.ofArray
                      |> List.tail

                  Expect.hasLength steps 5 "steps"

                  for step in steps do
                      Expect.isNonEmpty (named step) step

                  // a name that is no link is one that nothing checks
                  Expect.isNotMatch text @"Tests?: \*" "names that lead nowhere")

          testCase "the README is no longer than 250 lines" (fun () ->
              Expect.isLessThanOrEqual (File.ReadAllLines pages.Head).Length 250 "lines")

          testCase "the README's experiment stands in the script that it quotes" (fun () ->
              let script = File.ReadAllText(Path.Combine(repository, "scripts", "compose.fsx"))
              let quoted = blocks "fsharp" pages.Head |> List.filter _.Contains("Experiment.on")
              Expect.equal quoted.Length 1 "quotations"

              for line in quoted.Head.Split('\n') do
                  Expect.stringContains script (line.Trim()) "a line of the README")

          testCase "every option that a page names belongs to its command" (fun () ->
              let help =
                  [ for command in programs do
                        let code, text = captureOutput (fun () -> Main.program [| command; "--help" |])
                        Expect.equal code 0 command
                        command, text ]
                  |> Map

              for page in pages do
                  for words in commands page do
                      match Map.tryFind words.Head help with
                      | None ->
                          let usage = File.ReadAllText(Path.Combine(repository, "build.sh"))
                          Expect.isMatch usage $@"\n  {Regex.Escape words.Head}( |\n)" $"{page}: {words}"
                      | Some text ->
                          for word in words.Tail do
                              if word.StartsWith("--", StringComparison.Ordinal) then
                                  Expect.isMatch
                                      (text + " --help")
                                      $@"{Regex.Escape(word.Split('=')[0])}(?![\w-])"
                                      $"{page}: {words}")

          testCase "build.sh takes every command of the README, also those within sentences" (fun () ->
              let inSentences =
                  [ for found in Regex.Matches(File.ReadAllText pages.Head, @"`\./build\.sh ([^`]+)`") ->
                        List.ofArray (found.Groups[1].Value.Split ' ') ]

              let all =
                  commands pages.Head @ inSentences
                  |> List.filter (fun words -> words.Head <> "COMMAND")
                  |> List.distinct

              let names = all |> List.map List.head |> set

              for name in [ "train"; "test"; "watch"; "setup-watch"; "pack"; "check"; "bench"; "toy" ] do
                  Expect.isTrue (names.Contains name) name

              CommandLineTests.inBuilt (fun built caller variables ->
                  let player = "src/Sdac.Experiments/Watching/player"
                  Directory.CreateDirectory(Path.Combine(built, player)) |> ignore

                  for file in Directory.GetFiles(Path.Combine(repository, player)) do
                      File.Copy(file, Path.Combine(built, player, string (Path.GetFileName file)))

                  File.WriteAllText(Path.Combine(caller, "my-density.fsx"), "")

                  for words in all do
                      let code, _, errors =
                          CommandLineTests.started caller variables "bash" (Path.Combine(built, "build.sh") :: words)

                      Expect.equal code 0 $"""{String.concat " " words}: {errors}"""))

          testCase "the README's commands run, one after the other" (fun () ->
              WatchTests.withPlayer (fun folder ->
                  for block in blocks "json" pages.Head do
                      let name = (Regex.Match(block, "\"name\": \"(\\w+)\"")).Groups[1].Value
                      let small = Regex.Replace(block, "\"iterations\": \\d+", "\"iterations\": 7, \"warmUp\": 100")
                      File.WriteAllText(Path.Combine(folder, $"{name}.json"), small)

                  for words in commands pages.Head do
                      if programs.Contains words.Head then
                          let words = shrunk folder words

                          let words =
                              if words.Head = "sweep" then
                                  words @ [ "--out"; Path.Combine(folder, "runs", "particles") ]
                              else
                                  words

                          let (code, _), said =
                              captureError (fun () -> captureOutput (fun () -> Main.program (Array.ofList words)))

                          Expect.equal code 0 $"""{String.concat " " words}: {said}""")) ]
