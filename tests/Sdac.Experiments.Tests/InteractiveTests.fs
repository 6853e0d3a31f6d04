/// Training in a session.
module Sdac.Experiments.Tests.InteractiveTests

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private bits (step: Step<'s, 'w>) = Round.tensors step |> List.map Tensors.toArray |> Array.concat

/// The recipes' session, cut out of its section.
let private session =
    let readme = File.ReadAllText(Path.Combine(repository, "scripts", "README.md"))
    (Regex.Match(readme, "## In an interactive session.*?```fsharp\n(.*?)```", RegexOptions.Singleline)).Groups[1].Value

/// What `dotnet fsi` prints for these lines: its exit code, output and errors.
let private played (lines: string) : int * string * string =
    let info = ProcessStartInfo("dotnet", [ "fsi"; "--nologo"; "--quiet" ], WorkingDirectory = repository)
    info.RedirectStandardInput <- true
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true

    for desktop in [ "DISPLAY"; "WAYLAND_DISPLAY" ] do
        info.Environment.Remove desktop |> ignore

    match Process.Start info |> Option.ofObj with
    | None -> failwith "dotnet did not start"
    | Some fsi ->
        use fsi = fsi
        let errors = fsi.StandardError.ReadToEndAsync()
        fsi.StandardInput.Write(lines + "\n#quit;;\n")
        fsi.StandardInput.Close()
        let output = fsi.StandardOutput.ReadToEnd()
        fsi.WaitForExit()
        fsi.ExitCode, output, errors.Result

[<Tests>]
let tests =
    testList
        "sessions"
        [ testCase "a session goes on from any step, and parts make the whole" (fun () ->
              let start = Interactive.start (experimentOf (Runs.varied 100L))

              try
                  let before = bits start
                  let first, points = Interactive.run 7 Pipeline.sdac start
                  let second, more = Interactive.run 8 Pipeline.sdac first
                  // the start once more, in one go; nothing of it was used up
                  Expect.equal (bits start) before "bits"
                  let whole, all = Interactive.run 15 Pipeline.sdac start
                  Expect.equal (bits second) (bits whole) "bits"
                  Expect.equal (points @ more) all "points"
                  Expect.equal (all |> List.map _.Iteration) [ 1L .. 15L ] "iteration of all"
                  // and from the middle once more
                  let again, _ = Interactive.run 8 Pipeline.sdac first
                  Expect.equal (bits again) (bits second) "bits"

                  let episodes = all |> List.sumBy _.Episodes.Length
                  Expect.equal (Interactive.returns all).Subtitle $"{episodes} training episodes" "the returns"

                  match
                      [ for layer in Picture.layers (Interactive.curve "critic loss" "q1Loss" all) -> layer.Mark ]
                  with
                  | [ Mark.Line(_, losses) ] ->
                      let told =
                          [ for point in all do
                                for figures in Option.toList point.Figures -> float point.Iteration, figures["q1Loss"] ]

                      Expect.isNonEmpty told "updates"
                      Expect.equal losses told "the losses"
                  | other -> failtest $"%A{other}"

                  for step in [ first; second; whole; again ] do
                      Round.tensorsNotIn start step |> List.iter _.Dispose()
              finally
                  Pipeline.dispose start)

          testCase "what a session shows fits on a few lines, and says what there is" (fun () ->
              let start = Interactive.start (experimentOf (Runs.varied 100L))

              try
                  let step, points = Interactive.run 12 Pipeline.sdac start

                  let shown =
                      [ sprintf "%A" step, [ "iteration 12,"; "environment steps"; "q1Loss" ]
                        sprintf "%A" step.State, [ "after "; "updates"; "parameters" ]
                        sprintf "%A" step.State.Policy, [ string (step.State.Policy.Flat.numel ()); "parameters" ]
                        sprintf "%A" step.Agent, [ "evaluateQ"; "rssmUpdate" ]
                        sprintf "%A" step.Key, [ "Key 0" ]
                        sprintf "%A" Sdac.algorithm, [ "sdac"; "quick" ]
                        sprintf "%A" (Experiment.preset "quick" Sdac.algorithm), [ "InvertedPendulum-v4"; "seed 0" ]
                        sprintf "%A" (Interactive.returns points), [ "picture: Returns" ]
                        Interactive.describePoints points, [ "iterations 1 to 12"; "q1Loss" ]
                        Interactive.describePoints [], [ "no iterations" ]
                        Interactive.describeTensor step.State.Policy.Flat, [ "Float32 on cpu"; "mean" ] ]

                  for text, parts in shown do
                      Expect.isLessThanOrEqual (text.Split('\n').Length) 5 text

                      for part in parts do
                          Expect.stringContains text part part

                  let small = Tensors.ofArray Compute.cpu [ 2 ] [| 0.5f; -1.0f |]
                  Expect.equal (Interactive.describeTensor small) "tensor [2] Float32 on cpu: 0.5, -1" "numbers"
                  small.Dispose()
                  Expect.stringContains (Interactive.describeTensor small) "disposed" "disposed"

                  let picture =
                      Plot.compare
                          "Losses"
                          "iterations"
                          "loss"
                          [ "first", Interactive.values "q1Loss" points; "none", [] ]

                  Expect.equal [ for layer in Picture.layers picture -> layer.Name ] [ "first" ] "curves with points"
                  Expect.equal (Plot.titled "Mine" picture).Title "Mine" "title"
                  Round.tensorsNotIn start step |> List.iter _.Dispose()
              finally
                  Pipeline.dispose start)

          testCase "the state of every algorithm, a long curve and a policy are shown in a line each" (fun () ->
              let networks (value: 'a) = Interactive.describeNetworks (nonNull (box value)) |> Option.ofObj

              for algorithm in Registry.all standard do
                  algorithm.Open
                      { new IOpen<int> with
                          member _.Open algorithm =
                              let start = Interactive.start (Experiment.preset "tiny" algorithm)

                              try
                                  let shown =
                                      networks start.State |> Option.defaultWith (fun () -> sprintf "%A" start.State)

                                  Expect.isLessThanOrEqual (shown.Split('\n').Length) 5 $"{algorithm.Name}: {shown}"
                                  Expect.stringContains shown "parameters" algorithm.Name

                                  if algorithm.Name = "td3" then
                                      Expect.stringEnds shown "Updates 0" "its numbers"

                                  Expect.equal (networks start) None "a step says itself"
                                  0
                              finally
                                  Pipeline.dispose start }
                  |> ignore

              Expect.equal (networks 3, networks [ 1 ]) (None, None) "shown as they are"
              Expect.equal (networks { X = (0.0, 1.0); Y = (0.0, 1.0); Value = 1.0 }) None "a record without networks"

              Expect.equal
                  (Interactive.describeCurve [ for i in 1..9 -> float i, float ((i - 4) * (i - 4)) ])
                  "9 points from (1, 9) to (9, 25), lowest (4, 0), highest (9, 25)"
                  "a long curve"

              let short = [ for i in 1..5 -> float i, 0.0 ]
              Expect.equal (Interactive.describeCurve short |> Option.ofObj) None "a short one as it is"

              inFolder (fun path ->
                  captureOutput (fun () -> Runner.run standard (Runs.varied 5L) (Runs.into path 1)) |> ignore
                  use policy = Policy.load path
                  let shown = Interactive.describePolicy policy
                  Expect.stringContains shown $"policy for {(Runs.varied 5L).Task}, " "policy"
                  Expect.stringLacks shown "\n" "policy"))

          testCase "the session of the recipes runs as it stands there, and prints a few lines" (fun () ->
              Expect.stringContains session ("#load \"scripts/sdac.fsx\"") "session"
              let code, output, errors = played session

              Expect.isNotMatch (errors.ToLowerInvariant()) "error|exception" "what is printed to standard error"
              Expect.equal (Regex.Matches(output, "picture").Count) 2 "number of output"
              Expect.stringContains output "after 200 iterations" "output"
              Expect.isLessThan (output.Split('\n').Length) 40 $"lines of: {output}"
              Expect.equal code 0 "exit code")

          testCase "an error in a session is its sentence, and the session goes on" (fun () ->
              let lines =
                  [ "Experiment.on Sdac.algorithm \"Hoper-v4\" |> Interactive.start", "There is no task Hoper-v4"
                    "Experiment.preset \"quik\" Sdac.algorithm", "no preset 'quik'"
                    "Experiment.preset \"tiny\" Sdac.algorithm |> Experiment.configure (fun c -> { c with Data.BatchSize = 0 }) |> Interactive.start",
                    "batchSize is 0"
                    "Experiment.preset \"tiny\" Sdac.algorithm |> Interactive.start |> Pipeline.rssmUpdate",
                    "put `collect`"
                    "Policy.load \"runs/nowhere\"", "cannot read runs/nowhere"
                    "Tensors.ofArray Compute.cpu [ 2; 3 ] [| 1f |]", "needs 6 values, not 1"
                    "Tensors.scoped (fun (t: Tensor) -> [ t ]) (fun () -> (Tensors.zeros Compute.cpu [ 2; 3 ]).mm (Tensors.zeros Compute.cpu [ 2; 3 ]))",
                    "cannot be multiplied" ]

              let start = "#load \"scripts/sdac.fsx\"\nopen Sdac.Functional\nopen Sdac.Experiments;;\n"

              let code, output, errors =
                  played (
                      start + String.concat "" [ for line, _ in lines -> line + ";;\n" ] + "printfn \"%d\" (6 * 7);;\n"
                  )

              let shown = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)

              for _, sentence in lines do
                  Expect.exists shown (fun (line: string) -> line.Contains sentence) sentence

              let others = shown |> Array.filter (fun line -> line.Trim() <> "Stopped due to error")
              Expect.equal others.Length lines.Length $"one line each: {errors}"
              Expect.stringContains output "42" "the session goes on"
              Expect.equal code 0 "exit code") ]
