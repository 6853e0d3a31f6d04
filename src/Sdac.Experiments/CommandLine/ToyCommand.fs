namespace Sdac.Experiments

open System
open System.IO
open Argu
open Sdac.Functional
open Sdac.Sampling

/// Known densities from the command line.
[<RequireQualifiedAccess>]
module ToyCommand =
    /// The arguments of the page of known densities.
    [<RequireQualifiedAccess>]
    type ToyArguments =
        | [<EqualsAssignmentOrSpaced; AltCommandLine("-t")>] Target of NAME: string
        | [<EqualsAssignmentOrSpaced; AltCommandLine("-m")>] Method of NAME: string
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
        | [<Unique; EqualsAssignmentOrSpaced>] Seeds of COUNT: int
        | [<Unique>] All
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FOLDER: string
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-j")>] Jobs of COUNT: int
        | [<Unique; EqualsAssignmentOrSpaced>] Cells of COUNT: int
        | [<Hidden; Unique>] Worker

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | ToyArguments.Target _ ->
                    "a target, may be repeated: " + String.Join(", ", Targets.all |> List.map _.Name) + "; default pair"
                | ToyArguments.Method _ ->
                    "a method, may be repeated: "
                    + String.Join(", ", ToyMethods.all |> List.map _.Name)
                    + "; default all"
                | ToyArguments.Seed _ -> "the first seed, default 0"
                | ToyArguments.Seeds _ -> "how many seeds, default 1, with --all 5"
                | ToyArguments.All -> "all targets and 5 seeds"
                | ToyArguments.Out _ ->
                    "folder for toy.html, its pictures (SVG and PNG), toy.md, toy.csv and the finished cells, which are not computed again; default runs/toy"
                | ToyArguments.Jobs _ ->
                    "processes at a time, one thread each, default all processors; results do not depend on it"
                | ToyArguments.Cells _ -> "compute at most so many missing cells (target, method, seed) in this call"
                | ToyArguments.Worker -> "compute in this process, write no page"

    let private options (results: ParseResults<ToyArguments>) =
        let all = results.Contains ToyArguments.All
        let orDefault given fallback = if List.isEmpty given then fallback else given
        let first = results.GetResult(ToyArguments.Seed, 0L)
        let count = results.GetResult(ToyArguments.Seeds, (if all then 5 else 1))

        { Targets =
            orDefault
                (results.GetResults ToyArguments.Target |> List.map ToyMethods.target)
                (if all then Targets.all else [ Targets.pair ])
          Methods = orDefault (results.GetResults ToyArguments.Method |> List.map ToyMethods.named) ToyMethods.all
          Seeds = [ first .. first + int64 count - 1L ]
          Folder = Path.GetFullPath(results.GetResult(ToyArguments.Out, "runs/toy"))
          Jobs = results.GetResult(ToyArguments.Jobs, Environment.ProcessorCount)
          Cells = results.GetResult(ToyArguments.Cells, Int32.MaxValue) }

    /// Samples and compares as the arguments say.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<ToyArguments>(programName = program.Shown)
        let results = parser.ParseCommandLine arguments
        let options = options results

        if results.Contains ToyArguments.Worker then
            Machine.useThreads Compute.cpu 1
            Toy.work options
            0
        else
            // An update's arrays then die young: above the usual threshold each would call for a collection of the whole heap.
            let command = [ "env"; "DOTNET_GCLOHThreshold=1000000" ] @ program.Start "toy"
            let code = Toy.run options (command @ [ "--worker"; "--out"; options.Folder ])
            printfn "%s" (Path.Combine(options.Folder, "toy.html"))
            code
