module Sdac.Tests.ScheduleTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private near tolerance (a: float) (b: float) what =
    Expect.isTrue (abs (a - b) <= tolerance * (1.0 + abs b)) $"{what}: {a} and {b} differ"

let private cases = Gen.zip schedules (sizes 1 60)

[<Tests>]
let tests =
    testList
        "schedules"
        [ testForAll "alpha bar is the running product of the alphas" 200 cases (fun (kind, T) ->
              let s = Schedule.create kind T

              for t in 0 .. T - 1 do
                  let product = Seq.fold (fun p i -> p * (1.0 - s.Betas[i])) 1.0 (seq { 0..t })
                  near 1e-12 s.AlphaBars[t] product $"ᾱ_{t}")

          testForAll "noise levels rise with the timestep and stay inside (0, 1)" 200 cases (fun (kind, T) ->
              let s = Schedule.create kind T

              for a in s.AlphaBars do
                  Expect.isTrue (a > 0.0 && a < 1.0) "signal left"

              for (a, b) in Seq.pairwise s.AlphaBars do
                  Expect.isTrue (b < a) "signal falls")

          // x_{t-1} = c1·x_0 + c2·x_t + σ·z with x_t from the forward process must be distributed as the forward process at t-1.
          testForAll "posterior coefficients reproduce the forward marginals" 200 cases (fun (kind, T) ->
              let s = Schedule.create kind T

              for t in 0 .. T - 1 do
                  let c1, c2 = s.PosteriorMeanCoef1[t], s.PosteriorMeanCoef2[t]
                  near 1e-9 (c1 + c2 * s.SqrtAlphaBars[t]) (sqrt s.AlphaBarsPrevious[t]) $"mean at {t}"

                  near
                      1e-9
                      (c2 * c2 * (1.0 - s.AlphaBars[t]) + s.PosteriorVariance[t])
                      (1.0 - s.AlphaBarsPrevious[t])
                      $"variance at {t}")

          testForAll "the first timestep adds no noise and returns the clean estimate" 100 cases (fun (kind, T) ->
              let s = Schedule.create kind T
              Expect.equal (Schedule.sigma s 0) 0.0 "sigma"
              near 1e-9 s.PosteriorMeanCoef1[0] 1.0 "c1"
              near 1e-9 s.PosteriorMeanCoef2[0] 0.0 "c2")

          testForAll "the wide chain's noise has variance β_t, and all else is as before" 50 cases (fun (kind, T) ->
              let s = Schedule.create kind T
              let wide = Schedule.wide s
              Expect.equal wide.PosteriorVariance s.Betas "variance"

              for t in 1 .. T - 1 do
                  Expect.floatClose Accuracy.high (Schedule.sigma wide t ** 2.0) s.Betas[t] "of the step's noise"

              Expect.equal
                  (wide.AlphaBars, wide.PosteriorMeanCoef1, wide.PosteriorMeanCoef2)
                  (s.AlphaBars, s.PosteriorMeanCoef1, s.PosteriorMeanCoef2)
                  "the rest")

          testCase "an impossible schedule is refused with the value that is wrong" (fun () ->
              let none =
                  Expect.raises<RefusedArgumentException>(fun () -> Schedule.create BetaSchedule.Cosine 0 |> ignore)

              Expect.stringContains none.Message "at least 1 timestep, not 0" "sentence"

              let beta =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      Schedule.create (BetaSchedule.Linear 1.5) 20 |> ignore)

              Expect.stringContains beta.Message "timestep 13" "sentence")

          testForAll
              "the signal left at each timestep is that of the schedules' closed forms"
              60
              (Gen.zip (sizes 1 200) (Gen.zip (between 0.01 2.0) (between 2.0 20.0)))
              (fun (T, (betaMin, betaMax)) ->
                  let u t = float (t + 1) / float T
                  let bars kind = (Schedule.create kind T).AlphaBars
                  // exp(-∫β) of the SDE with β rising linearly
                  let continuous t = exp (-betaMin * u t - 0.5 * (betaMax - betaMin) * u t ** 2.0)

                  closeTo
                      1e-9
                      "VP"
                      (Array.init T continuous)
                      (bars (BetaSchedule.VariancePreserving(betaMin, betaMax)))

                  let cosine u = cos ((u + 0.008) / 1.008 * Math.PI / 2.0) ** 2.0
                  let expected = Array.init T (fun t -> cosine (u t) / cosine 0.0)
                  // the last β, which would be 1, is clipped at 0.999
                  let found = bars BetaSchedule.Cosine
                  closeTo 1e-9 "cosine" expected[.. T - 2] found[.. T - 2]

                  Expect.floatClose
                      (within 5e-10)
                      ((Schedule.create BetaSchedule.Cosine T).Betas[T - 1])
                      0.999
                      "last beta") ]
