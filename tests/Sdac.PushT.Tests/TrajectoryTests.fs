/// Recorded trajectories, reproduced: poses, velocities and vertices bit for bit.
module Sdac.PushT.Tests.TrajectoryTests

open System
open Expecto
open Sdac.PushT
open Sdac.PushT.Tests.Recorded
open Sdac.Testing

let private stateOf (env: PushTEnv) = env.Obs.ToArray()

/// The published coverage comes from a general polygon library; ours from four convex clips.
let private coverageTolerance = 4e-15

[<Tests>]
let tests =
    testList
        "trajectories"
        [ for name, record in trajectories do
              testCase $"the trajectory equals the recorded one: {name}" (fun () ->
                  use env = new PushTEnv(PushTTask(PushTOptions()))
                  env.SetState(Pose.Of(ReadOnlySpan(numbers (get "reset_to_state" record))))
                  same "first obs" (numbers (get "obs0" record)) (stateOf env)
                  same "first vertices" (numbers (get "keypoints0" record)) env.Vertices
                  same "first angle" (numbers (get "block_angle0" record)) [| env.Pose.BlockAngle |]
                  let coverage0 = (get "coverage0" record).GetDouble()
                  Expect.floatClose (within coverageTolerance) env.Covered coverage0 "first coverage"
                  let kept = numbers (get "keypoints_steps" record) |> Array.map int
                  let vertices = rows (get "keypoints" record)
                  let actions, obs = rows (get "action" record), rows (get "obs" record)
                  let agentVelocity, blockVelocity = rows (get "vel_agent" record), rows (get "block_vel" record)
                  let rewards, coverage = numbers (get "reward" record), numbers (get "coverage" record)
                  let success = numbers (get "is_success" record)

                  for k in 0 .. actions.Length - 1 do
                      env.Step(ReadOnlySpan actions[k])
                      same $"obs of step {k}" obs[k] (stateOf env)
                      same $"velocities of step {k}" (Array.append agentVelocity[k] blockVelocity[k]) env.Velocities
                      Expect.floatClose (within coverageTolerance) env.Info[0] coverage[k] $"coverage of step {k}"
                      Expect.floatClose (within (coverageTolerance / 0.95)) env.Reward rewards[k] $"reward of step {k}"
                      Expect.equal env.Info[1] success[k] $"success of step {k}"
                      Expect.isFalse env.Terminated "none of them succeeds"

                      match Array.IndexOf(kept, k) with
                      | -1 -> ()
                      | at -> same $"vertices of step {k}" vertices[at] env.Vertices)

          testCase "the recordings push the block" (fun () ->
              for name, record in trajectories do
                  let moved = rows (get "block_vel" record) |> Array.exists (fun v -> v[0] <> 0.0)
                  Expect.isTrue moved name)

          testCase "setting the state again begins anew" (fun () ->
              use env = new PushTEnv(PushTTask(PushTOptions()))
              let start = Pose(100.0, 100.0, 240.0, 270.0, 0.9)

              let run () =
                  env.SetState start

                  [| for k in 0..60 do
                         env.Step(ReadOnlySpan [| 200.0 + float k; 270.0 |])
                         yield! env.Obs.ToArray()
                         yield env.Reward |]

              let first = run ()
              same "second time" first (run ())) ]
