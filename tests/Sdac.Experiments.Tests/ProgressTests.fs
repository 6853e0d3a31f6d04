module Sdac.Experiments.Tests.ProgressTests

open FsCheck
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

let private standing =
    { Iteration = 12_500L
      EnvSteps = 92_500L
      StepsPerSecond = 1234.4
      RecentReturn = 987.65432
      CriticLoss = 0.0123456
      PolicyLoss = 1.5
      Lambda = 3.5601 }

[<Fact>]
let ``a plain line shows iteration, environment steps, speed, return, losses, temperature and time left`` () =
    let expected =
        "iteration 12,500/200,000, 92,500 env steps, 1234/s, return 987.7, critic 0.01235, policy 1.5, λ 3.56, 2m05s left"

    Assert.Equal(expected, Progress.line 200_000L 125.0 standing)

[<Fact>]
let ``what is not known yet is a dash or a question mark`` () =
    let line =
        Progress.line 200_000L nan { standing with RecentReturn = nan; CriticLoss = nan; PolicyLoss = nan }

    Assert.Contains("return -, critic -, policy -, λ 3.56, ? left", line)

[<Fact>]
let ``long waits are shown in hours`` () =
    Assert.EndsWith(", 59m59s left", Progress.line 1L 3599.4 standing)
    Assert.EndsWith(", 1h00m left", Progress.line 1L 3600.0 standing)
    Assert.EndsWith(", 27h46m left", Progress.line 1L 100_000.0 standing)

[<Fact>]
let ``a plain line stays one line whatever the figures`` () =
    check (fun iteration (value: float) (seconds: float) ->
        let line =
            Progress.line
                100L
                seconds
                { standing with Iteration = iteration; RecentReturn = value; CriticLoss = value }

        not (line.Contains '\n') && line.StartsWith "iteration " && line.EndsWith " left")

[<Fact>]
let ``the last iteration is always shown, and nothing when quiet`` () =
    let body (report: Standing -> unit) =
        for i in 1L .. 10L do
            report { standing with Iteration = i }

        "result"

    Assert.Equal(("result", ""), captureOutput (fun () -> Progress.run true 10L 0L body))

    if not (Progress.interactive ()) then
        let result, text = captureOutput (fun () -> Progress.run false 10L 0L body)
        Assert.Equal("result", result)
        let lines = text.TrimEnd().Split '\n'
        Assert.StartsWith("iteration 10/10, ", Array.last lines)
        Assert.EndsWith(", 0m00s left", Array.last lines)
