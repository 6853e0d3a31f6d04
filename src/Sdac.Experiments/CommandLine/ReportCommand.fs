namespace Sdac.Experiments

open Argu

/// Reports from the command line.
[<RequireQualifiedAccess>]
module ReportCommand =
    /// The arguments of a report.
    [<RequireQualifiedAccess>]
    type ReportArguments =
        | [<Mandatory; AltCommandLine("-r")>] Runs of FOLDER: string list
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FILE_OR_FOLDER: string

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | ReportArguments.Runs _ ->
                    "run folders, folders that hold some at any depth, or kept evaluations (scripts/returns); may be repeated"
                | ReportArguments.Out _ ->
                    "the page to write: a name that ends in .html, or a folder for index.html; pictures and tables go beside it; default report"

    /// Writes the report that the arguments ask for.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<ReportArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments
        let runs = results.GetResults ReportArguments.Runs |> List.concat

        let page =
            Report.writeFollowed Progress.tasks program.Registry runs (results.GetResult(ReportArguments.Out, "report"))

        printfn $"report: {page}"
        0
