/// The test assembly as a program of its own: tests start it to have training processes that they can kill, and sweeps as a worker
/// that takes train.fsx's arguments but need not be compiled first.
module Sdac.Experiments.Tests.Program

open Sdac.Experiments

let private resume folder threads = Runner.resume Runner.sdac folder threads true |> ignore

let private train file out threads =
    let spec = Spec.parse file (Presets.find "quick") (Files.readText file)
    Runner.run spec Runner.sdac out false threads true |> ignore

[<EntryPoint>]
let main arguments =
    Main.run "host" (fun () ->
        match List.ofArray arguments with
        | [ "resume"; folder ] -> resume folder 1
        | [ "--resume"; folder; "--threads"; threads; "--quiet" ] -> resume folder (int threads)
        | [ "--config"; file; "--out"; out; "--threads"; threads; "--quiet" ] -> train file out (int threads)
        | _ ->
            Errors.fail (
                Usage "usage: resume FOLDER | (--resume FOLDER | --config FILE --out FOLDER) --threads COUNT --quiet"
            )

        0)
