/// Batches of environments as values: what holds for any task, key, number and thread count.
module Sdac.Mujoco.Tests.VecEnvTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

/// Everything a step gives, as plain arrays.
let private contents (states: EnvStates) (result: StepResult) =
    [ "physics", states.Physics.ToArray()
      "obs", states.Observations.ToArray()
      "measures", states.Measures.ToArray()
      "returns", states.Returns.ToArray()
      "elapsed", Array.map float (states.Elapsed.ToArray())
      "episodes", Array.map float (states.Episodes.ToArray())
      "next obs", result.NextObs.ToArray()
      "rewards", result.Rewards.ToArray()
      "terminated", Array.map (fun flag -> if flag then 1.0 else 0.0) (result.Terminated.ToArray())
      "truncated", Array.map (fun flag -> if flag then 1.0 else 0.0) (result.Truncated.ToArray())
      "info", result.Info.ToArray()
      "episode returns", result.EpisodeReturns.ToArray()
      "episode lengths", Array.map float (result.EpisodeLengths.ToArray()) ]

let private sameContents expected actual = List.iter2 (fun (name, x) (_, y) -> same name x y) expected actual

let private run (envs: VecEnv) (start: EnvStates) (actions: float[][]) =
    let folder (states: EnvStates, outcomes) (action: float[]) =
        let struct (next, result) = envs.Step(states, ReadOnlySpan action)
        next, contents next result :: outcomes

    let last, outcomes = Array.fold folder (start, []) actions
    last, List.rev outcomes

let private caseOf count steps =
    gen {
        let! name = task
        let! key = key
        let! count = count
        let! steps = steps
        return name, key, count, steps
    }

let private sizes low high = Gen.choose (low, high)

[<Tests>]
let tests =
    testList
        "batches of environments"
        [ testForAll
              "putting a state back and stepping equals never having left it"
              25
              (caseOf (sizes 1 3) (sizes 2 40))
              (fun (name, key, count, steps) ->
                  use envs = new VecEnv(Tasks.Create name, count)
                  let actions = actions envs.Spec count steps key
                  let start = envs.Reset key
                  let _, expected = run envs start actions
                  // The same again from a state in the middle, after the engine has been somewhere else.
                  let middle, _ = run envs start actions[.. steps / 2 - 1]
                  run envs (envs.Reset(Philox.Derive(key, 99UL))) actions |> ignore
                  let _, again = run envs middle actions[steps / 2 ..]
                  List.iter2 sameContents expected[steps / 2 ..] again)

          testForAll
              "stepping leaves its arguments as they were"
              10
              (caseOf (sizes 1 3) (sizes 1 5))
              (fun (name, key, count, steps) ->
                  use envs = new VecEnv(Tasks.Create name, count)
                  let start = envs.Reset key
                  let actions = actions envs.Spec count steps key
                  let before = start.Physics.ToArray(), start.Observations.ToArray(), Array.map Array.copy actions
                  run envs start actions |> ignore
                  let physics, obs, given = before
                  same "physics" physics (start.Physics.ToArray())
                  same "obs" obs (start.Observations.ToArray())
                  Array.iter2 (same "actions") given actions)

          testForAll
              "results do not depend on the number of threads"
              12
              (caseOf (sizes 2 9) (sizes 5 30))
              (fun (name, key, count, steps) ->
                  let threads = Workers.Threads

                  try
                      use envs = new VecEnv(Tasks.Create name, count)
                      let actions = actions envs.Spec count steps key

                      let outcomes =
                          [ for n in [ 1; 2; 5 ] do
                                Workers.Threads <- n
                                snd (run envs (envs.Reset key) actions) ]

                      for other in outcomes.Tail do
                          List.iter2 sameContents outcomes.Head other
                  finally
                      Workers.Threads <- threads)

          testForAll
              "a batch of N equals N single environments, resets included"
              12
              (caseOf (sizes 2 6) (sizes 20 60))
              (fun (name, key, count, steps) ->
                  use envs = new VecEnv(Tasks.Create name, count)
                  use single = new VecEnv(Tasks.Create name, 1)
                  let actions = actions envs.Spec count steps key
                  let start = envs.Reset key
                  let _, batch = run envs start actions
                  let dim = envs.ActionDim

                  for i in 0 .. count - 1 do
                      let mine = actions |> Array.map (fun all -> all[i * dim .. (i + 1) * dim - 1])
                      let _, alone = run single (start.Slice(i, 1)) mine

                      List.iter2
                          (List.iter2 (fun (name, all: float[]) (_, one: float[]) ->
                              let width = all.Length / count
                              same name all[i * width .. (i + 1) * width - 1] one))
                          batch
                          alone)

          testCase "more environments than blocks of scratch give the same as one by one" (fun () ->
              let count = 150
              use envs = new VecEnv(Tasks.Create "InvertedPendulum-v4", count)
              use single = new VecEnv(Tasks.Create "InvertedPendulum-v4", 1)
              let start = envs.Reset(PhiloxKey(3u, 1u, 4u, 1u))
              let actions = actions envs.Spec count 10 (PhiloxKey(5u, 9u, 2u, 6u))
              let last, _ = run envs start actions

              for i in 0 .. count - 1 do
                  let alone, _ = run single (start.Slice(i, 1)) (actions |> Array.map (fun all -> [| all[i] |]))
                  same "physics" (last.Slice(i, 1).Physics.ToArray()) (alone.Physics.ToArray()))

          testForAll
              "states put together from their own numbers continue alike"
              10
              (caseOf (sizes 1 4) (sizes 2 20))
              (fun (name, key, count, steps) ->
                  use envs = new VecEnv(Tasks.Create name, count)
                  let actions = actions envs.Spec count steps key
                  let states, _ = run envs (envs.Reset key) actions

                  let copy =
                      EnvStates(
                          states.Task,
                          states.Keys,
                          states.Physics,
                          states.Observations,
                          states.Measures,
                          states.Returns,
                          states.Elapsed,
                          states.Episodes
                      )

                  use other = new VecEnv(Tasks.Create name, count)
                  List.iter2 sameContents (snd (run envs states actions)) (snd (run other copy actions)))

          testForAll
              "the same key gives the same start, other keys, environments and episodes others"
              20
              (Gen.zip task key)
              (fun (name, key) ->
                  use envs = new VecEnv(Tasks.Create name, 3)
                  let start = envs.Reset key
                  same "start" (start.Physics.ToArray()) (envs.Reset(key).Physics.ToArray())

                  let qpos (states: EnvStates) i =
                      states.Physics
                          .Slice(i * (MujocoEngine.ModelOf envs).StateSize, (MujocoEngine.ModelOf envs).StateSize)
                          .ToArray()

                  Expect.differs (qpos start 1) (qpos start 0) "qpos"
                  Expect.differs (qpos (envs.Reset(Philox.Derive(key, 1UL))) 0) (qpos start 0) "qpos")

          testCase "every episode starts with noise of its own, also on used scratch" (fun () ->
              use envs = new VecEnv(Tasks.Create "Humanoid-v4", 1)
              let starts = ResizeArray()
              let mutable states = envs.Reset(PhiloxKey(7u, 7u, 7u, 7u))

              for action in actions envs.Spec 1 100 (PhiloxKey(1u, 2u, 3u, 5u)) do
                  if states.Elapsed[0] = 0 then
                      starts.Add(states.Physics.ToArray())
                      // The contact forces at the end of the observation are those of no step yet.
                      Expect.isTrue
                          (states.Observations.Slice(292).ToArray() |> Array.forall ((=) 0.0))
                          "no contact forces yet"
                      // The same start on scratch that has never been used.
                      use fresh = new Env(Tasks.Create "Humanoid-v4")
                      let qpos, qvel = states.Physics.Slice(1, 24).ToArray(), states.Physics.Slice(25, 23).ToArray()
                      fresh.SetState(ReadOnlySpan qpos, ReadOnlySpan qvel)

                      Array.iter2
                          (fun (x: float) y ->
                              Expect.isTrue (abs (x - y) <= 1e-12 * (1.0 + abs x)) "observation on fresh scratch")
                          (fresh.Obs.ToArray())
                          (states.Observations.ToArray())

                  let struct (next, _) = envs.Step(states, ReadOnlySpan action)
                  states <- next

              Expect.isTrue (starts.Count > 2) "number of starts"

              Expect.equal
                  (starts |> Seq.distinctBy (fun start -> start[5]) |> Seq.length)
                  starts.Count
                  "number of starts")

          testCase "an episode that terminates keeps its last observation and begins anew" (fun () ->
              use envs = new VecEnv(Tasks.Create "InvertedPendulum-v4", 2)
              let push = [| 3.0; 0.0 |]
              let mutable states = envs.Reset(PhiloxKey(1u, 1u, 1u, 1u))
              let mutable ended = None

              while ended.IsNone do
                  let struct (next, result) = envs.Step(states, ReadOnlySpan push)

                  if result.Terminated[0] then
                      ended <- Some(states.Elapsed[0] + 1, next, result)
                  else
                      Expect.isTrue (Double.IsNaN result.EpisodeReturns[0]) "episode returns"
                      Expect.equal (result.EpisodeLengths[0]) 0 "episode lengths"
                      same "obs" (result.NextObs.Slice(0, 4).ToArray()) (next.Observations.Slice(0, 4).ToArray())

                  states <- next

              let length, next, result = ended.Value
              Expect.isFalse (result.Truncated[0]) "truncated"
              Expect.isTrue (abs result.NextObs[1] > 0.2) "the last observation is the fallen one"
              Expect.isTrue (abs next.Observations[1] <= 0.01) "the next one is a fresh start"
              Expect.equal (result.EpisodeLengths[0]) length "episode lengths"
              Expect.equal (result.EpisodeReturns[0]) (float length) "episode returns"

              Expect.equal
                  (next.Elapsed[0], next.Episodes[0], next.Returns[0])
                  (0, 1L, 0.0)
                  "elapsed, episodes and returns"
              // The neighbour goes on undisturbed.
              Expect.equal (next.Elapsed[1], next.Episodes[1]) (length, 0L) "elapsed and episodes")

          testCase "a time limit truncates and does not terminate" (fun () ->
              use envs = new VecEnv(Tasks.Create "Reacher-v4", 2)
              let actions = actions envs.Spec 2 50 (PhiloxKey(8u, 8u, 8u, 8u))
              let start = envs.Reset(PhiloxKey(2u, 2u, 2u, 2u))
              let before, _ = run envs start actions[..48]
              Expect.equal (before.Elapsed.ToArray()) [| 49; 49 |] "elapsed"
              let struct (next, result) = envs.Step(before, ReadOnlySpan actions[49])
              Expect.equal (result.Truncated.ToArray()) [| true; true |] "truncated"
              Expect.equal (result.Terminated.ToArray()) [| false; false |] "terminated"
              Expect.equal (result.EpisodeLengths.ToArray()) [| 50; 50 |] "episode lengths"
              Expect.differs (next.Observations.ToArray()) (result.NextObs.ToArray()) "observations"
              Expect.equal (result.EpisodeReturns[0]) (before.Returns[0] + result.Rewards[0]) "episode returns")

          testForAll
              "a batch steps along the same trajectory as the tracing environment"
              10
              (caseOf (sizes 1 1) (sizes 1 30))
              (fun (name, key, count, steps) ->
                  use envs = new VecEnv(Tasks.Create name, count)
                  use env = new Env(Tasks.Create name)
                  let nq, nv = (MujocoEngine.ModelOf envs).Nq, (MujocoEngine.ModelOf envs).Nv
                  let start = envs.Reset key
                  let qpos, qvel = start.Physics.Slice(1, nq).ToArray(), start.Physics.Slice(1 + nq, nv).ToArray()
                  env.SetState(ReadOnlySpan qpos, ReadOnlySpan qvel)
                  let given = actions envs.Spec count steps key
                  let mutable states = start
                  // Where the state has a quaternion, setting it normalises it once more.
                  let mutable going = (MujocoEngine.ModelOf envs).Nq = (MujocoEngine.ModelOf envs).Nv
                  let mutable step = 0

                  while going && step < steps do
                      let struct (next, result) = envs.Step(states, ReadOnlySpan given[step])
                      env.Step(ReadOnlySpan given[step])
                      same "obs" (env.Obs.ToArray()) (result.NextObs.ToArray())
                      Expect.equal (result.Rewards[0]) env.Reward "rewards"
                      going <- not (result.Terminated[0] || result.Truncated[0])
                      states <- next
                      step <- step + 1)

          testForAll
              "floats in the caller's buffers are the rounded observations, and float actions are widened"
              10
              (caseOf (sizes 1 3) (sizes 1 30))
              (fun (name, key, count, steps) ->
                  use envs = new VecEnv(Tasks.Create name, count)
                  let narrow = actions envs.Spec count steps key |> Array.map (Array.map float32)
                  let size = count * envs.ObsDim
                  let nextObs, obs = Array.zeroCreate<float32> size, Array.zeroCreate<float32> size
                  let next, result = envs.NewStates(), envs.NewResult()
                  let mutable states = envs.Reset key

                  for action in narrow do
                      envs.StepInto(states, ReadOnlySpan action, next, result, Span nextObs, Span obs)
                      let wide = Array.map float action
                      let struct (expected, expectedResult) = envs.Step(states, ReadOnlySpan wide)
                      sameContents (contents expected expectedResult) (contents next result)
                      Expect.equal nextObs (Array.map float32 (result.NextObs.ToArray())) "next obs"
                      Expect.equal obs (Array.map float32 (next.Observations.ToArray())) "obs"
                      let copied = Array.zeroCreate<float32> size
                      next.CopyObservations(Span copied)
                      Expect.equal copied obs "copied"
                      states <- expected)

          testForAll
              "states may be stepped in place"
              10
              (caseOf (sizes 1 3) (sizes 1 30))
              (fun (name, key, count, steps) ->
                  use envs = new VecEnv(Tasks.Create name, count)
                  let actions = actions envs.Spec count steps key
                  let states, _ = run envs (envs.Reset key) actions
                  let mine, result = envs.Reset key, envs.NewResult()

                  for action in actions do
                      envs.StepInto(mine, ReadOnlySpan action, mine, result)

                  same "physics" (states.Physics.ToArray()) (mine.Physics.ToArray())
                  same "returns" (states.Returns.ToArray()) (mine.Returns.ToArray()))

          for task in Tasks.Names do
              testCase $"stepping allocates nothing, resets included: {task}" (fun () ->
                  let threads = Workers.Threads

                  try
                      Workers.Threads <- 1
                      use envs = new VecEnv(Tasks.Create task, 4)
                      let action = Array.create (4 * envs.ActionDim) 0.9f
                      let obs = Array.zeroCreate<float32>(4 * envs.ObsDim)
                      let start, result = envs.Reset(PhiloxKey(1u, 2u, 3u, 4u)), envs.NewResult()
                      let one, other = envs.NewStates(), envs.NewStates()

                      // the same steps and resets every time
                      let steps () =
                          let mutable a, b = start, one

                          for k in 1..240 do
                              envs.StepInto(a, ReadOnlySpan action, b, result, Span.Empty, Span obs)
                              a <- b
                              b <- if k % 2 = 0 then one else other

                      let allocated () =
                          let before = GC.GetAllocatedBytesForCurrentThread()
                          steps ()
                          GC.GetAllocatedBytesForCurrentThread() - before

                      steps ()
                      // The steps allocate alike each time; the runtime now and then for itself, on this thread as well.
                      Expect.equal (Seq.min [ for _ in 1..3 -> allocated () ]) 0L "bytes in 240 steps"
                  finally
                      Workers.Threads <- threads)

          testForAll
              "policy actions are scaled from [-1, 1] to the task's range"
              30
              (Gen.zip task (between -1.2 1.2))
              (fun (name, unit) ->
                  use env = new Env(Tasks.Create name)
                  let spec = env.Spec
                  let given = Array.create spec.ActionDim (float32 unit)
                  let scaled = Array.zeroCreate<float32> spec.ActionDim
                  spec.ScaleActions(ReadOnlySpan given, Span scaled)

                  for i in 0 .. spec.ActionDim - 1 do
                      let low, high = spec.ActionLow[i], spec.ActionHigh[i]
                      let expected = low + (high - low) * (float (float32 unit) + 1.0) / 2.0
                      Expect.isTrue (abs (float scaled[i] - expected) < 1e-6) "size of scaled") ]
