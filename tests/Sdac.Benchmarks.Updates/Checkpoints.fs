namespace Sdac.Benchmarks

open System
open System.Diagnostics
open System.IO
open Sdac.Functional
open Sdac.Experiments

/// Stopping and resuming a run of HalfCheetah-v4 at the published settings whose replay memory is full.
[<RequireQualifiedAccess>]
module Checkpoints =
    let private experiment = Experiment.preset "published" Sdac.algorithm
    let private spec = { Spec.create experiment with CheckpointEvery = 10_000L }

    /// The step with `count` more vector steps in its memory; their content does not matter, but their episodes end.
    let private remember (count: int) (step: Step<ActorCriticState, Update>) : Step<ActorCriticState, Update> =
        let random = Random 1
        let numbers size = Array.init size (fun _ -> random.NextSingle() - 0.5f)
        let n = step.Environment.Count
        let mutable obs = numbers (n * step.Agent.Space.ObsDim)
        let mutable replay = step.Memory

        for i in 1..count do
            let next = numbers obs.Length

            replay <-
                Replay.append
                    { Obs = obs
                      Action = numbers (n * step.Agent.Space.ActionDim)
                      Reward = numbers n
                      Terminated = Array.create n false
                      Truncated = Array.create n (i % 1000 = 0)
                      NextObs = next
                      Current = next
                      Extras = [] }
                    replay

            obs <- next

        { step with Memory = replay }

    let private time (work: unit -> 'a) =
        let clock = Stopwatch.StartNew()
        let result = work ()
        clock.Elapsed.TotalSeconds, result

    /// What is timed, and its seconds.
    let measure () : (string * float) list =
        let path = Directory.CreateTempSubdirectory("sdac-bench-").FullName

        try
            let folder = RunFolder.create path false
            Files.writeText folder.Spec (Spec.print spec)
            use log = new RunLog(folder, spec, Sdac.algorithm.Figures, [], Journal.empty)
            let first = Pipeline.start experiment
            let full = remember (experiment.Config.Data.BufferCapacity / first.Environment.Count) first

            let save parts (step: Step<ActorCriticState, Update>) =
                time (fun () -> Checkpoint.save folder spec parts (log.Save()) step)

            let whole, struct (_, parts) = save [] { full with Iteration = 190_000L }
            // 10,000 iterations, each one step of 5 environments
            let later = remember 10_000 full
            let pause, _ = save parts { later with Iteration = 200_000L }
            let resume, restored = time (fun () -> CheckpointRestore.restore Registry.standard folder spec first)
            restored |> Option.iter (fun r -> Parts.dispose ActorCriticState.parts r.Step.State)
            Pipeline.dispose first

            [ $"checkpoint with {later.Memory.Count:N0} transitions, 10,000 iterations after the last", pause
              $"checkpoint that writes all {full.Memory.Count:N0} transitions", whole
              $"reading it back, {later.Memory.Count:N0} transitions", resume ]
        finally
            Directory.Delete(path, true)

    /// What a short run of the laptop preset spends on its log, its checkpoints and its progress, of each 10,000
    /// iterations: what is timed, and its seconds.
    let overhead () : (string * float) list =
        let path = Directory.CreateTempSubdirectory("sdac-bench-").FullName
        let laptop = Experiment.preset "laptop" Sdac.algorithm
        let iterations, denser = 2_000L, 40.0
        let every = 10_000.0

        let spec =
            { Spec.create (Experiment.iterations iterations laptop) with
                EvaluateEvery = 0L
                // as a whole run of the preset logs
                LogEvery = 100L
                CheckpointEvery = int64 (every / denser) }

        try
            { RunOptions.into (Path.Combine(path, "run")) with Threads = Sdac.Kernels.Workers.Threads }
            |> Runner.run Registry.standard spec
            |> ignore

            let lines = Metrics.read (RunFolder.openExisting (Path.Combine(path, "run"))).Timings
            let number name line = Map.tryFind name line |> Option.bind Metrics.number |> Option.defaultValue 0.0
            let total name = lines |> List.sumBy (number name)
            let logged = number "iteration" (List.last lines)
            let all = number "seconds" (List.last lines) - total "warmUp"
            let per name = total name / logged * every

            [ "iterations, without checkpoints", (all - total "checkpoint") / logged * every
              "logging", per "logging"
              "progress", per "progress"
              "a checkpoint", per "checkpoint" / denser ]
        finally
            Directory.Delete(path, true)
