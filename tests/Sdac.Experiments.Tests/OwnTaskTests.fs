/// Tasks that are not this library's, from their registration to the report.
module Sdac.Experiments.Tests.OwnTaskTests

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

type private Spring = { Place: float; Speed: float; Pushes: int64 }

/// A mass on a spring, in plain F#.
let private spring: PlainTask<Spring> =
    { Name = "spring"
      ActionLow = [ -2.0 ]
      ActionHigh = [ 2.0 ]
      ObsDim = 2
      MaxEpisodeSteps = 9
      Reset = fun key -> { Place = (Key.uniformArray 1 key)[0]; Speed = 0.0; Pushes = 0L }
      Step =
        fun s a ->
            let speed = s.Speed + 0.1 * (a[0] - s.Place)
            let next = { Place = s.Place + 0.1 * speed; Speed = speed; Pushes = s.Pushes + 1L }
            struct (next, -next.Place * next.Place, abs next.Place > 1.2)
      Observe =
        fun s obs ->
            obs[0] <- s.Place
            obs[1] <- s.Speed
      Parts =
        fun visit s ->
            { Place = visit.Float("place", s.Place)
              Speed = visit.Float("speed", s.Speed)
              Pushes = visit.Int("pushes", s.Pushes) } }

/// And one of MJCF with functions.
let private contract = ContractTask.create 4 false

let private registry = standard |> Registry.addTask spring |> Registry.addTask contract
let private on (task: string) : Spec = { varied 60L with Task = task }

/// With these options, as wrappers are.
let private registered (task: string) (options: (string * string) list) =
    let on = { on task with TaskOptions = Map options }
    let numbers = 2 * (Map.tryFind "frame_stack" on.TaskOptions |> Option.map int |> Option.defaultValue 1)

    testCase $"{task} is trained, resumed, evaluated, loaded and reported by its name" (fun () ->
        inFolder (fun path ->
            let whole = Path.Combine(path, "whole")
            let summary = captureOutput (fun () -> Runner.run registry on (into whole 1)) |> fst
            Expect.equal summary.Task task "summary"
            let folder = RunFolder.openExisting whole
            Expect.equal (SpecFile.ofRun registry folder).TaskOptions on.TaskOptions "spec.json"

            // from the checkpoint before the last, as an uninterrupted run
            let again = Path.Combine(path, "runs", "again")
            copy whole again
            let resumed = RunFolder.openExisting again
            File.Delete resumed.Summary
            File.Delete(Checkpoint.path resumed 60L)
            captureOutput (fun () -> Runner.resume registry again 1 true) |> ignore
            same folder resumed

            let score, _ = captureOutput (fun () -> Evaluate.run registry whole None None None 1)
            Expect.equal score.Mean summary.Final.Mean "evaluation"

            WatchTests.withPlayer (fun _ ->
                let options = { Watch.usual with Episodes = on.EvaluationEpisodes; Threads = 1 }
                let _, played = captureOutput (fun () -> Watch.run registry whole options)

                let returns =
                    [ for found in Regex.Matches(played, @"return +(-?[0-9.]+),") -> float found.Groups[1].Value ]

                Expect.floatClose (within 0.01) (List.average returns) summary.Final.Mean "the page's episodes")

            use policy = Policy.LoadFrom(registry, whole)
            Expect.equal (policy.Task, policy.ObsDim) (task, numbers) "policy"

            let page, complaints =
                captureError (fun () ->
                    Report.write registry [ Path.Combine(path, "runs") ] (Path.Combine(path, "out")))

            Expect.equal complaints "" "complaints"
            Expect.stringContains (File.ReadAllText page) task "report"

            // without the registry that knows it
            let error =
                Expect.raises<RefusedArgumentException>(fun () ->
                    Runner.run standard on (into (Path.Combine(path, "other")) 1) |> ignore)

            Expect.stringContains error.Message $"There is no task {task}" "sentence"

            failureOf (fun () -> Evaluate.run standard whole None None None 1)
            |> says [ folder.Spec; $"There is no task {task}" ]))

/// The spring, whose step fails as `fault` says long after the first checkpoint.
let private failing (fault: Spring -> struct (Spring * float * bool)) =
    let calls = [| 0 |]

    let broken =
        { spring with
            Name = "broken"
            Step =
                fun s a ->
                    if Threading.Interlocked.Increment(&calls[0]) > 300 then
                        fault s
                    else
                        spring.Step s a }

    Registry.addTask broken standard

[<Tests>]
let tests =
    testList
        "tasks of one's own"
        [ registered
              "spring"
              [ "observation_moments", "true"; "frame_stack", "3"; "reward_scale", "0.5"; "time_limit", "6" ]
          registered "Contract" [ "action_repeat", "2" ]

          testCase "a sweep plans its runs on them, and refuses unknown ones" (fun () ->
              let sweep tasks = { Sweep.create "mine" "tiny" with Tasks = tasks }
              let plan = SweepSpec.plan registry (sweep [ "spring"; "Contract" ])
              Expect.equal (plan |> List.map (fun (_, spec) -> spec.Task)) [ "spring"; "Contract" ] "tasks"

              failureOf (fun () -> SweepSpec.plan registry (sweep [ "sprung" ]))
              |> says [ "sweep 'mine': There is no task sprung; the nearest is spring" ])

          testCase "a function that fails ends the run with task, environment, step and last checkpoint" (fun () ->
              for fault, words in
                  [ (fun _ -> failwith "out of luck"), [ "broken: Step failed with Exception: out of luck" ]
                    (fun s -> struct (s, nan, false)), [ "broken"; "the reward is NaN" ] ] do
                  inFolder (fun path ->
                      let out = Path.Combine(path, "run")
                      let registry = failing fault
                      let spec = { on "broken" with Iterations = 2_000L; EvaluateEvery = 0L }

                      let failure =
                          captureOutput (fun () -> failureOf (fun () -> Runner.run registry spec (into out 1))) |> fst

                      Expect.isTrue failure.IsDiverged "kind"
                      let last = Checkpoint.own (RunFolder.openExisting out) |> List.head

                      failure
                      |> says (
                          words @ [ "environment "; "step "; "iteration "; $"the last good checkpoint is {last}" ]
                      ))) ]
