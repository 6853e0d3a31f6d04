module Sdac.Experiments.Tests.ProgressTests

open System
open Expecto
open FsCheck
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private progress =
    { Activity = Activity.Updates
      Iteration = 12_500L
      EnvSteps = 92_500L
      StepsPerSecond = 1234.4
      RecentReturn = 987.65432
      Headlines = [ "critic loss", 0.0123456; "policy loss", 1.5; "λ", 3.5601 ] }

/// A run of SDAC with its rhythm on a task of 17 and 6.
let private forecast (change: Spec -> Spec) (config: SdacConfig -> SdacConfig) (threads: int) (bytes: float) =
    let e = Experiment.on Sdac.algorithm "HalfCheetah-v4" |> Experiment.configure config
    let space = { ObsDim = 17; ActionDim = 6 }
    let spec = change (Spec.create e)
    let rhythm = Experiment.rhythm e
    let room = { Processors = 4; Bytes = bytes }
    Forecast.line "SDAC" space rhythm spec, Forecast.warnings room threads space rhythm spec

[<Tests>]
let tests =
    testList
        "progress"
        [ testCase "a plain line shows the per cent, the time left, the return, and all figures behind them" (fun () ->
              let expected =
                  "6 %, 2m05s left, return 987.7, iteration 12,500/200,000, 1,234 steps/s, 92,500 env steps, critic loss 0.01235, policy loss 1.5, λ 3.56"

              Expect.equal (Progress.line 200_000L 125.0 progress) expected "line")

          testCase "large returns have all their digits, and no exponent" (fun () ->
              for value, shown in [ 9999.4, "9999"; 9999.6, "10,000"; -12345.678, "-12,346"; 4e12, "4E+12" ] do
                  Expect.stringContains
                      (Progress.line 200_000L nan { progress with RecentReturn = value })
                      $"return {shown}, "
                      "line")

          testCase "what is not known yet is not shown" (fun () ->
              let line =
                  Progress.line
                      200_000L
                      nan
                      { progress with
                          RecentReturn = nan
                          StepsPerSecond = nan
                          Headlines = [ "critic loss", nan; "policy loss", infinity; "λ", 3.5601 ] }

              Expect.equal line "6 %, iteration 12,500/200,000, 92,500 env steps, λ 3.56" "line")

          testCase "warm-up and evaluations are said" (fun () ->
              let at activity = Progress.line 200_000L 5.0 { progress with Activity = activity; RecentReturn = nan }

              Expect.equal
                  (at (Activity.WarmUp(12_600L, 30_000L)))
                  "42 %, warm-up: 12,600/30,000 random transitions, 0m05s left"
                  "warm-up"

              Expect.stringStarts
                  (at (Activity.Evaluating 20))
                  "6 %, 0m05s left, evaluating 20 episodes, iteration "
                  "evaluation")

          testCase "long waits are shown in hours" (fun () ->
              Expect.stringContains (Progress.line 1L 3599.4 progress) ", 59m59s left" "line"
              Expect.stringContains (Progress.line 1L 3600.0 progress) ", 1h00m left" "line"
              Expect.stringContains (Progress.line 1L 100_000.0 progress) ", 27h46m left" "line")

          testCase "a terminal of 60, 80 or 100 columns shows what it has room for, from the left" (fun () ->
              let at columns = Progress.terminalLine columns 200_000L 125.0 { progress with Iteration = 100_000L }
              Expect.equal (at 60) "█████░░░░░  50 %  2m05s left, return 987.7" "60"
              Expect.equal (at 80) "██████░░░░░░░  50 %  2m05s left, return 987.7, iteration 100,000/200,000" "80"

              Expect.equal
                  (at 100)
                  "████████░░░░░░░░  50 %  2m05s left, return 987.7, iteration 100,000/200,000, 1,234 steps/s"
                  "100")

          testPropertyWithConfig
              seeded
              "a terminal's line is one line shorter than the terminal, a bar and the per cent first, whatever the figures"
              (fun (columns: byte) iteration (value: float) (seconds: float) ->
                  let columns = 12 + int columns

                  let progress =
                      { progress with
                          Iteration = iteration
                          RecentReturn = value
                          Headlines = [ "critic loss", value ] }

                  let line = Progress.terminalLine columns 100L seconds progress
                  let plain = Progress.line 100L seconds progress

                  line.Length < columns
                  && (line.StartsWith '█' || line.StartsWith '░')
                  && line.Contains " %"
                  && not ((line + plain).Contains '\n')
                  && not ((line + plain).Contains "NaN"))

          testPropertyWithConfig seeded "a wider terminal shows all that a narrower one does" (fun (columns: byte) ->
              let texts columns =
                  let line = Progress.terminalLine columns 200_000L 125.0 progress
                  line.Substring(line.IndexOf '%')

              (texts (21 + int columns)).StartsWith(texts (20 + int columns), StringComparison.Ordinal))

          testCase "the last iteration is always shown, and nothing when quiet" (fun () ->
              let body (report: TrainingProgress -> unit) =
                  for i in 1L .. 10L do
                      report { progress with Iteration = i }

                  "result"

              Expect.equal
                  (captureOutput (fun () -> Progress.run true 10L body))
                  ("result", "")
                  "result and what is printed"

              if Progress.interactive () then
                  skiptest "standard output is a terminal"

              let result, text = captureOutput (fun () -> Progress.run false 10L body)
              Expect.equal result "result" "result"
              let lines = text.TrimEnd().Split '\n'
              Expect.stringStarts (Array.last lines) "100 %, " "lines"
              Expect.stringContains (Array.last lines) "iteration 10/10" "lines")

          testPropertyWithConfig
              seeded
              "the time left is told from the present stage's own speed"
              (fun (PositiveInt before) (PositiveInt idle) (PositiveInt speed) (PositiveInt seen) (NonNegativeInt ahead) ->
                  // a stage of another speed first, so much of this one finished when it is first seen, then `seen` seconds of it
                  let seen = float seen
                  let first, made = int64 ahead, int64 speed * int64 seen
                  let total = first + made + 10L * int64 speed
                  let at stage place now known = Some(Pace.after known stage place now)

                  let pace =
                      None
                      |> at 0 (struct (0L, 5L)) 0.0
                      |> at 0 (struct (5L, 5L)) (float before)
                      |> at 1 (struct (first, total)) (float before + float idle)
                      |> at 1 (struct (first + made, total)) (float before + float idle + seen)
                      |> Option.get

                  Expect.floatClose Accuracy.high pace.Left 10.0 "seconds left")

          testCase "the evaluation that a resumed run begins with is a stage of its own, later ones are not" (fun () ->
              let seen = [ Activity.WarmUp(1L, 2L); Activity.Evaluating 3; Activity.Updates; Activity.Evaluating 3 ]
              let stage = Progress.stages ()
              let stages = seen |> List.map (fun activity -> stage { progress with Activity = activity })
              Expect.equal stages [ 0; 1; 2; 2 ] "stages")

          testCase "a run says beforehand how much it is and what memory it fills" (fun () ->
              let line, warnings =
                  forecast
                      (fun spec -> { Spec.iterations 1000L spec with EvaluateEvery = 300L; EvaluationEpisodes = 5 })
                      (fun (c: SdacConfig) ->
                          { c with Data.Environments = 2; Data.WarmUp = 500; Data.BufferCapacity = 1_000_000 })
                      4
                      1e12

              // 500 + 2,000 rows of 17 + 6 + 4 numbers
              Expect.equal
                  line
                  "HalfCheetah-v4, SDAC: 1,000 updates, 2,000 environment steps, 500 random transitions first, 4 evaluations of 5 episodes, replay memory up to 264 KiB"
                  "line"

              Expect.isEmpty warnings "warnings")

          testCase "settings that can hardly be meant are named" (fun () ->
              let warnings config threads bytes = forecast id config threads bytes |> snd

              let single config threads bytes part =
                  Expect.stringContains (Expect.single (warnings config threads bytes) "warnings") part "the sentence"

              single
                  (fun (c: SdacConfig) -> { c with Data.WarmUp = 100; Data.BatchSize = 256 })
                  4
                  1e12
                  "batchSize is 256, and the replay memory starts with 100 transitions"

              single id 5 1e12 "--threads is 5, and this machine has 4 processors"

              single
                  (fun c ->
                      { c with Data.BatchSize = 4096; Data.BufferCapacity = 100_000; Particles.Particles = 65536 })
                  4
                  1e10
                  "with so many particles or draws takes"

              single
                  (fun (c: SdacConfig) -> { c with Data.BufferCapacity = 2_000_000_000; Data.BatchSize = 32 })
                  1
                  5e7
                  "the replay memory grows to") ]
