/// Initial states and random policies have the published environments' distributions.
module Sdac.Mujoco.Tests.StatisticsTests

open System
open Expecto
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded

let private column (width: int) (offset: int) (numbers: float[]) (j: int) (count: int) =
    Array.init count (fun i -> numbers[i * width + offset + j])

let private deviation (numbers: float[]) =
    let mean = Array.average numbers
    sqrt (Array.averageBy (fun x -> (x - mean) ** 2.0) numbers)

/// Two samples of n: the difference of means has deviation σ√(2/n), that of deviations at most σ/√n (normal).
let private sameDistribution (what: string) (mean, std, low, high) (mine: float[]) =
    let n = float mine.Length
    let myMean, myStd = Array.average mine, deviation mine
    let error = std * sqrt (2.0 / n)

    if std < 1e-12 then
        Expect.isTrue (deviation mine < 1e-12 && abs (myMean - mean) < 1e-12) $"{what} should be {mean}"
    else
        Expect.isTrue (abs (myMean - mean) < 4.0 * error) $"{what}: mean {myMean}, recorded {mean}"
        Expect.isTrue (abs (myStd - std) < 4.0 * std / sqrt n) $"{what}: deviation {myStd}, recorded {std}"
        // A bounded distribution shows its ends in 2,000 draws; a normal one is wider.
        if (high - low) / std < 4.0 then
            let slack = 0.05 * (high - low)
            Expect.isTrue (Array.min mine > low - slack && Array.max mine < high + slack) $"{what} exceeds its bounds"
            Expect.isTrue (Array.min mine < low + slack && Array.max mine > high - slack) $"{what} misses its bounds"

/// The first episodes of `count` environments under uniform random actions: returns and lengths.
let private randomEpisodes (task: string) (count: int) =
    use envs = new VecEnv(Tasks.Create task, count)
    let spec = envs.Spec
    let row = count * spec.ActionDim
    let returns = Array.create count nan
    let lengths = Array.create count nan
    let uniform = Array.zeroCreate<float> row
    let mutable states = envs.Reset(PhiloxKey(5u, 6u, 7u, 8u))
    let mutable step = 0

    while Array.exists Double.IsNaN returns do
        Philox.Uniform(PhiloxKey(9u, 10u, 11u, uint32 step), 0L, Span uniform)

        for i in 0 .. row - 1 do
            let low, high = spec.ActionLow[i % spec.ActionDim], spec.ActionHigh[i % spec.ActionDim]
            uniform[i] <- low + (high - low) * uniform[i]

        let struct (next, result) = envs.Step(states, ReadOnlySpan uniform)

        for i in 0 .. count - 1 do
            if Double.IsNaN returns[i] && result.EpisodeLengths[i] > 0 then
                returns[i] <- result.EpisodeReturns[i]
                lengths[i] <- float result.EpisodeLengths[i]

        states <- next
        step <- step + 1

    returns, lengths

/// Kolmogorov's and Smirnov's two-sample test: the probability of a larger distance under equal distributions (with
/// ties: at least that).
let private pValue (a: float[]) (b: float[]) =
    let share (sample: float[]) x =
        float (sample |> Array.filter (fun y -> y <= x) |> Array.length) / float sample.Length

    let distance = Array.append a b |> Array.map (fun x -> abs (share a x - share b x)) |> Array.max
    let n = float a.Length * float b.Length / float (a.Length + b.Length)
    let z = (sqrt n + 0.12 + 0.11 / sqrt n) * distance
    let term k = (if k % 2 = 1 then 2.0 else -2.0) * exp (-2.0 * float (k * k) * z * z)
    // The series converges to 1 at 0, but slowly.
    if z < 0.2 then 1.0 else min 1.0 (Seq.sumBy term (seq { 1..100 }))

[<Tests>]
let tests =
    testList
        "statistics"
        [ for task in Tasks.NamesOf "v4" do
              testCase $"initial states agree with the recorded statistics: {task}" (fun () ->
                  let record = List.head (environments task)
                  let stats = get "reset_stats" record
                  let count = (get "n" stats).GetInt32()
                  use envs = new VecEnv(Tasks.Create task, count)
                  let physics = envs.Reset(PhiloxKey(1u, 2u, 3u, 4u)).Physics.ToArray()

                  for part, offset in [ "qpos", 1; "qvel", 1 + (MujocoEngine.ModelOf envs).Nq ] do
                      let stat name = numbers (get name (get part stats))
                      let means, stds, lows, highs = stat "mean", stat "std", stat "min", stat "max"

                      for j in 0 .. means.Length - 1 do
                          column (MujocoEngine.ModelOf envs).StateSize offset physics j count
                          |> sameDistribution $"{task} {part}[{j}]" (means[j], stds[j], lows[j], highs[j]))

          testCase "the two-sample test tells samples apart" (fun () ->
              let sample shift = Array.init 20 (fun i -> float i + shift)
              Expect.isTrue (pValue (sample 0.0) (sample 0.5) > 0.5) "p value"
              Expect.isTrue (pValue (sample 0.0) (sample 15.0) < 0.001) "p value")

          for task in Tasks.NamesOf "v4" do
              testCase $"random policies return what the recorded ones return: {task}" (fun () ->
                  let policy = get "random_policy" (List.head (environments task))
                  let recordedLengths = numbers (get "lengths" policy)
                  let returns, lengths = randomEpisodes task (if Array.max recordedLengths > 500.0 then 20 else 60)

                  let pReturns, pLengths =
                      pValue returns (numbers (get "returns" policy)), pValue lengths recordedLengths

                  Expect.isTrue (pReturns > 0.001) $"{task}: returns p = {pReturns}"
                  Expect.isTrue (pLengths > 0.001) $"{task}: lengths p = {pLengths}") ]
