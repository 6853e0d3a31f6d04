/// The test assembly as a program of its own: tests start it to have a training process that they can kill.
module Sdac.Experiments.Tests.Program

open Sdac.Experiments

[<EntryPoint>]
let main arguments =
    Main.run "host" (fun () ->
        match arguments with
        | [| "resume"; folder |] ->
            Runner.resume Runner.sdac folder 1 true |> ignore
            0
        | _ -> Errors.fail (Usage "usage: resume FOLDER"))
