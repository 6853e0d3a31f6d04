/// A model and functions of one's own, as a script writes them.
module Sdac.Mujoco.Tests.OwnTaskTests

open System
open System.IO
open Expecto
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

let private slider =
    """<mujoco model="slider">
         <option timestep="0.01"/>
         <worldbody>
           <body name="block">
             <joint type="slide" axis="1 0 0"/>
             <geom type="box" size="0.1 0.1 0.1" mass="2"/>
             <site name="nose" pos="0.1 0 0"/>
           </body>
         </worldbody>
         <actuator><motor joint="" gear="4"/></actuator>
         <sensor><framepos objtype="body" objname="block"/></sensor>
       </mujoco>"""
        .Replace("<joint type", "<joint name=\"x\" type")
        .Replace("joint=\"\"", "joint=\"x\"")

let private task =
    TaskDefinition(
        Name = "Slider",
        LoadModel = (fun () -> Model.FromXml("slider", slider)),
        FrameSkip = 5,
        MaxEpisodeSteps = 40,
        ObsDim = 4,
        Observe =
            ObserveFunction(fun physics obs ->
                obs[0] <- physics.Qpos[0]
                obs[1] <- physics.Qvel[0]
                obs[2] <- physics.BodyPosition("block").[0]
                obs[3] <- physics.SensorData[0]),
        MeasureDim = 1,
        Measure = MeasureFunction(fun physics measured -> measured[0] <- physics.Qpos[0]),
        InfoNames = [| "speed" |],
        Reward =
            RewardFunction(fun step info ->
                info[0] <- (step.After[0] - step.Before[0]) / step.Dt
                info[0]),
        Terminated = TerminatedFunction(fun physics -> physics.Qpos[0] > 1.0),
        Start = StartFunction(fun key qpos _ -> StartNoise.AddUniform(key, 0.1, qpos))
    )

[<Tests>]
let tests =
    testList
        "tasks of one's own"
        [ testCase "a block pushed by a constant force follows Newton's law" (fun () ->
              use env = new Env(task)
              let push = [| 1.0 |]
              env.Step(ReadOnlySpan push)
              // Semi-implicit Euler, a = 4 / 2: v = 2·0.05, x = 2·0.01²·(1 + 2 + 3 + 4 + 5).
              Expect.floatClose (within 5e-13) (env.Qvel[0]) 0.1 "qvel"
              Expect.floatClose (within 5e-13) (env.Qpos[0]) 0.003 "qpos"
              Expect.floatClose (within 5e-13) env.Reward (0.003 / 0.05) "reward"
              Expect.equal (env.Info[0]) env.Reward "info"
              Expect.isTrue (Double.IsInfinity env.Spec.ActionHigh[0]) "action high")

          testCase "own tasks run in batches, terminate, truncate and start by their own rules" (fun () ->
              use envs = new VecEnv(task, 2)
              let mutable states = envs.Reset(PhiloxKey(1u, 0u, 0u, 0u))
              let actions = [| 1.0; 0.0 |]
              let mutable terminations, truncations = 0, 0

              for _ in 1..80 do
                  let struct (next, result) = envs.Step(states, ReadOnlySpan actions)

                  if result.Terminated[0] then
                      terminations <- terminations + 1
                      Expect.isTrue (result.NextObs[0] > 1.0 && abs next.Observations[0] <= 0.1) "next obs"

                  if result.Truncated[1] then
                      truncations <- truncations + 1

                  states <- next

              Expect.isTrue (terminations >= 2) "terminations"
              Expect.equal truncations 2 "truncations")

          testCase "a model may come from a file" (fun () ->
              let path = Path.Combine(Path.GetTempPath(), $"slider-{Guid.NewGuid()}.xml")
              File.WriteAllText(path, slider)

              try
                  use model = Model.FromFile path
                  Expect.equal (model.Nq, model.Nv, model.Nu) (1, 1, 1) "nq, nv and nu"
                  use simulation = new Simulation(model)
                  Expect.equal (simulation["sensordata"].Length) 3 "number of simulation"
              finally
                  File.Delete path) ]
