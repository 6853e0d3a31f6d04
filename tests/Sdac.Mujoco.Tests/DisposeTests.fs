/// After Dispose, and after the garbage collector has freed an owner, nothing reads freed memory.
module Sdac.Mujoco.Tests.DisposeTests

open System
open System.Runtime.CompilerServices
open Expecto
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

let private key = PhiloxKey(1u, 2u, 3u, 4u)

let private disposed (thing: string) (action: unit -> unit) =
    let error = Expect.raises<ObjectDisposedException> action
    Expect.stringContains error.Message thing "sentence"

/// Models and simulations that take the place of what was freed.
let private reuse () =
    for name in Tasks.Names do
        use envs = new VecEnv(Tasks.Create name, 2)
        envs.Reset key |> ignore

let private collect () =
    for _ in 1..3 do
        GC.Collect()
        GC.WaitForPendingFinalizers()

    reuse ()

/// A span whose owner nobody knows any more. Not inlined, so that no frame holds the owner.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private orphan (owner: WeakReference) (what: string) : ReadOnlySpan<float> =
    let model = Tasks.Create("Hopper-v4").LoadModel.Invoke()

    if what = "model" then
        owner.Target <- model
        model.Qpos0
    elif what = "field" then
        owner.Target <- model
        model["body_pos"].Doubles
    elif what = "option" then
        owner.Target <- model
        model["opt.gravity"].Doubles
    elif what = "env" then
        let env = new Env(Tasks.Create "Hopper-v4")
        owner.Target <- env
        env.Qpos
    else
        let simulation = new Simulation(model)
        owner.Target <- simulation
        let still, state = Array.zeroCreate<float> model.Nv, Array.zeroCreate<float> model.StateSize
        simulation.Reset(model.Qpos0, ReadOnlySpan still, Span state) |> ignore
        simulation.Physics[what]

[<Tests>]
let tests =
    testList
        "after Dispose"
        [ testCase "a batch of environments says so" (fun () ->
              let envs = new VecEnv(Tasks.Create "Hopper-v4", 2)
              let states, next, result = envs.Reset key, envs.NewStates(), envs.NewResult()
              envs.Dispose()
              envs.Dispose()
              let narrow, wide = Array.zeroCreate<float32> 6, Array.zeroCreate<float> 6
              let says = disposed "VecEnv Hopper-v4"
              says (fun () -> envs.Reset key |> ignore)
              says (fun () -> envs.Step(states, ReadOnlySpan narrow) |> ignore)
              says (fun () -> envs.Step(states, ReadOnlySpan wide) |> ignore)
              says (fun () -> envs.StepInto(states, ReadOnlySpan narrow, next, result))
              says (fun () -> envs.StepInto(states, ReadOnlySpan wide, next, result))
              says (fun () -> envs.NewStates() |> ignore)
              says (fun () -> envs.NewResult() |> ignore)
              disposed "Model hopper.xml" (fun () -> (MujocoEngine.ModelOf envs).Qpos0.Length |> ignore)
              Expect.equal (envs.Spec.ActionDim, envs.Count) (3, 2) "what is managed stays"
              Expect.equal states.Observations.Length 22 "states are values")

          testCase "a single environment says so" (fun () ->
              let env = new Env(Tasks.Create "Hopper-v4")
              env.Dispose()
              env.Dispose()
              let zeros = Array.zeroCreate<float> 6
              disposed "Env Hopper-v4" (fun () -> env.SetState(ReadOnlySpan zeros, ReadOnlySpan zeros))
              disposed "Env Hopper-v4" (fun () -> env.Step(ReadOnlySpan [| 0.0; 0.0; 0.0 |]))
              disposed "hopper.xml" (fun () -> env.Qpos.Length |> ignore)
              disposed "hopper.xml" (fun () -> env.Qvel.Length |> ignore))

          testCase "a model and all its fields say so" (fun () ->
              let model = Tasks.Create("Ant-v4").LoadModel.Invoke()
              let fields = [ for name in model.Fields.Keys -> model[name] ]
              model.Dispose()
              model.Dispose()
              let says = disposed "Model ant.xml"
              says (fun () -> model.Qpos0.Length |> ignore)
              says (fun () -> model.Body "torso" |> ignore)
              says (fun () -> model.Id("body", "torso") |> ignore)
              says (fun () -> model.NameOf("body", 1) |> ignore)
              says (fun () -> new Simulation(model) |> ignore)

              for field in fields do
                  says (fun () -> field.ToArray() |> ignore)

                  if field.Type = FieldType.Double then
                      says (fun () -> field.Doubles.Length |> ignore)

                  if field.Type = FieldType.Int then
                      says (fun () -> field.Ints.Length |> ignore))

          testCase "a simulation, its fields and its views say so" (fun () ->
              use model = Tasks.Create("Ant-v4").LoadModel.Invoke()
              let simulation = new Simulation(model)
              let fields = [ for name in simulation.Names -> simulation[name] ]
              simulation.Dispose()
              simulation.Dispose()
              let says = disposed "Simulation of ant.xml"

              for field in fields do
                  says (fun () -> field.ToArray() |> ignore)

                  if field.Type = FieldType.Double then
                      says (fun () -> field.Doubles.Length |> ignore)

              says (fun () -> simulation.Physics.Time |> ignore)
              says (fun () -> simulation.Physics.Qpos.Length |> ignore)
              says (fun () -> simulation.Physics.Qvel.Length |> ignore)
              says (fun () -> simulation.Physics.Act.Length |> ignore)
              says (fun () -> simulation.Physics.Ctrl.Length |> ignore)
              says (fun () -> simulation.Physics.Xpos.Length |> ignore)
              says (fun () -> simulation.Physics.Xquat.Length |> ignore)
              says (fun () -> simulation.Physics.Xipos.Length |> ignore)
              says (fun () -> simulation.Physics.SiteXpos.Length |> ignore)
              says (fun () -> simulation.Physics.Cinert.Length |> ignore)
              says (fun () -> simulation.Physics.Cvel.Length |> ignore)
              says (fun () -> simulation.Physics.CfrcExt.Length |> ignore)
              says (fun () -> simulation.Physics.QfrcActuator.Length |> ignore)
              says (fun () -> simulation.Physics.QfrcConstraint.Length |> ignore)
              says (fun () -> simulation.Physics.SensorData.Length |> ignore)
              says (fun () -> simulation.Physics["qacc"].Length |> ignore)
              says (fun () -> simulation.Physics.BodyPosition(1).Length |> ignore)
              says (fun () -> simulation.Physics.BodyPosition("torso").Length |> ignore)
              Expect.isTrue (simulation.Physics.BodyMass.Length > 0) "the model's numbers are there"
              model.Dispose()
              disposed "Model ant.xml" (fun () -> simulation.Physics.BodyMass.Length |> ignore))

          testCase "a simulation outlives its model only to say so" (fun () ->
              let model = Tasks.Create("Hopper-v4").LoadModel.Invoke()
              use simulation = new Simulation(model)
              model.Dispose()
              reuse ()
              let state = Array.zeroCreate<float> model.StateSize
              let rest, still = Array.zeroCreate<float> 6, Array.zeroCreate<float> 3

              disposed "Model hopper.xml" (fun () ->
                  simulation.Reset(ReadOnlySpan rest, ReadOnlySpan rest, Span state) |> ignore)

              disposed "Model hopper.xml" (fun () ->
                  simulation.Step(ReadOnlySpan state, ReadOnlySpan still, 1, false, Span state) |> ignore))

          testCase "spans that were taken before keep their numbers" (fun () ->
              let model = Tasks.Create("Hopper-v4").LoadModel.Invoke()
              let simulation = new Simulation(model)
              let start, zeros, state = model.Qpos0.ToArray(), Array.zeroCreate 6, Array.zeroCreate model.StateSize
              simulation.Reset(ReadOnlySpan start, ReadOnlySpan zeros, Span state) |> ignore
              let initial = model.Qpos0
              let masses = model["body_mass"].Doubles
              let qpos = simulation.Physics.Qpos
              let xpos = simulation.Physics.Xpos
              let before = [ initial.ToArray(); masses.ToArray(); qpos.ToArray(); xpos.ToArray() ]
              simulation.Dispose()
              model.Dispose()
              collect ()
              let after = [ initial.ToArray(); masses.ToArray(); qpos.ToArray(); xpos.ToArray() ]
              List.iter2 (same "numbers") before after)

          for what in [ "model"; "field"; "option"; "env"; "qpos"; "xpos" ] do
              testCase $"a span keeps its numbers when its owner is collected: {what}" (fun () ->
                  let owner = WeakReference null
                  let span = orphan owner what
                  let before = span.ToArray()
                  Expect.exists before ((<>) 0.0) "numbers that freed memory would not hold"
                  collect ()
                  Expect.isFalse owner.IsAlive "the owner is gone"
                  same what before (span.ToArray()))

          testCase "owners that nobody disposes of are collected" (fun () ->
              let weak =
                  [ for _ in 1..20 do
                        let owner = WeakReference null
                        let length = (orphan owner "env").Length
                        Expect.equal length 6 "length"
                        owner ]

              collect ()
              Expect.isFalse (weak |> List.exists _.IsAlive) "all are gone")

          testCase "a function that disposes of its environments gets the sentence, not freed memory" (fun () ->
              let mutable envs: VecEnv option = None
              let mutable armed = false

              let own =
                  TaskDefinition(
                      Name = "Rail",
                      LoadModel = (fun () -> Tasks.Create("Hopper-v4").LoadModel.Invoke()),
                      FrameSkip = 1,
                      MaxEpisodeSteps = 9,
                      ObsDim = 6,
                      Observe =
                          ObserveFunction(fun physics obs ->
                              if armed then
                                  envs |> Option.iter _.Dispose()
                                  reuse ()

                              physics.Qpos.CopyTo obs),
                      Reward = RewardFunction(fun _ _ -> 0.0)
                  )

              let mine = new VecEnv(own, 1)
              envs <- Some mine
              let states = mine.Reset key
              armed <- true

              let error =
                  Expect.raises<Sdac.Environments.TaskFunctionException>(fun () ->
                      mine.Step(states, ReadOnlySpan(Array.zeroCreate<float> 3)) |> ignore)

              Expect.stringContains error.Message "Rail: Observe failed" "sentence"
              Expect.stringContains error.Message "used after Dispose" "sentence"
              disposed "VecEnv Rail" (fun () -> mine.Reset key |> ignore)) ]
