/// What a model looks like, and poses of its bodies.
module Sdac.Mujoco.Tests.SceneTests

open System
open System.Collections.Generic
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

let private key = PhiloxKey(9u, 1u, 2u, 3u)

let private suite = TaskSuite.Join [ Tasks.Suite; ControlSuite.Suite ]

let private sceneOf (engine: IEngine) : Scene = nonNull engine.Scene

/// The poses of a state's bodies, [bodies, 7].
let private posesOf (engine: IEngine) (poser: IPoser) (state: float[]) : float[][] =
    let poses = Array.zeroCreate<float> (sceneOf engine).PosesSize
    Expect.isNull (poser.Pose(ReadOnlySpan state, Span poses)) "complaint"
    Array.chunkBySize Scene.SolidPose poses

/// A cart at x with a pole turned by an angle about y.
let private pendulum (x: float, angle: float) : float[][] =
    [| [| x; 0.0; 0.0; 1.0; 0.0; 0.0; 0.0 |]
       [| x; 0.0; 0.0; cos (angle / 2.0); 0.0; sin (angle / 2.0); 0.0 |] |]

let private ownShapes =
    """<mujoco>
         <asset>
           <mesh name="tetra" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/>
           <material name="red" rgba="1 0 0 1"/>
         </asset>
         <worldbody>
           <body name="a">
             <freejoint/>
             <geom name="own" size="0.1" rgba="0 0 1 0.5" material="red"/>
             <geom name="material" size="0.2" material="red"/>
             <geom name="none" type="capsule" size="0.1 0.3" pos="1 2 3" quat="0 1 0 0"/>
             <geom name="mesh" type="mesh" mesh="tetra"/>
             <geom name="clear" size="0.1" rgba="1 1 1 0"/>
             <geom name="collision" size="0.1" group="3"/>
           </body>
           <body name="heavy"><freejoint/><geom name="h" type="box" size="1 1 1" pos="0 0 9"/></body>
         </worldbody>
       </mujoco>"""

let private own =
    TaskDefinition(
        Name = "Shapes",
        LoadModel = (fun () -> Model.FromXml("shapes", ownShapes)),
        FrameSkip = 1,
        MaxEpisodeSteps = 5,
        ObsDim = 1,
        Observe = ObserveFunction(fun _ obs -> obs[0] <- 0.0),
        Reward = RewardFunction(fun _ _ -> 0.0)
    )

/// The numbers of some steps with poses computed between them, or without.
let private played (name: string) (looked: bool) : float[] =
    use envs = new VecEnv(suite.Create name, 2)
    use poser = envs.Engine.NewPoser()
    let mutable states = envs.Reset key

    [| for action in actions envs.Spec 2 4 key do
           if looked then
               for e in 0..1 do
                   posesOf envs.Engine poser (states.Slice(e, 1).Physics.ToArray()) |> ignore

           let struct (next, result) = envs.Step(states, ReadOnlySpan action)
           states <- next
           yield! next.Physics.ToArray()
           yield! result.NextObs.ToArray()
           yield! result.Rewards.ToArray() |]

[<Tests>]
let tests =
    testList
        "scenes"
        [ testForAll
              "the pendulum stands where its two coordinates say"
              50
              (Gen.zip
                  (Gen.map (fun i -> float i / 100.0) (Gen.choose (-99, 99)))
                  (Gen.map (fun i -> float i / 100.0) (Gen.choose (-150, 150))))
              (fun (x, angle) ->
                  use engine = (suite.Create "InvertedPendulum-v4").Open()
                  use poser = engine.NewPoser()
                  let state = Array.zeroCreate<float> engine.StateSize
                  state[0] <- 7.0 // the time
                  state[1] <- x
                  state[2] <- angle

                  for expected, actual in Array.zip (pendulum (x, angle)) (posesOf engine poser state) do
                      for e, a in Array.zip expected actual do
                          Expect.floatClose (within 1e-14) a e "pose")

          testCase "HalfCheetah's scene is its model" (fun () ->
              use engine = (suite.Create "HalfCheetah-v4").Open()
              let scene = sceneOf engine
              let names = [ "torso"; "bthigh"; "bshin"; "bfoot"; "fthigh"; "fshin"; "ffoot" ]
              Expect.equal [ for body in scene.Bodies -> body.Name ] names "bodies"
              Expect.equal [ for body in scene.Bodies -> body.Parent ] [ 0; 1; 2; 3; 1; 5; 6 ] "parents"
              Expect.equal scene.Followed 1 "the torso is followed"
              let kinds = [ for shape in scene.Shapes -> shape.Kind ]
              Expect.equal kinds (ShapeKind.Plane :: List.replicate 8 ShapeKind.Capsule) "kinds"
              Expect.equal [ for shape in scene.Shapes -> shape.Body ] [ 0; 1; 1; 2; 3; 4; 5; 6; 7 ] "bodies of shapes"
              let head = scene.Shapes[2]
              Expect.equal head.Name "head" "name"
              Expect.equal (List.ofSeq head.Size |> List.truncate 2) [ 0.046; 0.15 ] "radius and half length"
              Expect.equal (List.ofSeq head.Pose |> List.truncate 3) [ 0.6; 0.0; 0.1 ] "place on the torso"
              Expect.floatClose Accuracy.high head.Pose[5] (sin 0.435) "turned about y"
              Expect.isEmpty head.Color "the model gives no colours")

          testCase "colours, meshes and what the viewer hides" (fun () ->
              use engine = (own :> ITask).Open()
              let scene = sceneOf engine
              let shape name = scene.Shapes |> Seq.find (fun shape -> shape.Name = name)

              Expect.equal
                  [ for shape in scene.Shapes -> shape.Name ]
                  [ "own"; "material"; "none"; "mesh"; "h" ]
                  "shown"

              Expect.equal (List.ofSeq (shape "own").Color) [ 0.0; 0.0; 1.0; 0.5 ] "its own colour"
              Expect.equal (List.ofSeq (shape "material").Color) [ 1.0; 0.0; 0.0; 1.0 ] "its material's"
              Expect.isEmpty (shape "none").Color "neither"
              Expect.equal (List.ofSeq (shape "none").Pose) [ 1.0; 2.0; 3.0; 0.0; 1.0; 0.0; 0.0 ] "pose"
              Expect.equal (shape "mesh").Points.Count 12 "four points"
              Expect.equal (Seq.distinct (shape "mesh").Faces |> Seq.sort |> List.ofSeq) [ 0; 1; 2; 3 ] "faces of them"
              Expect.equal scene.Followed 2 "the heaviest body is followed")

          testCase "poses are the engine's own, whichever state is asked for first" (fun () ->
              for name in [ "Humanoid-v4"; "Pusher-v4"; "dmc/dog-run"; "dmc/walker-walk" ] do
                  use envs = new VecEnv(suite.Create name, 3)
                  use poser = envs.Engine.NewPoser()
                  use simulation = new Simulation(MujocoEngine.ModelOf envs)
                  let states = envs.Reset key

                  for e in [ 2; 0; 1; 0 ] do
                      let state = states.Slice(e, 1).Physics.ToArray()
                      let model = simulation.Model
                      let room = Array.zeroCreate<float> model.StateSize
                      let qpos = ReadOnlySpan(state, 1, model.Nq)
                      simulation.Reset(qpos, ReadOnlySpan(Array.zeroCreate<float> model.Nv), Span room) |> ignore
                      let poses = posesOf envs.Engine poser state
                      let all column count = poses |> Array.collect (fun pose -> pose[column .. column + count - 1])
                      same $"{name}: places" (simulation.Physics.Xpos.Slice(3).ToArray()) (all 0 3)
                      same $"{name}: turns" (simulation.Physics.Xquat.Slice(4).ToArray()) (all 3 4))

          testCase "nothing that is stepped changes because somebody looks" (fun () ->
              for name in [ "Reacher-v4"; "Pusher-v4"; "Ant-v4"; "Humanoid-v4"; "dmc/quadruped-walk" ] do
                  same name (played name false) (played name true))

          testCase "a task with repeated actions looks as the task does" (fun () ->
              let repeated = suite.Create("dmc/cheetah-run", [ KeyValuePair("action_repeat", "2") ])
              use envs = new VecEnv(repeated, 1)
              use plain = new VecEnv(suite.Create "dmc/cheetah-run", 1)
              use poser = envs.Engine.NewPoser()
              use plainPoser = plain.Engine.NewPoser()
              Expect.equal (sceneOf envs.Engine).Bodies.Count (sceneOf plain.Engine).Bodies.Count "bodies"
              let poses (envs: VecEnv) poser = posesOf envs.Engine poser ((envs.Reset key).Physics.ToArray())

              for expected, actual in Array.zip (poses plain plainPoser) (poses envs poser) do
                  same "pose" expected actual)

          testCase "the state at an episode's end is the one that its last observation shows" (fun () ->
              use envs = new VecEnv(suite.Create "Hopper-v4", 2)
              let mutable states = envs.Reset key
              let mutable ended = 0

              for action in actions envs.Spec 2 60 key do
                  let action = Array.map float32 action
                  let struct (next, result) = envs.Step(states, ReadOnlySpan action)

                  for e in 0..1 do
                      let state = envs.StateAfter(states, e, ReadOnlySpan(action, 3 * e, 3))
                      // time, x, then the positions that are observed
                      same "positions" (result.NextObs.Slice(11 * e, 5).ToArray()) state[2..6]

                      if result.EpisodeLengths[e] > 0 then
                          ended <- ended + 1
                      else
                          same "state" (next.Slice(e, 1).Physics.ToArray()) state

                  states <- next

              Expect.isGreaterThan ended 1 "episodes ended"

              failsWith [ "Hopper-v4"; "no environment 2" ] (fun () ->
                  envs.StateAfter(states, 2, ReadOnlySpan [| 0.0f; 0.0f; 0.0f |]) |> ignore)

              failsWith [ "Hopper-v4"; "3 components, not 1" ] (fun () ->
                  envs.StateAfter(states, 0, ReadOnlySpan [| 0.0f |]) |> ignore)) ]
