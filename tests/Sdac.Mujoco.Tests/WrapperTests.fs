/// What options put around a task, whatever it is.
module Sdac.Mujoco.Tests.WrapperTests

open System
open System.Collections.Generic
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

let private suite = TaskSuite.Join [ Tasks.Suite; ControlSuite.Suite ]

let private create (task: string) (options: (string * string) list) =
    suite.Create(task, Dictionary(dict [ for name, value in options -> name, (box value: objnull) ]))

/// Observations after each step (before a reset), rewards, ends and the observations acted on.
let private played (task: ITask) (key: PhiloxKey) (actions: float[] list) =
    use envs = new VecEnv(task, 2)
    let mutable states = envs.Reset key
    let first = states.Observations.ToArray()

    first,
    [ for action in actions do
          let struct (next, outcome) = envs.Step(states, ReadOnlySpan action)
          states <- next

          outcome.NextObs.ToArray(),
          outcome.Rewards.ToArray(),
          Array.map2 (||) (outcome.Terminated.ToArray()) (outcome.Truncated.ToArray()),
          next.Observations.ToArray() ]

let private actionsOf (task: string) (steps: int) (key: PhiloxKey) =
    use envs = new VecEnv(create task [], 2)
    actions envs.Spec 2 steps key |> List.ofArray

/// Some tasks that end early, late and never, one whose reward compares with what was measured, and one of the Control Suite.
let private tasks =
    [ "InvertedPendulum-v4"; "Hopper-v4"; "HalfCheetah-v5"; "Reacher-v4"; "dmc/cheetah-run" ]

let private cases =
    gen {
        let! task = Gen.elements tasks
        let! key = key
        let! count = Gen.choose (2, 4)
        return task, key, count
    }

let private slice width environment (rows: float[]) = rows[environment * width .. (environment + 1) * width - 1]

[<Tests>]
let tests =
    testList
        "wrappers"
        [ testForAll "frame_stack shows the last observations, the oldest first" 6 cases (fun (task, key, count) ->
              let actions = actionsOf task 30 key
              let first, plain = played (create task []) key actions
              let stackedFirst, stacked = played (create task [ "frame_stack", string count ]) key actions
              let width = first.Length / 2

              for e in 0..1 do
                  let start = slice width e first
                  let mutable history = List.replicate count start
                  same "at first" (Array.concat history) (slice (count * width) e stackedFirst)

                  for (obs, reward, ended, current), (obs', reward', ended', current') in List.zip plain stacked do
                      let reached = List.tail history @ [ slice width e obs ]
                      same "reached" (Array.concat reached) (slice (count * width) e obs')
                      Expect.equal (reward'[e], ended'[e]) (reward[e], ended[e]) "reward and end"
                      history <- if ended[e] then List.replicate count (slice width e current) else reached
                      same "acted on" (Array.concat history) (slice (count * width) e current'))

          testForAll
              "action_repeat sums the rewards of its steps, and ends where the task does"
              6
              cases
              (fun (task, key, count) ->
                  // one that divides the time limits of 1,000 and 50
                  let times = if count = 3 then 5 else 2
                  let actions = actionsOf task 12 key
                  let _, repeated = played (create task [ "action_repeat", string times ]) key actions
                  use envs = new VecEnv(create task [], 1)

                  for e in 0..1 do
                      // the first episode of the environment, step by step
                      use alone = new VecEnv(create task [], 2)
                      let mutable states = alone.Reset key
                      let mutable over = false

                      for action, (obs, reward, ended, _) in List.zip actions repeated do
                          if not over then
                              let mutable sum, k = 0.0, 0

                              while k < times && not over do
                                  let struct (next, outcome) = alone.Step(states, ReadOnlySpan action)
                                  sum <- sum + outcome.Rewards[e]
                                  states <- next
                                  over <- outcome.Terminated[e] || outcome.Truncated[e]
                                  k <- k + 1

                                  if k = times || over then
                                      same
                                          "reached"
                                          (outcome.NextObs.Slice(e * alone.ObsDim, alone.ObsDim).ToArray())
                                          (slice alone.ObsDim e obs)

                              Expect.equal reward[e] sum "sum"
                              Expect.equal ended[e] over "end")

          testCase "time_limit, action_repeat and frame_stack go together" (fun () ->
              let task = create "HalfCheetah-v4" [ "frame_stack", "3"; "action_repeat", "4"; "time_limit", "12" ]
              use envs = new VecEnv(task, 1)
              Expect.equal envs.Spec.MaxEpisodeSteps 3 "12 steps in actions of 4"
              Expect.equal envs.ObsDim (3 * 17) "numbers"
              let mutable states = envs.Reset(PhiloxKey(1u, 2u, 3u, 4u))

              for k in 1..6 do
                  let struct (next, outcome) = envs.Step(states, ReadOnlySpan(Array.zeroCreate<float> 6))
                  Expect.equal outcome.Truncated[0] (k % 3 = 0) "truncated"
                  states <- next

              Expect.equal
                  [ for option in task.Options do
                        if Seq.contains option.Key Wrappers.Names then
                            option.Key, string option.Value ]
                  [ "time_limit", "12"; "action_repeat", "4"; "frame_stack", "3" ]
                  "recorded")

          testCase "what changes nothing leaves the task as it is" (fun () ->
              let given =
                  [ "time_limit", "0"
                    "action_repeat", "1"
                    "frame_stack", "1"
                    "reward_scale", "1"
                    "observation_moments", "false" ]

              Expect.isTrue (create "Hopper-v4" given :? TaskDefinition) "the task itself")

          testCase "values that cannot be are refused" (fun () ->
              for option, values in
                  [ "time_limit", [ "-1"; "2.5" ]; "action_repeat", [ "0"; "1.5" ]; "frame_stack", [ "0"; "-3" ] ] do
                  for value in values do
                      failsWith [ "Hopper-v4"; $"the option {option} is {value}"; "whole number" ] (fun () ->
                          create "Hopper-v4" [ option, value ] |> ignore)

              failsWith [ "reward_scale is 0"; "positive" ] (fun () ->
                  create "Hopper-v4" [ "reward_scale", "0" ] |> ignore)

              failsWith
                  [ "no option frame_stac"; "the nearest is frame_stack"; "healthy_reward"; "xml_file" ]
                  (fun () -> create "Hopper-v4" [ "frame_stac", "3" ] |> ignore)

              failsWith [ "action_repeat is 3, which does not divide the 1000 steps"; "time_limit to 999" ] (fun () ->
                  (new VecEnv(create "Hopper-v4" [ "action_repeat", "3" ], 1)).Dispose())) ]
