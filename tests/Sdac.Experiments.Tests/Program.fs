/// The tests; and the processes that they start from this same assembly: training runs that they can kill, and sweeps and the
/// page of samplers as a worker that takes train.fsx's and toy.fsx's arguments but need not be compiled first.
module Sdac.Experiments.Tests.Program

open System.IO
open System.Reflection
open System.Runtime.InteropServices
open Sdac.Functional
open Sdac.Sampling
open Sdac.Experiments
open Sdac.Experiments.Tests.SweepSupport
open Sdac.Testing

let private resume folder threads = Runner.resume Registry.standard folder threads true |> ignore

let private train file out threads =
    let spec = SpecFile.parse Registry.standard file None "quick" (Files.readText file)

    Runner.run Registry.standard spec { RunOptions.into out with Threads = threads; Quiet = true }
    |> ignore

/// Takes a run of SDAC up with a stage that says "ready" at iteration `at` and then waits: for the signals that come ("once": for one,
/// "5": for so many, saying "asked" of each, "ever": for any number), or for a line of input.
let private waiting (kind: string) (at: int64) (folder: string) =
    let count =
        match System.Int32.TryParse kind with
        | true, count -> count
        | _ -> 1

    use asked = new System.Threading.CountdownEvent(count)

    let register signal =
        PosixSignalRegistration.Create(
            signal,
            fun _ ->
                System.Console.Out.WriteLine "asked"

                if not asked.IsSet then
                    asked.Signal() |> ignore
        )

    let signals = [ PosixSignal.SIGINT; PosixSignal.SIGTERM; PosixSignal.SIGHUP ]

    let wait () =
        let registrations = if kind = "input" then [] else List.map register signals
        System.Console.Out.WriteLine "ready"

        match kind with
        | "input" -> System.Console.In.ReadLine() |> ignore
        | "ever" -> System.Threading.Thread.Sleep System.Threading.Timeout.Infinite
        | _ -> asked.Wait()

        registrations |> List.iter _.Dispose()

    let stage (step: Step<ActorCriticState, Update>) =
        if step.Iteration = at then
            wait ()

        Pipeline.standard step

    let options = { RunOptions.into folder with Threads = 1; Quiet = true; Command = "train" }
    Runner.goOnComposed stage Sdac.algorithm options None |> ignore

let private sample folder target method first count =
    Toy.work
        { Targets = [ ToyMethods.target target ]
          Methods = [ ToyMethods.named method ]
          Seeds = [ first .. first + count - 1L ]
          Folder = folder
          Jobs = 1
          Cells = 1 }

/// Holds a run folder until it is killed.
let private hold path =
    use _ = RunFolder.lock { Path = path }
    System.Console.Out.WriteLine "held"
    System.Threading.Thread.Sleep System.Threading.Timeout.Infinite

/// Holds a record lock, which is what a network file system makes of the lock of a run folder.
let private holdRecord path =
    use stream =
        new FileStream(
            ({ Path = path }: RunFolder).Lock,
            FileMode.OpenOrCreate,
            FileAccess.ReadWrite,
            FileShare.ReadWrite
        )

    stream.Lock(0L, 1L)
    System.Console.Out.WriteLine "held"
    System.Threading.Thread.Sleep System.Threading.Timeout.Infinite

/// A sweep of one run that does not end.
let private sweep out =
    let options = Local { Jobs = 1; Threads = 1; Retries = 0 }

    Sweeps.run Registry.standard (SweepFolder.at out) (sweepOf "endless" 10_000_000 "{}") worker options
    |> ignore

[<EntryPoint>]
let main arguments =
    let work (task: unit -> unit) =
        Script.run "host" (fun () ->
            task ()
            0)

    match List.ofArray arguments with
    | [ "--resume"; folder ] -> work (fun () -> resume folder 1)
    | [ "--resume"; folder; "--loud" ] ->
        work (fun () -> Runner.goOn Registry.standard (RunOptions.into folder) None |> ignore)
    | [ "--resume"; folder; "--threads"; threads; "--quiet" ] -> work (fun () -> resume folder (int threads))
    | [ "--config"; file; "--out"; out; "--threads"; threads; "--quiet" ] ->
        work (fun () -> train file out (int threads))
    | [ "--waiting"; kind; at; folder ] -> work (fun () -> waiting kind (int64 at) folder)
    | [ "--create-folder"; path ] -> work (fun () -> Files.createFolder path)
    | [ "--write"; path ] -> work (fun () -> Files.writeText path "text")
    | [ "--report"; runs; out ] -> work (fun () -> Report.write Registry.standard [ runs ] out |> ignore)
    | [ "--hold"; path ] -> work (fun () -> hold path)
    | [ "--hold-record"; path ] -> work (fun () -> holdRecord path)
    | [ "--sweep"; out ] -> work (fun () -> sweep out)
    | [ "--worker"; "--out"; out; "--target"; target; "--seed"; first; "--seeds"; count; "--method"; method ] ->
        work (fun () -> sample out target method (int64 first) (int64 count))
    | [ "--load-models"; folder; first; last ] -> work (fun () -> MjcfFuzzTests.load folder (int first) (int last))
    | _ ->
        Sdac.LibTorch.Libtorch.Prepare()
        TestProgram.run (Assembly.GetExecutingAssembly()) arguments
