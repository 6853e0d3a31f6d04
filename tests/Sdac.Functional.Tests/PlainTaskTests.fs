/// Tasks of plain F# functions: stepped as the functions say, kept as numbers, refused where they cannot be saved.
module Sdac.Functional.Tests.PlainTaskTests

open System
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Kernels
open Sdac.Testing

/// A point that is pushed about, and all that a state may hold: numbers, a count, an array, a flag, a key for its noise.
type private Walk = { X: float; Steps: int64; Recent: float[]; Turned: bool; Noise: Key }

let private parts: Parts<Walk> =
    fun visit s ->
        { X = visit.Float("x", s.X)
          Steps = visit.Int("steps", s.Steps)
          Recent = visit.Numbers("recent", s.Recent)
          Turned = visit.Int("turned", (if s.Turned then 1L else 0L)) = 1L
          Noise = PlainTask.key visit "noise" s.Noise }

let private walk: PlainTask<Walk> =
    { Name = "walk"
      ActionLow = [ -1.0 ]
      ActionHigh = [ 1.0 ]
      ObsDim = 3
      MaxEpisodeSteps = 7
      Reset =
        fun key ->
            let struct (start, noise) = Key.split key
            let u = Key.uniformArray 1 start

            { X = u[0]; Steps = -1L; Recent = [| u[0]; 0.0 |]; Turned = false; Noise = noise }
      Step =
        fun s a ->
            let struct (now, later) = Key.split s.Noise
            let x = s.X + 0.5 * a[0] + 0.1 * (Key.normalArray 1 now)[0]

            let next =
                { X = x; Steps = s.Steps + 1L; Recent = [| x; s.Recent[0] |]; Turned = not s.Turned; Noise = later }

            struct (next, -x * x, x > 1.5)
      Observe =
        fun s obs ->
            obs[0] <- s.X
            obs[1] <- s.Recent[1]
            obs[2] <- if s.Turned then 1.0 else 0.0
      Parts = parts }

let private rootKey = PhiloxKey(1u, 2u, 3u, 4u)
let private actionOf (step: int) (environment: int) = sin (float (7 * step + environment))

/// Rewards, observations, ends of `count` environments over some steps.
let private batched (task: ITask) (count: int) (steps: int) =
    use envs = new VecEnv(task, count)
    let mutable states = envs.Reset rootKey

    [ for t in 0 .. steps - 1 do
          let action = Array.init count (actionOf t)
          let struct (next, outcome) = envs.Step(states, ReadOnlySpan<float> action)
          states <- next

          outcome.Rewards.ToArray(),
          outcome.NextObs.ToArray(),
          outcome.Terminated.ToArray(),
          outcome.Truncated.ToArray(),
          states.Observations.ToArray() ]

/// The key of these words.
let private keyOf (words: PhiloxKey) : Key =
    let word (low: uint32) (high: uint32) = int64 (uint64 low ||| (uint64 high <<< 32))

    let telling =
        { new IVisit with
            member _.Int(name, _) = if name = "key.low" then word words.K0 words.K1 else word words.S0 words.S1

            member _.Float(_, value) = value
            member _.Numbers(_, value) = value
            member _.Params(_, value) = value
            member _.Adam(_, value) = value
            member _.Rows(_, value) = value }

    PlainTask.key telling "key" (Key.ofSeed 0L)

/// The same by the functions alone.
let private byHand (task: PlainTask<'s>) (count: int) (steps: int) =
    let episode e number = Philox.Derive(Philox.Derive(rootKey, uint64 e), uint64 number) |> keyOf |> task.Reset

    let states = Array.init count (fun e -> struct (episode e 0, 0, 0))

    let observe s =
        let obs = Array.zeroCreate<float> task.ObsDim
        task.Observe s obs
        obs

    [ for t in 0 .. steps - 1 do
          let rows =
              [| for e in 0 .. count - 1 do
                     let struct (s, elapsed, number) = states[e]
                     let struct (next, reward, terminated) = task.Step s [| actionOf t e |]
                     let truncated = elapsed + 1 >= task.MaxEpisodeSteps

                     states[e] <-
                         if terminated || truncated then
                             struct (episode e (number + 1), 0, number + 1)
                         else
                             struct (next, elapsed + 1, number)

                     let struct (now, _, _) = states[e]
                     reward, observe next, terminated, truncated, observe now |]

          rows |> Array.map (fun (r, _, _, _, _) -> r),
          rows |> Array.collect (fun (_, o, _, _, _) -> o),
          rows |> Array.map (fun (_, _, t, _, _) -> t),
          rows |> Array.map (fun (_, _, _, t, _) -> t),
          rows |> Array.collect (fun (_, _, _, _, o) -> o) ]

/// Registers a task, and expects a sentence with these words.
let private refused (words: string list) (task: PlainTask<'s>) =
    let error = Expect.raisesAny<exn>(fun () -> Registry.addTask task Registry.standard |> ignore)

    for word in words do
        Expect.stringContains error.Message word "sentence"

    Expect.stringLacks error.Message "\n" "one line"

/// A state of four numbers without a heap, for counting what else is allocated.
[<Struct>]
type private Four = { A: float; B: float; C: float; D: float }

let private four: PlainTask<Four> =
    { Name = "four"
      ActionLow = [ -1.0 ]
      ActionHigh = [ 1.0 ]
      ObsDim = 4
      MaxEpisodeSteps = 1_000_000
      Reset = fun _ -> { A = 1.0; B = 0.0; C = 0.0; D = 0.0 }
      Step =
        fun s a ->
            struct ({ A = s.A + 0.1 * s.B; B = s.B - 0.1 * s.A + a[0]; C = s.D; D = s.C - 1e-3 }, -s.A * s.A, false)
      Observe =
        fun s obs ->
            obs[0] <- s.A
            obs[1] <- s.B
            obs[2] <- s.C
            obs[3] <- s.D
      Parts =
        fun visit s ->
            { A = visit.Float("a", s.A)
              B = visit.Float("b", s.B)
              C = visit.Float("c", s.C)
              D = visit.Float("d", s.D) } }

[<Tests>]
let tests =
    testList
        "plain tasks"
        [ testCase "environments step as the functions say, on any number of threads" (fun () ->
              let wanted = byHand walk 5 40
              let before = Workers.Threads

              try
                  for threads in [ 1; 2 ] do
                      Workers.Threads <- threads
                      Expect.equal (batched walk 5 40) wanted $"{threads} threads"
              finally
                  Workers.Threads <- before

              let ends which = wanted |> List.sumBy (fun row -> which row |> Array.filter id |> Array.length)
              Expect.isTrue (ends (fun (_, _, t, _, _) -> t) > 0) "some terminate"
              Expect.isTrue (ends (fun (_, _, _, t, _) -> t) > 0) "some are truncated")

          testCase "a state's numbers are all of it: going on from a copy of them gives the same" (fun () ->
              use envs = new VecEnv(walk, 3)
              use others = new VecEnv(walk, 3)
              let action = [| 0.3; -0.2; 0.9 |]
              let struct (states, _) = envs.Step(envs.Reset rootKey, ReadOnlySpan<float> action)

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

              let struct (a, _) = envs.Step(states, ReadOnlySpan<float> action)
              let struct (b, _) = others.Step(copy, ReadOnlySpan<float> action)
              // a key's bits may look like NaN
              let bits (states: EnvStates) = states.Physics.ToArray() |> Array.map BitConverter.DoubleToInt64Bits
              Expect.equal (bits b) (bits a) "states"
              Expect.equal (b.Observations.ToArray()) (a.Observations.ToArray()) "observations")

          testCase "actions are clamped to the bounds" (fun () ->
              use envs = new VecEnv(walk, 1)
              let states = envs.Reset rootKey

              let reached (push: float) =
                  let struct (next, _) = envs.Step(states, ReadOnlySpan<float> [| push |])
                  next.Observations.ToArray()

              Expect.equal (reached 5.0) (reached 1.0) "above"
              Expect.equal (reached -5.0) (reached -1.0) "below"
              Expect.notEqual (reached 1.0) (reached 0.9) "inside")

          testCase "a step allocates nothing but states" (fun () ->
              use envs = new VecEnv(four, 1)
              let start, states, result = envs.Reset rootKey, envs.NewStates(), envs.NewResult()
              let action = [| 0.1 |]

              // the same steps and resets every time
              let steps () =
                  envs.StepInto(start, ReadOnlySpan<float> action, states, result)

                  for _ in 2..2_000 do
                      envs.StepInto(states, ReadOnlySpan<float> action, states, result)

              let allocated () =
                  let before = GC.GetAllocatedBytesForCurrentThread()
                  steps ()
                  GC.GetAllocatedBytesForCurrentThread() - before

              steps ()
              // The steps allocate alike each time; the runtime now and then for itself, on this thread as well.
              let least = Seq.min [ for _ in 1..3 -> allocated () ]
              Expect.equal least 0L "bytes of 2,000 steps with states on the stack")

          testCase "a state that cannot be saved is refused at registration" (fun () ->
              let network = { Layout = []; Flat = Tensors.ofArray Compute.cpu [ 1 ] [| 0.0f |] }

              { walk with
                  Parts =
                      fun visit s ->
                          visit.Params("net", network) |> ignore
                          parts visit s }
              |> refused [ "walk: its state cannot be saved"; "'net' is a network's parameters" ]

              // it has changed by the first step
              { walk with Parts = fun visit s -> { parts visit s with Steps = s.Steps } }
              |> refused [ "walk: its state cannot be saved: Parts loses Steps" ]

              { walk with Parts = fun visit s -> { parts visit s with Recent = s.Recent } }
              |> refused [ "loses Recent" ]

              // it is the same in the first states of all episodes
              { walk with
                  Step =
                      fun s a ->
                          let struct (next, reward, ends) = walk.Step s a
                          struct ({ next with Turned = false }, reward, ends)
                  Parts = fun visit s -> { parts visit s with Turned = s.Turned } }
              |> refused [ "loses Turned" ]

              { walk with Parts = fun visit s -> { parts visit s with Noise = s.Noise } }
              |> refused [ "loses Noise" ]

              { walk with Parts = fun visit s -> { parts visit s with X = visit.Float("steps", s.X) } }
              |> refused [ "two leaves are called 'steps'" ]

              { walk with
                  Parts = fun visit s -> { parts visit s with Recent = visit.Numbers("recent", [| s.X |]) } }
              |> refused [ "walk" ])

          testCase "impossible sizes, bounds and names are refused" (fun () ->
              { walk with ObsDim = 0 } |> refused [ "walk: ObsDim is 0" ]
              { walk with MaxEpisodeSteps = 0 } |> refused [ "walk: MaxEpisodeSteps is 0" ]
              { walk with ActionLow = [] } |> refused [ "ActionLow has 0 numbers and ActionHigh 1" ]
              { walk with ActionLow = [ 1.0 ] } |> refused [ "component 0 of its actions lies in [1, 1]" ]
              { walk with ActionHigh = [ infinity ] } |> refused [ "finite bounds" ]
              { walk with Name = "" } |> refused [ "no Name" ]
              { walk with Name = "a walk" } |> refused [ "'a walk'"; "letters, digits" ]
              { walk with Name = "Hopper-v4" } |> refused [ "'Hopper-v4' is registered already" ]

              { walk with Reset = fun _ -> failwith "no luck" }
              |> refused [ "walk: Reset failed with Exception: no luck" ])

          testCase "a function that throws is named with its environment and step" (fun () ->
              let says words (task: PlainTask<Walk>) =
                  let error = Expect.raises<TaskFunctionException>(fun () -> batched task 3 6 |> ignore)

                  for word in words do
                      Expect.stringContains error.Message word "sentence"

              // environment 1 alone gets this action
              { walk with
                  Step = fun s a -> if a[0] = actionOf 2 1 then failwith "out of luck" else walk.Step s a }
              |> says [ "walk: Step failed with Exception: out of luck (environment 1, step 3 of its episode)" ]

              { walk with Observe = fun s obs -> if s.Steps = 1L then obs[3] <- 0.0 else walk.Observe s obs }
              |> says [ "walk: Observe failed with IndexOutOfRangeException"; "step 2 of its episode" ]

              { walk with
                  Step =
                      fun s a ->
                          let struct (next, reward, ends) = walk.Step s a
                          struct ({ next with Recent = Array.zeroCreate (if s.Steps = 0L then 3 else 2) }, reward, ends) }
              |> says [ "'recent' of the state has 3 numbers, but had 2"; "step 2 of its episode" ])

          testCase "NaN is named with its environment and step" (fun () ->
              let says words (task: PlainTask<Walk>) =
                  let error = Expect.raises<SimulationException>(fun () -> batched task 1 6 |> ignore)
                  Expect.equal error.Environment 0 "environment"
                  Expect.equal error.Step 4 "step"

                  for word in words do
                      Expect.stringContains error.Message word "sentence"

              let changing change =
                  { walk with
                      Step =
                          fun s a ->
                              let struct (next, reward, ends) = walk.Step s a
                              if s.Steps = 2L then change next reward else struct (next, reward, ends) }

              changing (fun next _ -> struct (next, nan, false)) |> says [ "walk"; "the reward is NaN" ]

              changing (fun next reward -> struct ({ next with X = nan }, reward, false))
              |> says [ "'x' of the state is NaN" ]

              { walk with
                  Observe =
                      fun s obs ->
                          walk.Observe s obs

                          if s.Steps = 3L then
                              obs[1] <- infinity }
              |> says [ "entry 1 of the observation is" ]

              let error =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      batched { walk with Observe = fun _ obs -> obs[0] <- 1.0 } 1 1 |> ignore)

              Expect.stringContains error.Message "walk: Observe does not write entry 1, but ObsDim is 3" "sentence") ]
