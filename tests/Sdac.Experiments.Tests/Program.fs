/// The tests; and the processes that they start from this same assembly: training runs that they can kill, and sweeps and the
/// page of samplers as a worker that takes train.fsx's and toy.fsx's arguments but need not be compiled first.
module Sdac.Experiments.Tests.Program

open System.Reflection
open Sdac.Experiments
open Sdac.Testing

let private resume folder threads = Runner.resume Runner.sdac folder threads true |> ignore

let private train file out threads =
    let spec = Spec.parse file (Presets.find "quick") (Files.readText file)
    Runner.run spec Runner.sdac out false threads true |> ignore

let private sample folder target method first count =
    Toy.work
        { Targets = [ ToyMethods.target target ]
          Methods = [ ToyMethods.named method ]
          Seeds = [ first .. first + count - 1L ]
          Folder = folder
          Jobs = 1
          Cells = 1 }

[<EntryPoint>]
let main arguments =
    let work (task: unit -> unit) =
        Main.run "host" (fun () ->
            task ()
            0)

    match List.ofArray arguments with
    | [ "--resume"; folder ] -> work (fun () -> resume folder 1)
    | [ "--resume"; folder; "--threads"; threads; "--quiet" ] -> work (fun () -> resume folder (int threads))
    | [ "--config"; file; "--out"; out; "--threads"; threads; "--quiet" ] ->
        work (fun () -> train file out (int threads))
    | [ "--worker"; "--out"; out; "--target"; target; "--seed"; first; "--seeds"; count; "--method"; method ] ->
        work (fun () -> sample out target method (int64 first) (int64 count))
    | [ "--load-models"; folder; first; last ] -> work (fun () -> MjcfFuzzTests.load folder (int first) (int last))
    | _ -> TestProgram.run (Assembly.GetExecutingAssembly()) arguments
