namespace Sdac.Benchmarks

open System
open System.Diagnostics
open System.IO
open Sdac.Functional
open Sdac.Experiments

/// Acting with a trained policy, one observation at a time: SDAC's best of 32 at HalfCheetah's sizes, through `Policy.load`.
[<RequireQualifiedAccess>]
module PolicyLatency =
    let private spec = Spec.create (Experiment.preset "published" Sdac.algorithm)

    /// Does the work with a run folder that holds a checkpoint of fresh networks of the published sizes; what networks have learnt takes
    /// no time.
    let withRun (work: string -> 'a) : 'a =
        let path = Directory.CreateTempSubdirectory("sdac-bench-").FullName

        try
            let folder = RunFolder.create path false
            Files.writeText folder.Spec (Spec.print spec)
            Files.createFolder folder.Checkpoints
            let first = Pipeline.start (Experiment.preset "published" Sdac.algorithm)
            use log = new RunLog(folder, spec, Sdac.algorithm.Figures, [], Journal.empty)
            Checkpoint.save folder spec [] (log.Save()) first |> ignore
            Pipeline.dispose first
            work path
        finally
            Directory.Delete(path, true)

    let private milliseconds (work: unit -> 'a) : float * 'a =
        let clock = Stopwatch.StartNew()
        let result = work ()
        clock.Elapsed.TotalMilliseconds, result

    let private observation = Array.init 17 (fun i -> 0.1 * float (i % 5))

    /// Of a process that has just begun: milliseconds of loading, of the first action and of the second.
    let cold (path: string) (threads: int) : float list =
        let load, policy = milliseconds (fun () -> Policy.Load(path, threads = threads))
        use policy = policy
        let first, _ = milliseconds (fun () -> policy.act observation)
        let second, _ = milliseconds (fun () -> policy.act observation)
        [ load; first; second ]

    /// Of a process that has long acted: for the harness, one call.
    let warm (path: string) (threads: int) : IDisposable * (unit -> unit) =
        let policy = Policy.Load(path, threads = threads)
        policy, (fun () -> policy.act observation |> ignore)
