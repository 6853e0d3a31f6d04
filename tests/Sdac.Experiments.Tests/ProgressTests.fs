module Sdac.Experiments.Tests.ProgressTests

open Expecto
open FsCheck
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

let private progress =
    { Iteration = 12_500L
      EnvSteps = 92_500L
      StepsPerSecond = 1234.4
      RecentReturn = 987.65432
      Headlines = [ "critic", 0.0123456; "policy", 1.5; "λ", 3.5601 ] }

[<Tests>]
let tests =
    testList
        "progress"
        [ testCase
              "a plain line shows iteration, environment steps, speed, return, the algorithm's headlines and time left"
              (fun () ->
                  let expected =
                      "iteration 12,500/200,000, 92,500 env steps, 1234/s, return 987.7, critic 0.01235, policy 1.5, λ 3.56, 2m05s left"

                  Expect.equal (Progress.line 200_000L 125.0 progress) expected "line")

          testCase "what is not known yet is a dash or a question mark" (fun () ->
              let line =
                  Progress.line
                      200_000L
                      nan
                      { progress with RecentReturn = nan; Headlines = [ "critic", nan; "policy", nan; "λ", 3.5601 ] }

              Expect.stringContains line "return -, critic -, policy -, λ 3.56, ? left" "line")

          testCase "an algorithm without headlines has none" (fun () ->
              let line = Progress.line 200_000L 125.0 { progress with Headlines = [] }
              Expect.stringEnds line "return 987.7, 2m05s left" "line")

          testCase "long waits are shown in hours" (fun () ->
              Expect.stringEnds (Progress.line 1L 3599.4 progress) ", 59m59s left" "line"
              Expect.stringEnds (Progress.line 1L 3600.0 progress) ", 1h00m left" "line"
              Expect.stringEnds (Progress.line 1L 100_000.0 progress) ", 27h46m left" "line")

          testPropertyWithConfig
              seeded
              "a plain line stays one line whatever the figures"
              (fun iteration (value: float) (seconds: float) ->
                  let line =
                      Progress.line
                          100L
                          seconds
                          { progress with
                              Iteration = iteration
                              RecentReturn = value
                              Headlines = [ "critic", value ] }

                  not (line.Contains '\n') && line.StartsWith "iteration " && line.EndsWith " left")

          testCase "the last iteration is always shown, and nothing when quiet" (fun () ->
              let body (report: TrainingProgress -> unit) =
                  for i in 1L .. 10L do
                      report { progress with Iteration = i }

                  "result"

              Expect.equal
                  (captureOutput (fun () -> Progress.run true 10L 0L body))
                  ("result", "")
                  "result and what is printed"

              if Progress.interactive () then
                  skiptest "standard output is a terminal"

              let result, text = captureOutput (fun () -> Progress.run false 10L 0L body)
              Expect.equal result "result" "result"
              let lines = text.TrimEnd().Split '\n'
              Expect.stringStarts (Array.last lines) "iteration 10/10, " "lines"
              Expect.stringEnds (Array.last lines) ", 0m00s left" "lines") ]
