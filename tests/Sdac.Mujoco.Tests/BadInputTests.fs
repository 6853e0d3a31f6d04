/// One sentence that names the thing, the place and the mend.
module Sdac.Mujoco.Tests.BadInputTests

open System
open System.IO
open Expecto
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Testing

let private key = PhiloxKey(1u, 2u, 3u, 4u)

let private says<'error when 'error :> exn> (parts: string list) (action: unit -> unit) =
    let error = Expect.raises<'error> action

    for part in parts do
        Expect.stringContains error.Message part "sentence"

/// Two environments of which the second flies apart.
let private diverging (envs: VecEnv) =
    let states = envs.Reset key
    let physics = states.Physics.ToArray()
    physics[(MujocoEngine.ModelOf envs).StateSize + 1 + (MujocoEngine.ModelOf envs).Nq] <- 1e12

    EnvStates(
        states.Task,
        states.Keys,
        ReadOnlySpan physics,
        states.Observations,
        states.Measures,
        states.Returns,
        states.Elapsed,
        states.Episodes
    )

let private crowd (attributes: string) =
    let spheres =
        String.concat "" [ for i in 0..5 -> $"""<body pos="{i} 0 0.05"><freejoint/><geom size="0.1"/></body>""" ]

    $"""<mujoco><size {attributes}/><worldbody><geom type="plane" size="9 9 1"/>{spheres}</worldbody></mujoco>"""

let private watch (xml: string) =
    TaskDefinition(
        Name = "Crowd",
        LoadModel = (fun () -> Model.FromXml("crowd", xml)),
        FrameSkip = 1,
        MaxEpisodeSteps = 10,
        ObsDim = 1,
        Observe = ObserveFunction(fun physics obs -> obs[0] <- physics.Qpos[2]),
        Reward = RewardFunction(fun _ _ -> 0.0)
    )

[<Tests>]
let tests =
    testList
        "bad input"
        [ for text in [ "NaN"; "Infinity"; "-Infinity" ] do
              testCase $"actions that are not finite never reach the engine: {text}" (fun () ->
                  let bad = float text
                  use envs = new VecEnv(Tasks.Create "HalfCheetah-v4", 3)
                  let states = envs.Reset key

                  for place in 0..17 do
                      let actions = Array.zeroCreate<float> 18
                      actions[place] <- bad
                      let where = $"component {place % 6} of environment {place / 6}"

                      says<ActionException> [ where; text ] (fun () ->
                          envs.Step(states, ReadOnlySpan actions) |> ignore)

                      let narrow = Array.map float32 actions
                      says<ActionException> [ where ] (fun () -> envs.Step(states, ReadOnlySpan narrow) |> ignore)

                  use env = new Env(Tasks.Create "HalfCheetah-v4")
                  let single = [| 0.0; 0.0; 0.0; 0.0; bad; 0.0 |]
                  says<RefusedArgumentException> [ "entry 4 of the action" ] (fun () -> env.Step(ReadOnlySpan single)))

          testCase "wrong lengths, foreign states and foreign buffers are refused" (fun () ->
              use envs = new VecEnv(Tasks.Create "HalfCheetah-v4", 2)
              use hopper = new VecEnv(Tasks.Create "Hopper-v4", 2)
              let states = envs.Reset key
              let actions = Array.zeroCreate<float> 12
              let short = Array.zeroCreate<float> 11

              says<RefusedArgumentException> [ "2 x 6"; "not 11" ] (fun () ->
                  envs.Step(states, ReadOnlySpan short) |> ignore)

              let foreign = hopper.Reset key

              says<RefusedArgumentException> [ "Hopper-v4"; "Cheetah" ] (fun () ->
                  envs.Step(foreign, ReadOnlySpan actions) |> ignore)

              let small = Array.zeroCreate<float32> 33

              says<RefusedArgumentException> [ "2 x 17"; "33" ] (fun () ->
                  envs.StepInto(
                      states,
                      ReadOnlySpan actions,
                      envs.NewStates(),
                      envs.NewResult(),
                      Span.Empty,
                      Span small
                  ))

              says<RefusedArgumentException> [ "NewResult" ] (fun () ->
                  envs.StepInto(states, ReadOnlySpan actions, envs.NewStates(), hopper.NewResult()))

              says<RefusedArgumentException> [ "34 numbers" ] (fun () -> states.CopyObservations(Span small))

              says<RefusedArgumentException> [ "at least one" ] (fun () ->
                  new VecEnv(Tasks.Create "Hopper-v4", 0) |> ignore)

              says<RefusedArgumentException> [ "rows of 6" ] (fun () ->
                  envs.Spec.ScaleActions(ReadOnlySpan small, Span small))

              use env = new Env(Tasks.Create "Hopper-v4")

              says<RefusedArgumentException> [ "qpos has 6 numbers, not 11" ] (fun () ->
                  env.SetState(ReadOnlySpan short, ReadOnlySpan short)))

          testCase "a diverging simulation is reported with task, environment, step and MuJoCo's words" (fun () ->
              use envs = new VecEnv(Tasks.Create "HalfCheetah-v4", 2)
              let actions = Array.zeroCreate<float> 12
              let states = diverging envs

              let error =
                  Expect.raises<SimulationException>(fun () -> envs.Step(states, ReadOnlySpan actions) |> ignore)

              Expect.equal
                  (error.Task, error.Environment, error.Step)
                  ("HalfCheetah-v4", 1, 1)
                  "task, environment and step"

              Expect.stringContains error.Cause "QVEL" "cause"
              // The environments are still good for other states.
              envs.Step(envs.Reset key, ReadOnlySpan actions) |> ignore)

          testCase "a diverging simulation begins anew where the option says so" (fun () ->
              use envs = new VecEnv(Tasks.Create "HalfCheetah-v4", 2, Divergence.Reset)
              let actions = Array.zeroCreate<float> 12
              let states = diverging envs
              let struct (next, result) = envs.Step(states, ReadOnlySpan actions)
              Expect.isTrue (isNull result.Warnings[0]) "no warning of the first"
              Expect.stringContains (string result.Warnings[1]) "QVEL" "warnings"

              Expect.equal
                  (result.Terminated[1], result.Truncated[1], result.Rewards[1])
                  (false, true, 0.0)
                  "terminated, truncated and rewards"

              Expect.equal
                  (result.NextObs.Slice(17).ToArray())
                  (states.Observations.Slice(17).ToArray())
                  "observation before the reset"

              Expect.equal (next.Elapsed[1], next.Episodes[1]) (0, 1L) "elapsed and episodes"
              Expect.equal (next.Elapsed[0], next.Episodes[0]) (1, 0L) "elapsed and episodes"
              Expect.isTrue (next.Observations.ToArray() |> Array.forall Double.IsFinite) "observations")

          testCase "full buffers are reported in MuJoCo's words" (fun () ->
              let report (attributes: string) =
                  use envs = new VecEnv(watch (crowd attributes), 1)
                  let none = Array.zeroCreate<float> 0
                  envs.Step(envs.Reset key, ReadOnlySpan none) |> ignore

              says<SimulationException> [ "Crowd, environment 0"; "contact" ] (fun () -> report "nconmax=\"2\"")
              says<SimulationException> [ "Crowd, environment 0"; "constraint" ] (fun () -> report "njmax=\"6\"")
              report "nconmax=\"100\"")

          testCase "an error inside the engine is an exception, and the engine goes on" (fun () ->
              for _ in 1..3 do
                  says<MujocoException> [ "tack" ] (fun () ->
                      use envs = new VecEnv(watch (crowd "nstack=\"50\""), 1)
                      envs.Reset key |> ignore)

              use envs = new VecEnv(Tasks.Create "Hopper-v4", 1)
              envs.Reset key |> ignore)

          testCase "observations and rewards that are not finite stop the run by name" (fun () ->
              let odd = watch (crowd "nconmax=\"100\"")
              let none = Array.zeroCreate<float> 0

              let run (task: TaskDefinition) =
                  use envs = new VecEnv(task, 2)
                  envs.Step(envs.Reset key, ReadOnlySpan none) |> ignore

              let task observe reward =
                  TaskDefinition(
                      Name = "Odd",
                      LoadModel = odd.LoadModel,
                      FrameSkip = 1,
                      MaxEpisodeSteps = 10,
                      ObsDim = 1,
                      Observe = ObserveFunction(fun physics obs -> obs[0] <- observe physics.Time),
                      Reward = RewardFunction(fun _ _ -> reward)
                  )

              let never, later = (fun _ -> nan), (fun time -> if time > 0.0 then infinity else 0.0)

              says<SimulationException> [ "step 0"; "entry 0 of the observation is NaN" ] (fun () ->
                  run (task never 0.0))

              says<SimulationException> [ "Odd, environment 0, step 1"; "observation" ] (fun () ->
                  run (task later 0.0))

              says<SimulationException> [ "step 1"; "the reward is NaN" ] (fun () -> run (task (fun _ -> 0.0) nan)))

          testCase "an MJCF error shows MuJoCo's own message with the model's name" (fun () ->
              let path = Path.Combine(Path.GetTempPath(), $"broken-{Guid.NewGuid()}.xml")
              File.WriteAllText(path, "<mujoco><worldbody><body><geom size=\"-1\"/></body></worldbody></mujoco>")

              try
                  says<MujocoException> [ path; "size" ] (fun () -> Model.FromFile path |> ignore)
              finally
                  File.Delete path

              says<MujocoException> [ "mine"; "XML" ] (fun () -> Model.FromXml("mine", "<mujoco><oops") |> ignore)
              let wheel = "<mujoco><worldbody><wheel/></worldbody></mujoco>"
              says<MujocoException> [ "mine"; "wheel" ] (fun () -> Model.FromXml("mine", wheel) |> ignore)
              says<MujocoException> [ "nowhere.xml does not exist" ] (fun () -> Model.FromFile "nowhere.xml" |> ignore))

          testCase "unknown fields and bodies are answered with the nearest" (fun () ->
              use model = Tasks.Create("Hopper-v4").LoadModel.Invoke()
              says<RefusedArgumentException> [ "the nearest is body_mass" ] (fun () -> model["body_mas"] |> ignore)

              says<RefusedArgumentException> [ "no body feet; the nearest is foot" ] (fun () ->
                  model.Body "feet" |> ignore)

              let masses = model["body_mass"]

              says<RefusedOperationException> [ "body_mass is a Double field" ] (fun () ->
                  masses.Ints.Length |> ignore)

              use simulation = new Simulation(model)
              says<RefusedArgumentException> [ "the nearest is xpos" ] (fun () -> simulation["xposs"] |> ignore))

          testCase "a missing MuJoCo names the mend" (fun () ->
              let failure = string (MujocoLibrary.FailureOf "/nowhere/libmujoco.so")
              Expect.stringContains failure "SDAC_MUJOCO=/nowhere/libmujoco.so" "failure"
              Expect.stringContains failure "./build.sh setup" "failure"
              Expect.stringContains (string (MujocoLibrary.FailureOf "libc.so.6")) "lacks the function" "failure"
              Expect.isTrue MujocoLibrary.IsAvailable "available")

          testCase "only versions that no test covers are warned about" (fun () ->
              Expect.isTrue (isNull (MujocoLibrary.VersionWarning "2.2.2")) "no warning"
              Expect.stringContains (string (MujocoLibrary.VersionWarning "3.2.3")) "3.2.3" "version warning")

          testCase "environments are not stepped while they are being stepped" (fun () ->
              let mutable again = ignore
              let crowd = watch (crowd "nconmax=\"100\"")

              let nosy =
                  TaskDefinition(
                      Name = "Nosy",
                      LoadModel = crowd.LoadModel,
                      FrameSkip = 1,
                      MaxEpisodeSteps = 10,
                      ObsDim = 1,
                      Observe =
                          ObserveFunction(fun _ obs ->
                              obs[0] <- 0.0
                              again ()),
                      Reward = RewardFunction(fun _ _ -> 0.0)
                  )

              use envs = new VecEnv(nosy, 1)
              let none = Array.zeroCreate<float> 0
              let states = envs.Reset key
              again <- fun () -> envs.Step(states, ReadOnlySpan none) |> ignore
              says<Sdac.Environments.TaskFunctionException> [ "Nosy"; "its own VecEnv" ] again
              again <- ignore
              envs.Step(states, ReadOnlySpan none) |> ignore) ]
