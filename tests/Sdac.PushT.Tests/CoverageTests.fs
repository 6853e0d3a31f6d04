/// The share of the goal that the block covers, against closed forms.
module Sdac.PushT.Tests.CoverageTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.PushT
open Sdac.PushT.Tests.Recorded
open Sdac.Testing

/// The T turned about its origin, then shifted.
let private placed (angle: float) (x: float) (y: float) : Vector[] =
    let sin, cos = sin angle, cos angle
    Shape.Block |> Array.map (fun v -> Vector(cos * v.X - sin * v.Y + x, sin * v.X + cos * v.Y + y))

let private covered (block: Vector[]) (goal: Vector[]) = Coverage.Of(ReadOnlySpan block, ReadOnlySpan goal)

/// Where the block must be put, at angle 0, so that turning it about its centre of gravity brings its origin to a place.
let poseOf (agentX: float, agentY: float) (x: float) (y: float) (angle: float) =
    Pose(agentX, agentY, x - 45.0 * sin angle, y + 45.0 * cos angle - 45.0, angle)

let private distance = Gen.choose (0, 3_000) |> Gen.map (fun n -> float n / 100.0)
let private angle = Gen.choose (-700, 700) |> Gen.map (fun n -> float n / 100.0)

[<Tests>]
let tests =
    testList
        "coverage"
        [ testForAll
              "a shift along the bar uncovers one end of bar and stem"
              100
              (Gen.zip distance angle)
              (fun (d, turn) ->
                  let expected = ((120.0 - d) * 30.0 + (30.0 - d) * 90.0) / 6300.0
                  let block = placed turn (d * cos turn) (d * sin turn)
                  Expect.floatClose (within 1e-13) (covered block (placed turn 0.0 0.0)) expected "coverage")

          testForAll
              "a shift along the stem lets the bar cover the stem's place"
              100
              (Gen.zip distance angle)
              (fun (d, turn) ->
                  // bar on bar, stem on stem, bar on stem
                  let expected = (120.0 * (30.0 - d) + 30.0 * (90.0 - d) + 30.0 * d) / 6300.0
                  let block = placed turn (-d * sin turn) (d * cos turn)
                  Expect.floatClose (within 1e-13) (covered block (placed turn 0.0 0.0)) expected "coverage")

          testForAll
              "what the block covers of the goal is what the goal covers of the block"
              200
              (Gen.zip (Gen.zip distance distance) angle)
              (fun ((x, y), turn) ->
                  let block, goal = placed turn (3.0 * x) (3.0 * y), placed 0.4 10.0 20.0
                  let share = covered block goal
                  Expect.inRange share (0.0, 1.0 + 1e-13) "a share"
                  Expect.floatClose (within 1e-13) share (covered goal block) "the other way round")

          testCase "far away nothing is covered, in place everything" (fun () ->
              Expect.equal (covered (placed 0.3 900.0 0.0) Shape.Goal) 0.0 "far away"
              Expect.floatClose (within 1e-13) (covered (placed (Math.PI / 4.0) 256.0 256.0) Shape.Goal) 1.0 "in place")

          testCase "a block turned by a right angle covers what the crossing of the two leaves" (fun () ->
              // About the origin: (x, y) -> (-y, x). Bar on bar 30 x 30; stem x in -120..-30, y in -15..15 meets the bar
              // at x in -60..-30, y in 0..15, and so the other way round: bar x in -30..0, y -60..60 meets the stem at
              // x in -15..0, y in 30..60.
              let expected = (30.0 * 30.0 + 30.0 * 15.0 + 15.0 * 30.0) / 6300.0
              let share = covered (placed (Math.PI / 2.0) 0.0 0.0) (placed 0.0 0.0 0.0)
              Expect.floatClose (within 1e-13) share expected "coverage")

          testCase "the goal pose, set by hand, is a success" (fun () ->
              use env = new PushTEnv(PushTTask(PushTOptions()))
              env.SetState(poseOf (100.0, 100.0) 256.0 256.0 (Math.PI / 4.0))
              Expect.floatClose (within 1e-12) env.Pose.BlockX 256.0 "x"
              Expect.floatClose (within 1e-12) env.Pose.BlockY 256.0 "y"
              env.Step(ReadOnlySpan [| 100.0; 100.0 |])
              Expect.floatClose (within 1e-13) env.Info[0] 1.0 "coverage"
              Expect.equal (env.Reward, env.Terminated, env.Info[1]) (1.0, true, 1.0) "reward, terminated, success")

          testCase "the threshold lies where a shift by hand puts it" (fun () ->
              // along the bar: 1 - 120 d / 6300 covered
              for share, success in [ 0.951, true; 0.949, false ] do
                  use env = new PushTEnv(PushTTask(PushTOptions()))
                  let d = (1.0 - share) * 6300.0 / 120.0
                  let c = sqrt 0.5
                  env.SetState(poseOf (100.0, 100.0) (256.0 + d * c) (256.0 + d * c) (Math.PI / 4.0))
                  env.Step(ReadOnlySpan [| 100.0; 100.0 |])
                  Expect.floatClose (within 1e-12) env.Info[0] share "coverage"
                  Expect.equal env.Terminated success "terminated"
                  Expect.floatClose (within 1e-12) env.Reward (min 1.0 (share / 0.95)) "reward") ]
