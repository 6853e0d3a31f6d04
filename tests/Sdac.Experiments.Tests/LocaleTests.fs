/// The same texts and files whatever the language of the machine.
module Sdac.Experiments.Tests.LocaleTests

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text.RegularExpressions
open System.Threading.Tasks
open Expecto
open Sdac.Functional
open Sdac.Sampling
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

// ---- a run

let private spec = { Runs.varied 60L with Seed = -5L }

/// What the clock and the machine decide.
let private timeless (text: string) = Regex.Replace(text, @"(?m)^.*(wall-clock|peak memory|\d steps/s).*\n", "")

/// The texts that a run prints and writes, by name.
let private runTexts (folder: string) : Map<string, string> =
    let path = Path.Combine(folder, "run")

    let _, trained =
        captureOutput (fun () -> Runner.run standard spec { RunOptions.into path with Overwrite = true; Threads = 1 })

    let _, evaluated = captureOutput (fun () -> Evaluate.run standard path None (Some 3) (Some -7L) 1)
    let page = Path.Combine(folder, "report.html")
    Report.write standard [ path ] page |> ignore
    let run: RunFolder = { Path = path }

    Map
        [ "trained", timeless trained
          "evaluated", evaluated
          "summary", Runs.summaryOf run
          for file in [ run.Spec; run.Metrics; run.Curve ] do
              file, File.ReadAllText file
          for file in
              Directory.GetFiles(folder, "*.svg")
              |> Array.filter (fun file -> not (file.Contains "memory" || file.Contains "time")) do
              file, File.ReadAllText file
          for file in Directory.GetFiles(folder, "*final*.md") do
              file, File.ReadAllText file ]

// ---- sentences

/// What an action complains about.
let private complaint (action: unit -> unit) =
    try
        action ()
        "nothing"
    with error ->
        error.Message

let private wrongSpec =
    let change (c: SdacConfig) =
        { c with
            Critics.Discount = 1.5
            Data.BatchSize = -1
            Hidden = [ -2 ]
            Diffusion.TimeDim = -3
            Energy.QScale = -0.5
            Policy.PolicyDecayBegin = -4L
            Policy.PolicyDecayLength = -5L
            Temperature.TargetEntropyPerDim = nan
            Data.BufferCapacity = -6 }

    { configured change spec with
        EvaluateEvery = -1L
        EvaluationEpisodes = -2
        CheckpointEvery = -3L
        CheckpointsKept = -4
        LogEvery = -5L
        Iterations = -6L
        Horizon = -7L }

let private wrongSweep =
    { Sweep.create "s" "quick" with
        Tasks = [ "Hopper-v4" ]
        Schema = -1
        Seeds = [ -3L; -3L ]
        Settings =
            { List = []
              Grid = Map.empty
              Random =
                { Count = 1
                  Seed = -1L
                  Ranges = Map [ "tau", Range.Uniform(1.5, -0.5); "rewardScale", Range.LogUniform(-1.5, 2.5) ] } } }

let private sentences () : string list =
    [ complaint (fun () -> SpecCheck.validate standard "" wrongSpec |> ignore)
      String.concat "; " (Sweep.problems wrongSweep)
      String.concat
          "; "
          (SdacConfig.problems
              { SdacConfig.published with
                  Diffusion.BetaSchedule = BetaSchedule.Linear 1e-9
                  Diffusion.Timesteps = 2 })
      String.concat
          "; "
          (DpmdConfig.problems { DpmdConfig.published with Diffusion.BetaSchedule = BetaSchedule.Linear -1.5 })
      complaint (fun () -> Key.foldIn -1L (Key.ofSeed 0L) |> ignore)
      complaint (fun () -> Target.create "t" -1 2.0 id |> ignore)
      complaint (fun () -> Target.create "t" 2 -1.5 id |> ignore)
      complaint (fun () -> NormalInterval.create 1.5 -0.5 |> ignore)
      complaint (fun () -> Replay.create -1 2 3 -4 |> ignore)
      complaint (fun () -> Philox.Uniform(PhiloxKey(1u, 2u, 3u, 4u), -1L, Span [| 0.0f |]))
      complaint (fun () -> Workers.Threads <- -1)
      complaint (fun () -> new VecEnv(Tasks.Create "Hopper-v4", -2) |> ignore)
      complaint (fun () ->
          (using (new Env(Tasks.Create "Reacher-v4")) (fun env -> env.Step(ReadOnlySpan [| 0.0; nan |]))))
      complaint (fun () ->
          (using (new Env(Tasks.Create "Reacher-v4")) (fun env -> env.Step(ReadOnlySpan [| -infinity; 0.0 |]))))
      complaint (fun () ->
          Trace.parse "t" """{"env":"Hopper-v4","actions":[["NaN"]]}"""
          |> fun trace -> Trace.replay trace ignore ignore)
      Progress.line
          20_000L
          4000.0
          { Activity = Activity.Updates
            Iteration = 1_500L
            EnvSteps = 3_000L
            StepsPerSecond = 1234.5
            RecentReturn = -12.34
            Headlines = [ "critic", nan; "policy", -1e-7; "λ", 0.25 ] }
      SweepSpec.print { wrongSweep with Name = "printed" }
      String.concat
          " "
          [ for run in Sweep.expand { Sweep.create "s" "quick" with Tasks = [ "Hopper-v4" ]; Seeds = [ -3L ] } ->
                run.Name ] ]

// ---- scripts

/// What a command prints with a language of the machine.
let private printed (language: string) (input: string) (arguments: string list) : Task<string> =
    task {
        let info = ProcessStartInfo("dotnet", arguments, WorkingDirectory = repository)
        info.RedirectStandardInput <- true
        info.RedirectStandardOutput <- true
        info.RedirectStandardError <- true
        info.Environment["LC_ALL"] <- language
        // the tests' own process has no cultures, but scripts have
        info.Environment.Remove "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT" |> ignore

        match Process.Start info with
        | null -> return failtest "dotnet did not start"
        | running ->
            use running = running
            do! running.StandardInput.WriteAsync input
            running.StandardInput.Close()
            let errors = running.StandardError.ReadToEndAsync()
            let! output = running.StandardOutput.ReadToEndAsync()
            let! errors = errors
            return output + errors
    }

/// Two scripts' commands and what sessions do, in one session: the scripts are no more than their commands.
let private session (config: string) (run: string) =
    $$"""#load "scripts/sdac.fsx";;
open Sdac.Experiments;;
let half = System.Double.Parse "1.5";;
printfn $"{-1234.5:N1} {-1} {0.5} {half}";;
let other = System.Threading.Thread(fun () -> printfn $"on another thread {-0.5}");;
other.Start();;
other.Join();;
Script.run "session" (fun () -> Errors.fail (Settings $"tau is {-0.5}"));;
let command name words = Main.script name "scripts" (Array.ofList words);;
command "train" [ "--config"; "{{config}}"; "--out"; "{{run}}"; "--threads"; "1" ];;
command "evaluate" [ "--run"; "{{run}}"; "-n"; "2" ];;
#quit;;
"""

let private scripts (folder: string) (language: string) : Task<string list> =
    task {
        // paths of one length, for the widths of tables
        let run = Path.Combine(folder, "run-" + language.Substring(0, 2))
        let session = session (Path.Combine(folder, "config.json")) run
        let! talked = printed language session [ "fsi"; "--nologo"; "--quiet" ]
        let curve = File.ReadAllText(Path.Combine(run, "curve.svg"))
        return [ for text in [ timeless talked; curve ] -> text.Replace(run, "RUN") ]
    }

[<Tests>]
let tests =
    testList
        "languages"
        [ testCase
              "training, evaluation, report and pictures are the same in every language, with a negative seed"
              (fun () ->
                  inFolder (fun folder ->
                      let expected = Languages.within CultureInfo.InvariantCulture (fun () -> runTexts folder)
                      Expect.isGreaterThan expected.Count 8 "number of texts"

                      for name, culture in Map.toList Languages.all do
                          let found = Languages.within culture (fun () -> runTexts folder)

                          for KeyValue(what, text) in expected do
                              Expect.equal (Map.tryFind what found) (Some text) $"{what} under {name}"))

          testCase "sentences are the same in every language" (fun () ->
              let expected = Languages.within CultureInfo.InvariantCulture sentences
              Expect.isFalse (List.contains "nothing" expected) "all are refused"

              for name, culture in Map.toList Languages.all do
                  let found = Languages.within culture sentences

                  for a, b in List.zip expected found do
                      Expect.equal b a $"under {name}")

          testCase "scripts and sessions print the same under every LC_ALL" (fun () ->
              inFolder (fun folder ->
                  File.WriteAllText(Path.Combine(folder, "config.json"), Spec.print spec)
                  let languages = [ "C.UTF-8"; "de_DE.UTF-8"; "sv_SE.UTF-8"; "ar_SA.UTF-8" ]
                  let all = Task.WhenAll [ for language in languages -> scripts folder language ]

                  let listed language =
                      (printed
                          language
                          ""
                          [ "fsi"; "--exec"; "scripts/envs.fsx"; "--task"; "Hopper-v4"; "--seconds"; "0" ])
                          .Result

                  Expect.equal (listed "ar_SA.UTF-8") (listed "C.UTF-8") "a script"

                  match List.ofArray all.Result with
                  | expected :: others ->
                      for part in [ "mean "; "-1,234.5 -1 0.5 1.5"; "on another thread -0.5"; "tau is -0.5" ] do
                          Expect.stringContains expected[0] part "the session"

                      for language, found in List.zip (List.tail languages) others do
                          for a, b in List.zip expected found do
                              Expect.equal b a $"under {language}"
                  | [] -> failtest "no scripts")) ]
