// One page about many runs:  dotnet fsi --exec scripts/report.fsx --runs FOLDER...        (-- --help lists the options)
#load "sdac.fsx"

open Argu
open Sdac.Experiments

type Arguments =
    | [<Mandatory; AltCommandLine("-r")>] Runs of FOLDER: string list
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FILE_OR_FOLDER: string

    interface IArgParserTemplate with
        member this.Usage =
            match this with
            | Runs _ -> "run folders, or folders that hold some at any depth; may be repeated"
            | Out _ ->
                "the page to write: a name that ends in .html, or a folder for index.html; pictures and tables go beside it; default report"

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "report.fsx")
    let results = parser.ParseCommandLine fsi.CommandLineArgs[1..]
    let page = Report.write (results.GetResults Runs |> List.concat) (results.GetResult(Out, "report"))
    printfn $"report: {page}"
    0

exit (Main.run "report.fsx" main)
