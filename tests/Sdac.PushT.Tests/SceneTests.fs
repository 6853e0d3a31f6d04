/// What the table looks like, and where everything on it is.
module Sdac.PushT.Tests.SceneTests

open System
open Expecto
open Sdac.Environments
open Sdac.Kernels
open Sdac.PushT
open Sdac.PushT.Tests.Recorded
open Sdac.Testing

let private posesOf (poser: IPoser) (state: float[]) : float[] =
    let poses = Array.zeroCreate<float> 9
    Expect.isNull (poser.Pose(ReadOnlySpan state, Span poses)) "complaint"
    poses

[<Tests>]
let tests =
    testList
        "scene"
        [ testCase "the goal, the block, the agent and where it is pulled to" (fun () ->
              use engine = (PushTTask(PushTOptions()) :> ITask).Open()
              let scene = nonNull engine.Scene
              Expect.equal (List.ofSeq scene.Table) [ 512.0; 512.0 ] "table"
              Expect.equal scene.PoseSize Scene.FlatPose "flat"
              let named = scene.Shapes |> Seq.countBy _.Name |> List.ofSeq
              Expect.equal named [ "goal", 2; "block", 2; "agent", 1; "target", 1 ] "shapes"
              let goal = scene.Shapes[0]
              Expect.equal goal.Body 0 "the goal stands still"
              // the bar's first corner, (-60, 0), turned by an eighth and moved to (256, 256)
              Expect.floatClose Accuracy.high goal.Points[0] (256.0 - 60.0 / sqrt 2.0) "x"
              Expect.floatClose Accuracy.high goal.Points[1] (256.0 - 60.0 / sqrt 2.0) "y")

          testCase "poses are those of the play, in whatever order they are asked for" (fun () ->
              use envs = new VecEnv(PushTTask(PushTOptions()), 2)
              use poser = envs.Engine.NewPoser()
              let mutable states = envs.Reset(PhiloxKey(3u, 1u, 2u, 3u))

              let seen =
                  [| for k in 0..40 do
                         let one = states.Slice(0, 1)
                         let obs = one.Observations.ToArray()
                         let poses = posesOf poser (one.Physics.ToArray())
                         // observed: the agent, the block, its angle reduced
                         same "agent" obs[0..1] poses[3..4]
                         same "block" obs[2..3] poses[0..1]
                         let turns = (poses[2] - obs[4]) / (2.0 * Math.PI)
                         Expect.floatClose Accuracy.high turns (Math.Round turns) "angle"
                         let target (k: int) = [| 100.0 + 6.0 * float k; 256.0 |]
                         same "target" (if k = 0 then obs[0..1] else target (k - 1)) poses[6..7]
                         let other = states.Slice(1, 1)
                         one.Physics.ToArray(), poses, other.Physics.ToArray(), other.Observations.ToArray()

                         let struct (next, _) =
                             envs.Step(states, ReadOnlySpan(Array.append (target k) (target (40 - k))))

                         states <- next |]

              for at in [ 40; 3; 4; 5; 20; 0; 1; 39; 40 ] do
                  let state, poses, _, _ = seen[at]
                  same $"step {at}" poses (posesOf poser state)

              // a step ahead in number, but of another episode
              let state, _, _, _ = seen[20]
              let _, _, other, obs = seen[21]
              posesOf poser state |> ignore
              same "the other episode" obs[0..3] ([| 3; 4; 0; 1 |] |> Array.map (Array.get (posesOf poser other)))

              let broken = Array.copy state
              broken[0] <- nan

              Expect.isNotNull
                  (poser.Pose(ReadOnlySpan broken, Span(Array.zeroCreate<float> 9)))
                  "a state that is none") ]
