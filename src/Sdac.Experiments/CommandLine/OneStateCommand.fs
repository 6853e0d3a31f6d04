namespace Sdac.Experiments

open System
open System.IO
open Argu
open Sdac.Functional
open Sdac.Sampling

/// Policies for one state whose Q is known, from the command line.
[<RequireQualifiedAccess>]
module OneStateCommand =
    /// The arguments of the page of one state.
    [<RequireQualifiedAccess>]
    type OneStateArguments =
        | [<EqualsAssignmentOrSpaced; AltCommandLine("-m")>] Method of NAME: string
        | [<Unique; EqualsAssignmentOrSpaced>] Updates of COUNT: int
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FOLDER: string

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | OneStateArguments.Method _ ->
                    let names = String.Join(", ", OneStateMethods.all |> List.map _.Name)
                    $"a method, may be repeated: {names}; default all"
                | OneStateArguments.Updates _ -> "updates of each, default 4,000"
                | OneStateArguments.Seed _ -> "the seed, default 0"
                | OneStateArguments.Out _ ->
                    "folder for one-state.html, its pictures (SVG and PNG), its table (MD and CSV) and a file for each result, so that nothing is computed twice; default runs/one-state"

    /// Trains and draws as the arguments say.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<OneStateArguments>(programName = program.Shown)
        let results = parser.ParseCommandLine arguments
        let folder = Path.GetFullPath(results.GetResult(OneStateArguments.Out, "runs/one-state"))

        let methods =
            match results.GetResults OneStateArguments.Method with
            | [] -> OneStateMethods.all
            | names -> names |> List.map OneStatePage.named

        Machine.useThreads Compute.cpu 1
        let updates = results.GetResult(OneStateArguments.Updates, 4_000)
        OneStatePage.run folder updates (results.GetResult(OneStateArguments.Seed, 0L)) methods
        printfn "%s" (Path.Combine(folder, "one-state.html"))
        0
