// Policies for one state whose Q is known:  dotnet fsi --exec scripts/one-state.fsx      (-- --help lists the options)
#load "sdac.fsx"

open System
open System.IO
open Argu
open Sdac
open Sdac.Experiments

type Arguments =
    | [<EqualsAssignmentOrSpaced; AltCommandLine("-m")>] Method of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Updates of COUNT: int
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FOLDER: string

    interface IArgParserTemplate with
        member this.Usage =
            match this with
            | Method _ ->
                let names = String.Join(", ", OneState.methods |> List.map _.Name)
                $"a method, may be repeated: {names}; default all"
            | Updates _ -> "updates of each, default 4,000"
            | Seed _ -> "the seed, default 0"
            | Out _ ->
                "folder for one-state.html, its pictures (SVG and PNG), its table (MD and CSV); default runs/one-state"

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "one-state.fsx")
    let results = parser.ParseCommandLine fsi.CommandLineArgs[1..]
    let folder = Path.GetFullPath(results.GetResult(Out, "runs/one-state"))

    let methods =
        match results.GetResults Method with
        | [] -> OneState.methods
        | names -> names |> List.map OneStatePage.named

    Machine.useThreads Compute.cpu 1
    OneStatePage.run folder (results.GetResult(Updates, 4_000)) (results.GetResult(Seed, 0L)) methods
    printfn "%s" (Path.Combine(folder, "one-state.html"))
    0

exit (Script.run "one-state.fsx" main)
