// Samples densities we know by RSSM and its peers:  dotnet fsi --exec scripts/toy.fsx      (-- --help lists the options)
#load "sdac.fsx"

open System
open System.IO
open Argu
open Sdac
open Sdac.Experiments

type Arguments =
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
            | Target _ ->
                "a target, may be repeated: " + String.Join(", ", Targets.all |> List.map _.Name) + "; default pair"
            | Method _ ->
                "a method, may be repeated: "
                + String.Join(", ", ToyMethods.all |> List.map _.Name)
                + "; default all"
            | Seed _ -> "the first seed, default 0"
            | Seeds _ -> "how many seeds, default 1, with --all 5"
            | All -> "all targets and 5 seeds"
            | Out _ ->
                "folder for toy.html, its pictures (SVG and PNG), toy.md, toy.csv and the finished cells, which are not computed again; default runs/toy"
            | Jobs _ -> "processes at a time, one thread each, default all processors; results do not depend on it"
            | Cells _ -> "compute at most so many missing cells (target, method, seed) in this call"
            | Worker -> "compute in this process, write no page"

let options (results: ParseResults<Arguments>) =
    let all = results.Contains All
    let orDefault given fallback = if List.isEmpty given then fallback else given
    let first, count = results.GetResult(Seed, 0L), results.GetResult(Seeds, (if all then 5 else 1))

    { Targets =
        orDefault
            (results.GetResults Target |> List.map ToyMethods.target)
            (if all then Targets.all else [ Targets.pair ])
      Methods = orDefault (results.GetResults Method |> List.map ToyMethods.named) ToyMethods.all
      Seeds = [ first .. first + int64 count - 1L ]
      Folder = Path.GetFullPath(results.GetResult(Out, "runs/toy"))
      Jobs = results.GetResult(Jobs, Environment.ProcessorCount)
      Cells = results.GetResult(Cells, Int32.MaxValue) }

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "toy.fsx")
    let results = parser.ParseCommandLine fsi.CommandLineArgs[1..]
    let options = options results

    if results.Contains Worker then
        Machine.useThreads Compute.cpu 1
        Toy.work options
        0
    else
        let script = Path.Combine(__SOURCE_DIRECTORY__, __SOURCE_FILE__)
        // An update's arrays then die young: above the usual threshold each would call for a collection of the whole heap.
        let command = [ "env"; "DOTNET_GCLOHThreshold=1000000"; "dotnet"; "fsi"; "--exec"; script; "--" ]
        let code = Toy.run options (command @ [ "--worker"; "--out"; options.Folder ])
        printfn "%s" (Path.Combine(options.Folder, "toy.html"))
        code

exit (Script.run "toy.fsx" main)
