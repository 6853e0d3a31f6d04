/// What is wrong in a task of one's own is one sentence that names the task, the setting or function, and the mend.
module Sdac.Mujoco.Tests.OwnTaskFaultTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

let private key = PhiloxKey(1u, 2u, 3u, 4u)

let private modelOf (option: string) (sensor: string) =
    $"""<mujoco><option timestep="0.01"/>{option}
          <worldbody><body><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/></body></worldbody>
          <actuator><motor joint="x" ctrlrange="-5 5" ctrllimited="true"/></actuator>
          <sensor>{sensor}</sensor></mujoco>"""

let private load (xml: string) = Func<Model>(fun () -> Model.FromXml("rail.xml", xml))

/// A task without fault, for one to be put in.
type private Rail() =
    member val Load = load (modelOf "" "") with get, set
    member val FrameSkip = 2 with get, set
    member val Limit = 4 with get, set
    member val ObsDim = 2 with get, set

    member val Observe: ObserveFunction | null =
        ObserveFunction(fun physics obs ->
            obs[0] <- physics.Qpos[0]
            obs[1] <- physics.Qvel[0]) with get, set

    member val MeasureDim = 0 with get, set
    member val Measure = MeasureFunction(fun _ _ -> ()) with get, set
    member val InfoNames: string[] = [||] with get, set
    member val EpisodeFigures: string[] = [||] with get, set
    member val Reward = RewardFunction(fun _ _ -> 1.0) with get, set
    member val Terminated = TerminatedFunction(fun _ -> false) with get, set
    member val Start = StartFunction(fun _ _ _ -> ()) with get, set

    member rail.Task =
        TaskDefinition(
            Name = "Rail",
            LoadModel = rail.Load,
            FrameSkip = rail.FrameSkip,
            MaxEpisodeSteps = rail.Limit,
            ObsDim = rail.ObsDim,
            Observe = Unchecked.nonNull rail.Observe,
            MeasureDim = rail.MeasureDim,
            Measure = rail.Measure,
            InfoNames = rail.InfoNames,
            EpisodeFigures = rail.EpisodeFigures,
            Reward = rail.Reward,
            Terminated = rail.Terminated,
            Start = rail.Start
        )

/// A reset and so many steps of two environments, each with the same push.
let private steps (count: int) (task: TaskDefinition) =
    use envs = new VecEnv(task, 2)
    let push = Array.create (2 * envs.ActionDim) 0.5
    let mutable states = envs.Reset key

    for _ in 1..count do
        let struct (next, _) = envs.Step(states, ReadOnlySpan push)
        states <- next

/// The same of one environment.
let private single (count: int) (task: TaskDefinition) =
    use env = new Env(task)
    let push = Array.create env.Spec.ActionDim 0.5

    for _ in 1..count do
        env.Step(ReadOnlySpan push)

let private says<'error when 'error :> exn> (words: string list) (action: unit -> unit) =
    let error = Expect.raises<'error> action

    for word in "Rail: " :: words do
        Expect.stringContains error.Message word "sentence"

    Expect.stringLacks error.Message "\n" "one line"

/// Construction alone is refused, of either kind.
let private refused (words: string list) (task: TaskDefinition) =
    says<RefusedArgumentException> words (fun () -> (new VecEnv(task, 2)).Dispose())
    says<RefusedArgumentException> words (fun () -> (new Env(task)).Dispose())

/// How a function may write n numbers into what it is given.
let private writers: (int -> MeasureFunction) list =
    [ fun n ->
          MeasureFunction(fun _ target ->
              for i in 0 .. n - 1 do
                  target[i] <- float i)
      fun n ->
          MeasureFunction(fun _ target ->
              for i in n - 1 .. -1 .. 0 do
                  target[i] <- float i)
      fun n -> MeasureFunction(fun _ target -> (Array.create n 1.0).AsSpan().CopyTo target)
      fun n ->
          MeasureFunction(fun _ target ->
              for i in 0 .. n - 1 do
                  target.Slice(i, 1).Fill 2.0) ]

/// A task whose function `name` writes where `declared` numbers are declared.
let private writing name (declared: int) (write: MeasureFunction) =
    match name with
    | "Observe" ->
        Rail(ObsDim = declared, Observe = ObserveFunction(fun physics obs -> write.Invoke(physics, obs))).Task
    | "Measure" -> Rail(MeasureDim = declared, Measure = write).Task
    | _ ->
        Rail(
            InfoNames = Array.init declared (fun i -> $"figure {i}"),
            Reward =
                RewardFunction(fun step info ->
                    write.Invoke(step.Physics, info)
                    1.0)
        )
            .Task

let private settingOf name =
    match name with
    | "Observe" -> "ObsDim"
    | "Measure" -> "MeasureDim"
    | _ -> "InfoNames"

/// A cable from a sliding block past a cylinder, which it touches only where the block is low; joint limits too.
let private cable =
    """<mujoco><worldbody>
         <geom name="post" type="cylinder" size="0.2 1" euler="90 0 0"/>
         <site name="side" pos="0.21 0 0.21"/>
         <site name="left" pos="-1 0 0"/>
         <body pos="1 0 0">
           <joint name="up" type="slide" axis="0 0 1" limited="true" range="-0.5 0.5"/>
           <geom size="0.1" mass="1"/><site name="right"/>
         </body>
       </worldbody>
       <tendon><spatial><site site="left"/><geom geom="post"/><site site="right"/></spatial></tendon></mujoco>"""

/// After a step from `state` every field that a task's function may view holds the same, on fresh scratch and where
/// another state was stepped before.
let private viewsAreOfTheStep (model: Model) (state: float[]) (other: float[]) =
    let next, still = Array.zeroCreate<float> model.StateSize, Array.zeroCreate<float> model.Nu

    let step (simulation: Simulation) (from: float[]) =
        Expect.isNull (simulation.Step(ReadOnlySpan from, ReadOnlySpan still, 2, true, Span next)) "no warning"

    use fresh = new Simulation(model)
    use worn = new Simulation(model)
    step fresh state
    step worn other
    step worn other
    step worn state

    for field in fresh.Names do
        if fresh[field].Type = FieldType.Double && not (List.contains field [ "efc_J"; "efc_JT"; "efc_AR" ]) then
            same field (fresh.Physics[field].ToArray()) (worn.Physics[field].ToArray())

[<Tests>]
let tests =
    testList
        "faults of tasks of one's own"
        [ testCase "the task that the faults are put in has none" (fun () ->
              steps 9 (Rail().Task)
              single 9 (Rail().Task))

          testForAll "numbers below the least possible are refused by name" 40 (Gen.choose (-1_000, 0)) (fun bad ->
              refused [ "FrameSkip is"; string bad; "at least 1" ] (Rail(FrameSkip = bad).Task)
              refused [ "MaxEpisodeSteps is"; string bad; "at least 1" ] (Rail(Limit = bad).Task)
              refused [ "ObsDim is"; string bad; "at least 1" ] (Rail(ObsDim = bad).Task)
              refused [ "MeasureDim is"; string (bad - 1); "at least 0" ] (Rail(MeasureDim = bad - 1).Task)

              says<RefusedArgumentException> [ "at least one"; string bad ] (fun () ->
                  new VecEnv(Rail().Task, bad) |> ignore))

          testCase "the least numbers possible are taken" (fun () ->
              let least = Rail(FrameSkip = 1, Limit = 1, ObsDim = 1)
              least.Observe <- ObserveFunction(fun physics obs -> obs[0] <- physics.Time)
              steps 3 least.Task
              single 3 least.Task)

          testCase "more numbers than an array holds are refused" (fun () ->
              says<RefusedArgumentException> [ "ObsDim"; "fewer environments" ] (fun () ->
                  new VecEnv(Rail(ObsDim = 2_000_000_000).Task, 2) |> ignore)

              says<RefusedArgumentException> [ "MeasureDim" ] (fun () ->
                  new VecEnv(Rail(MeasureDim = Int32.MaxValue).Task, 1) |> ignore))

          testCase "what is measured may be more than a stack holds" (fun () ->
              let large = Rail(MeasureDim = 3_000_000, Measure = MeasureFunction(fun _ measured -> measured.Fill 1.0))
              steps 2 large.Task)

          testCase "missing functions and names are refused" (fun () ->
              refused [ "Observe is null" ] (Rail(Observe = null).Task)
              refused [ "entry 1 of InfoNames is empty" ] (Rail(InfoNames = [| "a"; "" |]).Task)
              refused [ "InfoNames holds a more than once" ] (Rail(InfoNames = [| "a"; "b"; "a" |]).Task)

              let two = [| "a"; "b" |]

              refused
                  [ "EpisodeFigures holds c, which is none of InfoNames (a, b)" ]
                  (Rail(InfoNames = two, EpisodeFigures = [| "b"; "c" |]).Task)

              refused
                  [ "EpisodeFigures holds b more than once" ]
                  (Rail(InfoNames = two, EpisodeFigures = [| "b"; "b" |]).Task)

              let nameless =
                  TaskDefinition(
                      Name = " ",
                      LoadModel = Rail().Load,
                      FrameSkip = 1,
                      MaxEpisodeSteps = 1,
                      ObsDim = 1,
                      Observe = ObserveFunction(fun _ _ -> ()),
                      Reward = RewardFunction(fun _ _ -> 0.0)
                  )

              failsWith [ "no Name" ] (fun () -> new VecEnv(nameless, 1) |> ignore)

              says<RefusedArgumentException> [ "divergence is 7" ] (fun () ->
                  new VecEnv(Rail().Task, 1, enum 7) |> ignore))

          testCase "names of figures are those of the moment of construction" (fun () ->
              let names = ResizeArray [ "a" ]

              let growing =
                  TaskDefinition(
                      Name = "Rail",
                      LoadModel = Rail().Load,
                      FrameSkip = 1,
                      MaxEpisodeSteps = 9,
                      ObsDim = 1,
                      Observe = ObserveFunction(fun _ obs -> obs[0] <- 0.0),
                      InfoNames = names,
                      Reward =
                          RewardFunction(fun _ info ->
                              (info[0] <- 1.0
                               1.0))
                  )

              use envs = new VecEnv(growing, 1)
              let result = envs.NewResult()
              names.Add "b"
              envs.StepInto(envs.Reset key, ReadOnlySpan [| 0.0 |], envs.NewStates(), result)
              Expect.equal (result.InfoDim, envs.Spec.InfoNames.Count) (1, 1) "figures")

          for timestep in [ "0"; "-0.01"; "nan"; "inf" ] do
              testCase $"a timestep that cannot advance the physics is refused: {timestep}" (fun () ->
                  let model = (modelOf "" "").Replace("0.01", timestep)
                  refused [ "timestep"; "rail.xml" ] (Rail(Load = load model).Task))

          testCase "control ranges that are no range are refused" (fun () ->
              for range in [ "nan 5"; "-5 nan" ] do
                  let model = (modelOf "" "").Replace("-5 5", range)
                  refused [ "ctrlrange of actuator 0"; "NaN" ] (Rail(Load = load model).Task))

          testCase "a model that cannot be had is refused" (fun () ->
              let disposed = load (modelOf "" "") |> _.Invoke()
              disposed.Dispose()
              refused [ "rail.xml after its Dispose"; "new one" ] (Rail(Load = Func<Model>(fun () -> disposed)).Task)
              let none = Func<Model>(fun () -> Unchecked.defaultof<Model>)
              refused [ "LoadModel returned null" ] (Rail(Load = none).Task)

              says<TaskFunctionException> [ "LoadModel failed with Exception: no disk" ] (fun () ->
                  new Env(Rail(Load = Func<Model>(fun () -> failwith "no\ndisk")).Task) |> ignore))

          testForAll
              "what is written is as much as is declared, or both numbers are named"
              200
              (gen {
                  let! name = Gen.elements [ "Observe"; "Measure"; "Reward" ]
                  let! declared = Gen.choose ((if name = "Observe" then 1 else 0), 6)
                  let! written = Gen.oneof [ Gen.choose (0, 9); Gen.choose (0, 3_000) ]
                  let! write = Gen.elements writers
                  let! run = Gen.elements [ steps; single ]
                  return name, declared, written, write, run
              })
              (fun (name, declared, written, write, run) ->
                  let act () = run 1 (writing name declared (write written))

                  if written = declared then
                      act ()
                  else
                      says<RefusedArgumentException>
                          [ $"{name} writes {written} numbers"; $"{settingOf name} is {declared}" ]
                          act)

          testCase "an entry that is only sometimes written is found when it is not" (fun () ->
              let sometimes =
                  Rail(
                      Observe =
                          ObserveFunction(fun physics obs ->
                              obs[1] <- physics.Qvel[0]

                              if physics.Time < 0.05 then
                                  obs[0] <- 1.0)
                  )

              steps 2 sometimes.Task
              single 2 sometimes.Task

              says<RefusedArgumentException> [ "Observe"; "entry 0 is not written"; "every call" ] (fun () ->
                  steps 3 sometimes.Task)

              says<RefusedArgumentException> [ "Observe"; "entry 0 is not written" ] (fun () ->
                  single 3 sometimes.Task)
              // That is no divergence, which an option would pass over.
              says<RefusedArgumentException> [ "entry 2 is not written" ] (fun () ->
                  use envs = new VecEnv(Rail(ObsDim = 3).Task, 2, Divergence.Reset)
                  envs.Reset key |> ignore))

          testCase "a NaN that a function writes is called NaN" (fun () ->
              for bad in [ nan; infinity; BitConverter.Int64BitsToDouble 0x7FF8_0000_0000_0001L ] do
                  let spoilt =
                      ObserveFunction(fun _ obs ->
                          (obs[0] <- 0.0
                           obs[1] <- bad))

                  let error = Expect.raises<SimulationException>(fun () -> steps 1 (Rail(Observe = spoilt).Task))

                  Expect.stringContains error.Message "entry 1 of the observation is" "sentence"

                  let reward =
                      Expect.raises<SimulationException>(fun () ->
                          steps 1 (Rail(Reward = RewardFunction(fun _ _ -> bad)).Task))

                  Expect.stringContains reward.Message "step 1 of its episode: the reward is" "sentence"

                  for name, spoil in
                      [ "qpos", StartFunction(fun _ qpos _ -> qpos[0] <- bad)
                        "qvel", StartFunction(fun _ _ qvel -> qvel[0] <- bad) ] do
                      let blind = Rail(ObsDim = 1, Start = spoil)
                      blind.Observe <- ObserveFunction(fun _ obs -> obs[0] <- 0.0)
                      let error = Expect.raises<SimulationException>(fun () -> steps 0 blind.Task)
                      Expect.stringContains error.Message $"entry 0 of the {name} that Start gives" "sentence")

          testForAll "a start is no longer than the model's" 30 (Gen.choose (1, 3_000)) (fun place ->
              for name, write in
                  [ "qpos", StartFunction(fun _ qpos _ -> qpos[place] <- 1.0)
                    "qvel", StartFunction(fun _ _ qvel -> qvel[place] <- 1.0) ] do
                  says<RefusedArgumentException> [ $"Start writes {place + 1} numbers of {name}"; "has 1" ] (fun () ->
                      steps 0 (Rail(Start = write).Task)))

          testCase "a function that throws is named with its task" (fun () ->
              let fail _ = failwith "out of\nluck"

              for name, task in
                  [ "Observe", Rail(Observe = ObserveFunction(fun _ _ -> fail ())).Task
                    "Measure", Rail(Measure = MeasureFunction(fun _ _ -> fail ())).Task
                    "Reward", Rail(Reward = RewardFunction(fun _ _ -> fail ())).Task
                    "Terminated", Rail(Terminated = TerminatedFunction(fun _ -> fail ())).Task ] do
                  for run in [ steps; single ] do
                      says<TaskFunctionException> [ $"{name} failed with Exception: out of luck" ] (fun () ->
                          run 1 task)

              says<TaskFunctionException> [ "Start failed with Exception: out of luck" ] (fun () ->
                  steps 0 (Rail(Start = StartFunction(fun _ _ _ -> fail ())).Task))

              says<TaskFunctionException> [ "Reward failed"; "Before and After have 0 by MeasureDim" ] (fun () ->
                  steps 1 (Rail(Reward = RewardFunction(fun step _ -> step.Before[0])).Task))

              says<TaskFunctionException> [ "Observe failed"; "no field xposs; the nearest is xpos" ] (fun () ->
                  steps 0 (Rail(Observe = ObserveFunction(fun physics _ -> physics["xposs"].Length |> ignore)).Task)))

          testCase "environments go on after a function threw" (fun () ->
              let mutable fail = false

              let moody =
                  Rail(
                      Reward =
                          RewardFunction(fun _ _ ->
                              if fail then
                                  failwith "now"

                              1.0)
                  )

              use envs = new VecEnv(moody.Task, 3)
              let states, action = envs.Reset key, Array.zeroCreate<float> 3
              let struct (expected, _) = envs.Step(states, ReadOnlySpan action)
              fail <- true
              says<TaskFunctionException> [ "Reward" ] (fun () -> envs.Step(states, ReadOnlySpan action) |> ignore)
              fail <- false
              let struct (again, _) = envs.Step(states, ReadOnlySpan action)
              same "physics" (expected.Physics.ToArray()) (again.Physics.ToArray()))

          testCase "sensor noise from C's rand() is refused, sensors without it are not" (fun () ->
              let flag = """<option><flag sensornoise="enable"/></option>"""
              let noise = """<jointpos joint="x" noise="0.1"/>"""

              refused
                  [ "rail.xml enables sensornoise"; "take the flag out" ]
                  (Rail(Load = load (modelOf flag noise)).Task)

              steps 2 (Rail(Load = load (modelOf "" noise)).Task)
              steps 2 (Rail(Load = load (modelOf flag """<jointpos joint="x"/>""")).Task))

          testCase "a model may be without joints, actuators or both" (fun () ->
              let still = Rail(ObsDim = 1, Observe = ObserveFunction(fun physics obs -> obs[0] <- physics.Time))

              for body in [ ""; "<body><geom size='1'/></body>"; "<body><freejoint/><geom size='1'/></body>" ] do
                  still.Load <- load $"<mujoco><worldbody>{body}</worldbody></mujoco>"
                  steps 3 still.Task
                  single 3 still.Task
                  use envs = new VecEnv(still.Task, 1)
                  envs.Spec.ScaleActions(ReadOnlySpan.Empty, Span.Empty)

                  says<RefusedArgumentException> [ "rows of 0" ] (fun () ->
                      envs.Spec.ScaleActions(ReadOnlySpan [| 1.0f |], Span [| 0.0f |])))

          testCase "options that cannot be are refused by name" (fun () ->
              for bad in [ nan; infinity; -infinity ] do
                  failsWith [ "Hopper-v4"; "reset_noise_scale"; "finite" ] (fun () ->
                      Hopper.Task(HopperOptions(ResetNoiseScale = bad)) |> ignore)

                  failsWith [ "Ant-v4"; "ctrl_cost_weight"; "finite" ] (fun () ->
                      Ant.Task(AntOptions(CtrlCostWeight = bad)) |> ignore)

                  failsWith [ "finite" ] (fun () -> StartNoise.Uniform bad |> ignore)
                  failsWith [ "finite" ] (fun () -> StartNoise.UniformAndNormal bad |> ignore)

              failsWith [ "Ant-v4"; "contact_force_range"; "[1, -1]" ] (fun () ->
                  Ant.Task(AntOptions(ContactForceRange = Interval(1.0, -1.0))) |> ignore)

              failsWith [ "Walker2d-v4"; "healthy_z_range" ] (fun () ->
                  Walker2d.Task(Walker2dOptions(HealthyZRange = Interval(nan, 1.0))) |> ignore)

              let twice =
                  [ Collections.Generic.KeyValuePair("ctrl_cost_weight", "1")
                    Collections.Generic.KeyValuePair("ctrl_cost_weight", "2") ]

              failsWith [ "Hopper-v4"; "ctrl_cost_weight"; "more than once" ] (fun () ->
                  Tasks.Suite.Create("Hopper-v4", twice) |> ignore))

          testCase "a point that no rule accepts is not drawn for ever" (fun () ->
              let draw low high accept (point: float[]) =
                  StartNoise.DrawUntil(key, low, high, 0.0, 1.0, AcceptFunction(fun _ -> accept), Span point)

              let error = Expect.raises<RefusedOperationException>(fun () -> draw 0.0 1.0 false (Array.zeroCreate 2))
              Expect.stringContains error.Message "was accepted" "sentence"

              for low, high in [ nan, 1.0; 1.0, 0.0; 0.0, infinity ] do
                  failsWith [ "low <= high" ] (fun () -> draw low high true (Array.zeroCreate 2))

              failsWith [ "2 numbers" ] (fun () -> draw 0.0 1.0 true (Array.zeroCreate 3)))

          testCase "noise is drawn for models of any size" (fun () ->
              let many = Array.zeroCreate<float> 5_000_000
              StartNoise.AddUniform(key, 1.0, Span many)
              let few = Array.zeroCreate<float> 7
              StartNoise.AddUniform(key, 1.0, Span few)
              same "first numbers" few many[..6])

          testForAll
              "what a task's functions can view does not depend on what was stepped before"
              20
              (Gen.zip task Properties.key)
              (fun (name, key) ->
                  use envs = new VecEnv(Tasks.Create name, 2)
                  let actions = actions envs.Spec 2 30 key
                  let mutable states = envs.Reset key

                  for action in actions do
                      let struct (next, _) = envs.Step(states, ReadOnlySpan action)
                      states <- next

                  viewsAreOfTheStep
                      (MujocoEngine.ModelOf envs)
                      (states.Physics.Slice(0, (MujocoEngine.ModelOf envs).StateSize).ToArray())
                      (states.Physics.Slice((MujocoEngine.ModelOf envs).StateSize).ToArray()))

          testCase "nor do the views of tendons that wrap, and of constraints" (fun () ->
              use model = Model.FromXml("cable.xml", cable)
              let near, far = Array.zeroCreate<float> model.StateSize, Array.zeroCreate<float> model.StateSize
              far[1] <- 0.8
              viewsAreOfTheStep model near far
              viewsAreOfTheStep model far near
              use simulation = new Simulation(model)

              let error =
                  Expect.raises<RefusedOperationException>(fun () -> simulation.Physics["efc_J"].Length |> ignore)

              Expect.stringContains error.Message "efc_J" "sentence") ]
