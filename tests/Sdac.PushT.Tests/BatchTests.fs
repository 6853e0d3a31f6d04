/// Batches of PushT as values: states that are put back go on as if they had never been left.
module Sdac.PushT.Tests.BatchTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Environments
open Sdac.Kernels
open Sdac.PushT
open Sdac.PushT.Tests.Recorded
open Sdac.Testing

let private make (count: int) = new VecEnv(PushTTask(PushTOptions()), count)

/// Everything a step gives, as plain arrays.
let private contents (states: EnvStates) (result: StepResult) =
    [ "states", states.Physics.ToArray()
      "obs", states.Observations.ToArray()
      "returns", states.Returns.ToArray()
      "elapsed", Array.map float (states.Elapsed.ToArray())
      "episodes", Array.map float (states.Episodes.ToArray())
      "next obs", result.NextObs.ToArray()
      "rewards", result.Rewards.ToArray()
      "terminated", Array.map (fun flag -> if flag then 1.0 else 0.0) (result.Terminated.ToArray())
      "truncated", Array.map (fun flag -> if flag then 1.0 else 0.0) (result.Truncated.ToArray())
      "info", result.Info.ToArray() ]

let private sameContents expected actual = List.iter2 (fun (name, x) (_, y) -> same name x y) expected actual

/// Targets on the block's origin, and a little off: the block is pushed in most steps.
let private pushing (noise: PhiloxKey) (k: int) (states: EnvStates) : float[] =
    let uniform = Array.zeroCreate<float>(2 * states.Count)
    Philox.Uniform(Philox.Derive(noise, uint64 k), 0L, Span uniform)
    let obs = states.Observations.ToArray()
    Array.init (2 * states.Count) (fun i -> obs[5 * (i / 2) + 2 + i % 2] + 160.0 * (uniform[i] - 0.5))

/// Runs `steps` from `start`, choosing actions by `choose`; the states met and what each step gave.
let private run (envs: VecEnv) (start: EnvStates) (steps: int) (choose: int -> EnvStates -> float[]) =
    let folder (states: EnvStates, outcomes) k =
        let struct (next, result) = envs.Step(states, ReadOnlySpan(choose k states))
        next, (next, contents next result) :: outcomes

    let _, outcomes = List.fold folder (start, []) [ 0 .. steps - 1 ]
    List.rev outcomes

let private cases =
    gen {
        let! key = key
        let! count = Gen.choose (1, 4)
        let! steps = Gen.choose (4, 60)
        return key, count, steps
    }

/// The same states in other memory, as a checkpoint gives them.
let private copied (s: EnvStates) =
    EnvStates(s.Task, s.Keys, s.Physics, s.Observations, s.Measures, s.Returns, s.Elapsed, s.Episodes)

let private onThreads (threads: int) (work: unit -> 'a) =
    let before = Workers.Threads

    try
        Workers.Threads <- threads
        work ()
    finally
        Workers.Threads <- before

[<Tests>]
let tests =
    testList
        "batches"
        [ testForAll
              "a state that is put back goes on as if it had never been left"
              25
              cases
              (fun (key, count, steps) ->
                  use envs = make count
                  let expected = run envs (envs.Reset key) steps (pushing key)
                  let middle, _ = expected[steps / 2]
                  // Elsewhere in between, with the same environments.
                  run envs (envs.Reset(Philox.Derive(key, 99UL))) 5 (pushing key) |> ignore
                  let again k = pushing key (k + steps / 2 + 1)
                  let rest = run envs middle (steps - steps / 2 - 1) again

                  for (_, x), (_, y) in List.zip (List.skip (steps / 2 + 1) expected) rest do
                      sameContents x y)

          testForAll "another process goes on from a checkpoint with the same bits" 15 cases (fun (key, count, steps) ->
              use envs = make count
              let expected = run envs (envs.Reset key) steps (pushing key)
              let middle, _ = expected[steps / 2]
              use fresh = make count
              let again k = pushing key (k + steps / 2 + 1)
              let rest = run fresh (copied middle) (steps - steps / 2 - 1) again

              for (_, x), (_, y) in List.zip (List.skip (steps / 2 + 1) expected) rest do
                  sameContents x y)

          testForAll "results do not depend on the number of threads" 8 cases (fun (key, _, steps) ->
              let outcomes threads =
                  onThreads threads (fun () ->
                      use envs = make 7
                      run envs (envs.Reset key) steps (pushing key) |> List.map snd)

              let one = outcomes 1

              for threads in [ 2; 5 ] do
                  List.iter2 sameContents one (outcomes threads))

          testForAll "a batch of N equals N single environments" 10 cases (fun (key, count, steps) ->
              use envs = make count
              use single = make 1
              let start = envs.Reset key
              let batch = run envs start steps (pushing key)

              for i in 0 .. count - 1 do
                  let mutable mine = start.Slice(i, 1)

                  for k in 0 .. steps - 1 do
                      let all = if k = 0 then start else fst batch[k - 1]
                      let action = (pushing key k all)[2 * i .. 2 * i + 1]
                      let struct (next, result) = single.Step(mine, ReadOnlySpan action)
                      let theirs = (fst batch[k]).Slice(i, 1)
                      same "states" (theirs.Physics.ToArray()) (next.Physics.ToArray())
                      same "obs" (theirs.Observations.ToArray()) (next.Observations.ToArray())
                      let rewards = snd batch[k] |> List.find (fun (name, _) -> name = "rewards") |> snd
                      same "reward" [| rewards[i] |] (result.Rewards.ToArray())
                      mine <- next)

          testForAll "stepping into its own buffers and into others gives the same" 10 cases (fun (key, count, steps) ->
              use envs = make count
              let expected = run envs (envs.Reset key) steps (pushing key)
              let states, result = envs.Reset key, envs.NewResult()

              for k in 0 .. steps - 1 do
                  envs.StepInto(states, ReadOnlySpan(pushing key k states), states, result)
                  sameContents (snd expected[k]) (contents states result))

          testCase "stepping leaves its arguments as they were" (fun () ->
              use envs = make 2
              let start = envs.Reset(PhiloxKey(1u, 2u, 3u, 4u))
              let before = start.Physics.ToArray(), start.Observations.ToArray()
              run envs start 10 (pushing (PhiloxKey(5u, 6u, 7u, 8u))) |> ignore
              same "states" (fst before) (start.Physics.ToArray())
              same "obs" (snd before) (start.Observations.ToArray()))

          for pay in [ Pay.EachStep; Pay.NewBest ] do
              testCase $"a batch steps as one environment that is set by hand: paid {pay}" (fun () ->
                  let task = PushTTask(PushTOptions(Pay = pay, Success = Success.Holds))
                  use envs = new VecEnv(task, 1)
                  let key = PhiloxKey(3u, 1u, 4u, 1u)
                  let mutable states = envs.Reset key
                  use env = new PushTEnv(task)
                  env.SetState(PushTScratch.Start(Philox.Derive(Philox.Derive(key, 0UL), 0UL)))
                  same "start" (states.Observations.ToArray()) (env.Obs.ToArray())

                  for k in 0..50 do
                      let action = pushing key k states
                      let struct (next, result) = envs.Step(states, ReadOnlySpan action)
                      env.Step(ReadOnlySpan action)
                      same "obs" (result.NextObs.ToArray()) (env.Obs.ToArray())
                      same "reward" (result.Rewards.ToArray()) [| env.Reward |]
                      same "figures" (result.Info.ToArray()) (env.Info.ToArray())
                      // from other memory, as a checkpoint gives it
                      states <- if k % 7 = 0 then copied next else next)

          testCase "300 steps truncate; the next episode begins elsewhere" (fun () ->
              use envs = make 2
              let start = envs.Reset(PhiloxKey(9u, 9u, 9u, 9u))
              let away _ _ = Array.create 4 20.0
              let outcomes = run envs start 301 away
              let at k name = snd outcomes[k] |> List.find (fun (n, _) -> n = name) |> snd
              same "truncated" [| 0.0; 0.0 |] (at 298 "truncated")
              same "truncated" [| 1.0; 1.0 |] (at 299 "truncated")
              same "terminated" [| 0.0; 0.0 |] (at 299 "terminated")
              same "elapsed" [| 0.0; 0.0 |] (at 299 "elapsed")
              same "episodes" [| 1.0; 1.0 |] (at 299 "episodes")
              Expect.differs (at 299 "obs") (at 299 "next obs") "the next start"
              same "elapsed" [| 1.0; 1.0 |] (at 300 "elapsed"))

          testCase "starts have the published distribution" (fun () ->
              let starts = [| for i in 1u .. 4000u -> PushTScratch.Start(PhiloxKey(i, 0u, 0u, 0u)) |]

              let check what (values: float[]) low high =
                  Expect.isTrue
                      (values |> Array.forall (fun x -> x = floor x && x >= low && x <= high))
                      $"{what}: range"

                  Expect.isTrue (Array.min values < low + 3.0 && Array.max values > high - 3.0) $"{what}: ends"
                  let mean, half = Array.average values, 0.5 * (low + high)
                  Expect.isLessThan (abs (mean - half)) (4.0 * (high - low) / sqrt (12.0 * 4000.0)) $"{what}: mean"

              check "agent x" (starts |> Array.map _.AgentX) 50.0 449.0
              check "agent y" (starts |> Array.map _.AgentY) 50.0 449.0
              check "block x" (starts |> Array.map _.BlockX) 100.0 399.0
              check "block y" (starts |> Array.map _.BlockY) 100.0 399.0
              let normal = starts |> Array.map (fun s -> (s.BlockAngle + Math.PI) / (2.0 * Math.PI))
              Expect.isLessThan (abs (Array.average normal)) (4.0 / sqrt 4000.0) "angle: mean"
              let variance = normal |> Array.averageBy (fun z -> z * z)
              Expect.isLessThan (abs (variance - 1.0)) (4.0 * sqrt (2.0 / 4000.0)) "angle: variance"

              let product =
                  starts
                  |> Array.averageBy (fun s -> (s.AgentX - 249.5) * (s.AgentY - 249.5) / (400.0 * 400.0 / 12.0))

              Expect.isLessThan (abs product) (4.0 / sqrt 4000.0) "x and y are independent")

          testCase "a target beyond the numbers stops with a sentence, and the process lives" (fun () ->
              use envs = make 2
              let key = PhiloxKey(1u, 1u, 1u, 1u)
              let start = envs.Reset key

              let error =
                  Expect.raises<SimulationException>(fun () ->
                      envs.Step(start, ReadOnlySpan [| 1.0; 2.0; 1e300; 0.0 |]) |> ignore)

              Expect.equal (error.Task, error.Environment, error.Step) ("PushT", 1, 1) "place"
              Expect.stringContains error.Cause "1E+300" "cause"
              run envs start 3 (pushing key) |> ignore)

          testCase "numbers that are no state of PushT are refused" (fun () ->
              use envs = make 1
              let start = envs.Reset(PhiloxKey(1u, 1u, 1u, 1u))

              for entry, value, word in
                  [ 0, 1.5, "whole number"; 0, 301.0, "whole number"; 0, nan, "whole number"; 2, nan, "start" ] do
                  let numbers = start.Physics.ToArray()
                  numbers[entry] <- value
                  let s = start

                  let wrong =
                      EnvStates(
                          s.Task,
                          s.Keys,
                          ReadOnlySpan numbers,
                          s.Observations,
                          s.Measures,
                          s.Returns,
                          s.Elapsed,
                          s.Episodes
                      )

                  let error =
                      Expect.raises<SimulationException>(fun () ->
                          envs.Step(wrong, ReadOnlySpan [| 1.0; 2.0 |]) |> ignore)

                  Expect.stringContains error.Cause word "cause") ]
