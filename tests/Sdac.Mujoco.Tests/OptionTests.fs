/// Task options under Gymnasium's names.
module Sdac.Mujoco.Tests.OptionTests

open System
open System.Collections.Generic
open System.Text.Json
open Expecto
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

let private create task (options: (string * objnull) list) = Tasks.Create(task, Dictionary(dict options))

let private json (text: string) = JsonDocument.Parse(text).RootElement

/// One step from the initial state with the same action: reward and info by name.
let private oneStep task options =
    use env = new Env(create task options)
    let action = Array.create env.Spec.ActionDim 0.2
    env.Step(ReadOnlySpan action)
    env.Reward, Map [ for i in 0 .. env.Spec.InfoNames.Count - 1 -> env.Spec.InfoNames[i], env.Info[i] ]

let private refused (part: string) (action: unit -> unit) =
    let error = Expect.raises<RefusedArgumentException> action
    Expect.stringContains error.Message part "sentence"

[<Tests>]
let tests =
    testList
        "options"
        [ testCase "options have Gymnasium's names and defaults" (fun () ->
              let defaults task = [ for item in Tasks.Create(task: string).Options -> item.Key, string item.Value ]

              Expect.equal
                  (defaults "Ant-v4")
                  [ "ctrl_cost_weight", "0.5"
                    "use_contact_forces", "False"
                    "contact_cost_weight", "0.0005"
                    "healthy_reward", "1"
                    "terminate_when_unhealthy", "True"
                    "healthy_z_range", "[0.2, 1]"
                    "contact_force_range", "[-1, 1]"
                    "reset_noise_scale", "0.1"
                    "exclude_current_positions_from_observation", "True" ]
                  "defaults"

              Expect.equal
                  (defaults "Hopper-v4")
                  [ "forward_reward_weight", "1"
                    "ctrl_cost_weight", "0.001"
                    "healthy_reward", "1"
                    "terminate_when_unhealthy", "True"
                    "healthy_state_range", "[-100, 100]"
                    "healthy_z_range", "[0.7, Infinity]"
                    "healthy_angle_range", "[-0.2, 0.2]"
                    "reset_noise_scale", "0.005"
                    "exclude_current_positions_from_observation", "True" ]
                  "defaults"

              Expect.equal
                  (defaults "Humanoid-v4")
                  [ "forward_reward_weight", "1.25"
                    "ctrl_cost_weight", "0.1"
                    "healthy_reward", "5"
                    "terminate_when_unhealthy", "True"
                    "healthy_z_range", "[1, 2]"
                    "reset_noise_scale", "0.01"
                    "exclude_current_positions_from_observation", "True" ]
                  "defaults"

              Expect.equal
                  (defaults "Walker2d-v4")
                  [ "forward_reward_weight", "1"
                    "ctrl_cost_weight", "0.001"
                    "healthy_reward", "1"
                    "terminate_when_unhealthy", "True"
                    "healthy_z_range", "[0.8, 2]"
                    "healthy_angle_range", "[-1, 1]"
                    "reset_noise_scale", "0.005"
                    "exclude_current_positions_from_observation", "True" ]
                  "defaults"

              for task, cost in [ "HalfCheetah-v4", "0.1"; "Swimmer-v4", "0.0001" ] do
                  Expect.equal
                      (defaults task)
                      [ "forward_reward_weight", "1"
                        "ctrl_cost_weight", cost
                        "reset_noise_scale", "0.1"
                        "exclude_current_positions_from_observation", "True" ]
                      "defaults"

              for task in [ "Reacher-v4"; "Pusher-v4"; "InvertedPendulum-v4"; "InvertedDoublePendulum-v4" ] do
                  Expect.isEmpty (defaults task) "defaults")

          testCase "an option may be a value, JSON or text" (fun () ->
              let range = Interval(0.5, 3.0)

              for value: objnull in [ box range; box [| 0.5; 3.0 |]; box (json "[0.5, 3]"); box "[0.5, 3]" ] do
                  Expect.equal
                      (unbox (create "Walker2d-v4" [ "healthy_z_range", value ]).Options["healthy_z_range"])
                      range
                      "range"

              for value: objnull in [ box 2.0; box 2; box 2.0f; box (json "2"); box "2.0" ] do
                  Expect.equal
                      (unbox (create "Walker2d-v4" [ "healthy_reward", value ]).Options["healthy_reward"])
                      2.0
                      "reward"

              for value: objnull in [ box false; box (json "false"); box "false" ] do
                  let options = (create "Walker2d-v4" [ "terminate_when_unhealthy", value ]).Options
                  Expect.equal (unbox options["terminate_when_unhealthy"]) false "options"

              let endless = create "Hopper-v4" [ "healthy_z_range", box (json "[0.1, \"Infinity\"]") ]
              Expect.equal (unbox endless.Options["healthy_z_range"]) (Interval(0.1, infinity)) "options")

          testCase "including the positions lengthens the observation by them" (fun () ->
              let inPlane, inSpace =
                  [ "HalfCheetah-v4"; "Hopper-v4"; "Walker2d-v4" ], [ "Swimmer-v4"; "Ant-v4"; "Humanoid-v4" ]

              for task, more in [ for task in inPlane -> task, 1 ] @ [ for task in inSpace -> task, 2 ] do
                  use short = new Env(Tasks.Create task)
                  use long = new Env(create task [ "exclude_current_positions_from_observation", box false ])
                  Expect.equal long.Spec.ObsDim (short.Spec.ObsDim + more) "obs dim"
                  let action = Array.create short.Spec.ActionDim 0.3

                  for _ in 1..3 do
                      short.Step(ReadOnlySpan action)
                      long.Step(ReadOnlySpan action)

                  same task (long.Qpos.Slice(0, more).ToArray()) (long.Obs.Slice(0, more).ToArray())
                  same task (short.Obs.ToArray()) (long.Obs.Slice(more).ToArray()))

          testCase "weights scale their parts of the reward" (fun () ->
              for task in [ "HalfCheetah-v4"; "Hopper-v4"; "Walker2d-v4"; "Swimmer-v4"; "Humanoid-v4"; "Ant-v4" ] do
                  let reward, info = oneStep task []
                  let costly = Tasks.Create(task).Options["ctrl_cost_weight"] :?> float
                  let dearer, _ = oneStep task [ "ctrl_cost_weight", box (costly + 1.0) ]
                  use env = new Env(Tasks.Create task)
                  Expect.floatClose (within 5e-10) (reward - dearer) (0.04 * float env.Spec.ActionDim) "reward"

                  if task <> "Ant-v4" then
                      let weight = Tasks.Create(task).Options["forward_reward_weight"] :?> float
                      let faster, _ = oneStep task [ "forward_reward_weight", box (weight + 2.0) ]
                      Expect.floatClose (within 5e-10) (faster - reward) (2.0 * info["x_velocity"]) "faster"

              for task in [ "Hopper-v4"; "Walker2d-v4"; "Humanoid-v4"; "Ant-v4" ] do
                  let reward, _ = oneStep task []
                  let usual = Tasks.Create(task).Options["healthy_reward"] :?> float
                  let healthier, _ = oneStep task [ "healthy_reward", box (usual + 3.0) ]
                  Expect.floatClose (within 5e-10) (healthier - reward) 3.0 "healthier")

          testCase "ill health ends the episode only where the option says so, and is paid only then" (fun () ->
              // At the initial height nobody is inside [5, 6].
              for task in [ "Hopper-v4"; "Walker2d-v4"; "Humanoid-v4"; "Ant-v4" ] do
                  let ill = "healthy_z_range", box (Interval(5.0, 6.0))
                  use ending = new Env(create task [ ill ])
                  use going = new Env(create task [ ill; "terminate_when_unhealthy", box false ])
                  let action = Array.zeroCreate<float> ending.Spec.ActionDim
                  ending.Step(ReadOnlySpan action)
                  going.Step(ReadOnlySpan action)
                  Expect.isTrue ending.Terminated "terminated"
                  Expect.isFalse going.Terminated "terminated"
                  let healthy = Tasks.Create(task).Options["healthy_reward"] :?> float
                  Expect.floatClose (within 5e-13) (ending.Reward - going.Reward) healthy "reward")

          testCase "Hopper's angle and state ranges decide about its health" (fun () ->
              for option, range in
                  [ "healthy_angle_range", Interval(0.5, 1.0); "healthy_state_range", Interval(3.0, 4.0) ] do
                  use env = new Env(create "Hopper-v4" [ option, box range ])
                  let action = Array.zeroCreate<float> 3
                  env.Step(ReadOnlySpan action)
                  Expect.isTrue env.Terminated "terminated")

          testCase "the noise's scale bounds the initial state" (fun () ->
              for task in [ "Hopper-v4"; "Swimmer-v4"; "Walker2d-v4" ] do
                  use envs = new VecEnv(create task [ "reset_noise_scale", box 0.0 ], 1)
                  let start = envs.Reset(PhiloxKey(1u, 2u, 3u, 4u))

                  same
                      task
                      ((MujocoEngine.ModelOf envs).Qpos0.ToArray())
                      (start.Physics.Slice(1, (MujocoEngine.ModelOf envs).Nq).ToArray()))

          testCase "Ant's contact forces are clipped to their range and their cost weighted" (fun () ->
              let run options =
                  use env = new Env(create "Ant-v4" (("use_contact_forces", box true) :: options))
                  let action = Array.create 8 0.7

                  for _ in 1..30 do
                      env.Step(ReadOnlySpan action)

                  env.Obs.Slice(27).ToArray(), env.Info[12]

              let forces, cost = run []
              Expect.isTrue (Array.exists ((<>) 0.0) forces && Array.forall (fun x -> abs x <= 1.0) forces) "forces"
              let tight, _ = run [ "contact_force_range", box (Interval(-0.1, 0.2)) ]
              same "forces" (forces |> Array.map (max -0.1 >> min 0.2)) tight
              let _, double = run [ "contact_cost_weight", box 1e-3 ]
              Expect.floatClose (within 5e-13) double (2.0 * cost) "double")

          testCase "unknown tasks and options are answered with the nearest" (fun () ->
              refused "the nearest is HalfCheetah-v4" (fun () -> Tasks.Create "halfcheeta-v4" |> ignore)
              refused "nor one with a name like that" (fun () -> Tasks.Create "Cow-v1" |> ignore)

              refused "there are Hopper-v2, Hopper-v3, Hopper-v4, Hopper-v5." (fun () ->
                  Tasks.Create "Hopper" |> ignore)

              refused "HalfCheetah-v4" (fun () -> Tasks.Create "cheetah" |> ignore)

              refused "the nearest is healthy_z_range" (fun () ->
                  create "Hopper-v4" [ "healty_z_range", box 1.0 ] |> ignore)

              refused "Reacher-v4 has no option weight" (fun () -> create "Reacher-v4" [ "weight", box 1.0 ] |> ignore))

          testCase "values of the wrong kind are refused by name" (fun () ->
              for name, value: objnull, answer in
                  [ "healthy_z_range", box 1.0, "must be a pair"
                    "healthy_z_range", box [| 2.0; 1.0 |], "must be a pair"
                    "healthy_z_range", null, "must be a pair [low, high], low <= high, not null"
                    "ctrl_cost_weight", box "dear", "must be a number, not dear"
                    "ctrl_cost_weight", box nan, "must be a number, not NaN"
                    "terminate_when_unhealthy", box 1, "must be true or false" ] do
                  refused $"{name} {answer}" (fun () -> create "Hopper-v4" [ name, value ] |> ignore)) ]
