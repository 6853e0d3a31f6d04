/// What a policy does, recorded.
module Sdac.Experiments.Tests.RecordingTests

open System
open System.Collections.Generic
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.PackingTests
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// What fresh networks come to in an environment.
let private playing (environment: Environment) (spec: Spec) (play: Agent<_, _> -> Key -> ActorCriticState -> 'r) : 'r =
    let space = { ObsDim = environment.ObsDim; ActionDim = environment.ActionDim }
    let agent = Experiment.agent Compute.cpu space (experimentOf spec)
    let state = agent.Init(Key.ofSeed 3L)

    try
        play agent (Key.ofSeed 5L) state
    finally
        disposeState state

let private recorded (environment: Environment) (spec: Spec) : Recording =
    playing environment spec (fun agent key state -> Recording.make [ "SDAC" ] agent environment key state)

let private evaluated (environment: Environment) (spec: Spec) : Episode[] =
    playing environment spec (fun agent key state -> Evaluation.run agent environment key state)

let private ofTask
    (task: string)
    (options: (string * string) list)
    (episodes: int)
    (look: Environment -> Spec -> 'r)
    : 'r =
    use environment = Environment.create task (Map options) episodes
    look environment { varied 1L with Task = task }

let private column (track: Track) (i: int) = unpack track |> Array.chunkBySize track.Columns |> Array.map (Array.item i)

/// A point on a line that each action moves: a task without an engine, whose episodes last 7 steps.
let private line: ITask =
    let scratch () =
        let now = [| 0.0; 0.0 |]

        { new IScratch with
            member _.Reset(_, _, state) =
                now[0] <- 0.5
                now[1] <- 0.0
                now.CopyTo(state)
                null

            member _.Step(_, state, action, next) =
                now[0] <- state[0] + action[0]
                now[1] <- state[1] + 1.0
                now.CopyTo(next)
                null

            member _.Measure _ = ()

            member _.Observe obs =
                now.CopyTo(obs)
                null

            member _.Reward(step, _) = step.Action[0]
            member _.Terminated() = false
            member _.Dispose() = () }

    let engine () =
        { new IEngine with
            member _.Spec =
                EnvSpec(
                    Task = "Line",
                    ObsDim = 2,
                    ActionLow = [| -1.0 |],
                    ActionHigh = [| 1.0 |],
                    FrameSkip = 1,
                    Dt = 0.1,
                    MaxEpisodeSteps = 7
                )

            member _.StateSize = 2
            member _.MeasureDim = 0
            member _.NewScratch() = scratch ()
            member _.Dispose() = () }

    { new ITask with
        member _.Name = "Line"
        member _.Options = Dictionary<string, obj>()
        member _.Open() = engine () }

[<Tests>]
let tests =
    testList
        "recordings"
        [ testCase "what is recorded is the evaluation" (fun () ->
              let played, recording = ofTask "Hopper-v4" [] 3 (fun env spec -> evaluated env spec, recorded env spec)
              Expect.equal recording.Stride 2 "125 frames a second are twice what is needed"

              for episode, seen in Array.zip played recording.Episodes do
                  Expect.equal (seen.Return, seen.Length) (episode.Return, episode.Length) "return and length"
                  Expect.isTrue seen.Terminated "it fell"
                  Expect.equal seen.Rewards.Rows seen.Length "a reward for each step"
                  Expect.floatClose (within 1e-3) (Array.sum (unpack seen.Rewards)) seen.Return "they sum up"
                  Expect.equal seen.Poses.Value.Rows ((seen.Length + 1) / 2 + 1) "every other step, and the last"
                  Expect.isNone seen.Observations "bodies are looked at")

          testCase "the torso is where it was when the episode ended, and began" (fun () ->
              let recording = ofTask "Hopper-v4" [] 2 recorded

              for seen in recording.Episodes do
                  let height = column seen.Poses.Value 2
                  Expect.inRange height[0] (1.2, 1.3) "it begins upright"
                  // Hopper ends below 0.7 or bent over: the pose after the end's reset would be the start's
                  let w = column seen.Poses.Value 3
                  let angle = 2.0 * acos (min w[w.Length - 1] 1.0)
                  Expect.isTrue (Array.last height < 0.72 || abs angle > 0.19) "it ends as the task says")

          testCase "a task of numbers is recorded by its observations" (fun () ->
              use environment = new Environment(line, 2)
              let played, recording = evaluated environment (varied 1L), recorded environment (varied 1L)
              Expect.isNone recording.Scene "no scene"

              for episode, seen in Array.zip played recording.Episodes do
                  Expect.isNone seen.Poses "no poses"
                  Expect.isFalse seen.Terminated "the time is up"
                  let x, t = column seen.Observations.Value 0, column seen.Observations.Value 1
                  // stored in 16 bits of its range
                  Expect.equal (Array.map round t) [| 0.0 .. 7.0 |] "every step, from the start to the end"
                  Expect.floatClose (within 1e-3) (x[7] - x[0]) episode.Return "the sum of all actions"
                  let actions = unpack seen.Actions
                  Expect.equal actions.Length 7 "actions"
                  Expect.floatClose (within 0.006) (x[1] - x[0]) actions[0] "the first")

          testCase "frames a second" (fun () ->
              let strides = [ 0.05, 1; 0.02, 1; 0.015, 1; 0.01, 2; 0.008, 2; 0.002, 8; 0.1, 1 ]

              for dt, stride in strides do
                  Expect.equal (Recording.stride dt) stride $"{dt} s")

          testCase "pages of a thousand frames are small" (fun () ->
              let player = 620_000 // with three.js

              for task, options, most in
                  [ "HalfCheetah-v4", [], 1_200_000
                    "Humanoid-v4", [ "terminate_when_unhealthy", "false" ], 3_000_000
                    "dmc/dog-run", [], 4_000_000 ] do
                  let recording = ofTask task options 1 recorded
                  Expect.equal recording.Episodes[0].Poses.Value.Rows 1001 "frames"
                  Expect.isLessThan (player + (WatchPage.json recording).Length) most task) ]
