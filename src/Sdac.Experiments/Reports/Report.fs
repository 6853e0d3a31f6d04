namespace Sdac.Experiments

open System
open System.IO
open Sdac.Functional

/// What shows how far the pictures are, of so many: it runs the drawing, which tells it how many are drawn and what is next.
type ReportProgress =
    int -> ((int * string -> unit) -> (string * Result<unit, string>) list) -> (string * Result<unit, string>) list

/// One page about many runs, with its pictures and tables beside it.
[<RequireQualifiedAccess>]
module Report =
    /// The readable runs at or below the paths, and warnings about the others.
    let private gather (registry: Registry) (paths: string list) =
        let folders, warnings = RunSearch.find paths
        let results = folders |> List.map (RunRecord.read registry)

        let runs =
            results
            |> List.choose (function
                | Ok run -> Some run
                | Error _ -> None)

        let refused =
            results
            |> List.choose (function
                | Error sentence -> Some sentence
                | Ok _ -> None)

        runs, warnings @ refused

    /// Where the page goes, and how the names of the files beside it begin: a name that ends in .html is the page's own, another
    /// that of a folder for index.html.
    let private target (out: string) =
        if out.EndsWith(".html", StringComparison.OrdinalIgnoreCase) then
            let folder = Path.GetDirectoryName(Path.GetFullPath out) |> Option.ofObj |> Option.defaultValue "/"
            let stem = string (Path.GetFileNameWithoutExtension out)
            // a long name would leave none for the files beside the page
            let prefix =
                if stem.Length <= 60 then
                    stem
                else
                    ReportParts.fileName (stem.Replace('.', '-'))

            struct (folder, string (Path.GetFileName out), $"{prefix}.")
        else
            struct (Path.GetFullPath out, "index.html", "")

    /// Writes the pictures: the names of those that lie beside the page, and a sentence for each reason why others do not.
    let private savePictures
        (following: ReportProgress)
        (beside: string -> string)
        (parts: ReportPart list)
        : Set<string> * string list =
        let pictures =
            parts
            |> List.choose (fun part ->
                match part with
                | Picture(name, _, picture) -> Some(name, picture)
                | _ -> None)

        let draw (tell: int * string -> unit) =
            let results =
                [ for i, (name, picture) in List.indexed pictures do
                      tell (i, $"drawing {name}")
                      name, Plot.save (beside $"{name}.svg") picture ]

            tell (pictures.Length, "pictures drawn")
            results

        let results = if pictures.IsEmpty then [] else following pictures.Length draw

        let failures =
            results
            |> List.choose (fun (name, result) ->
                match result with
                | Error sentence -> Some(sentence, name)
                | Ok() -> None)
            |> List.groupBy fst
            |> List.map (fun (sentence, names) ->
                let names = names |> List.map snd |> String.concat ", "
                $"not written beside the page: {names} ({sentence})")

        for failure in failures do
            eprintfn $"warning: {failure}"

        set
            [ for name, result in results do
                  if result.IsOk then
                      name ],
        failures

    /// What is said of runs that have not come to their end.
    let private unfinished (groups: RunGroup list) : string list =
        [ for g in groups do
              for run in g.Runs do
                  if not run.Finished then
                      let why =
                          run.Failure
                          |> Option.map (fun sentence -> $": {sentence.TrimEnd('.')}")
                          |> Option.defaultValue ""

                      $"{run.Folder} is unfinished ({run.State}, {run.Iterations} updates{why}): it is shown in the learning curves, but not counted in the scores" ]

    /// Writes the report of all runs at or below the paths; what was left out is said on standard error and on the page. The
    /// page's path.
    let writeFollowed (following: ReportProgress) (registry: Registry) (paths: string list) (out: string) : string =
        let runs, unread = gather registry paths

        if runs.IsEmpty then
            let given = String.concat ", " paths

            let first =
                unread |> List.tryHead |> Option.map (fun sentence -> $" ({sentence})") |> Option.defaultValue ""

            let train = Entrance.shown "train"
            Errors.fail (Storage $"there is no usable run in {given}{first}: give folders that `{train}` has made")

        let groups, repeated = Comparison.group runs

        let warnings = unread @ repeated @ unfinished groups

        for warning in warnings do
            eprintfn $"warning: {warning}"

        let struct (folder, name, prefix) = target out
        Files.createFolder folder
        let beside file = Path.Combine(folder, prefix + file)
        let parts = ReportParts.all registry groups @ ReportParts.watched folder groups

        let written, unwritten = savePictures following beside parts

        for part in parts do
            match part with
            | Tabular table ->
                Files.writeText (beside $"{table.Name}.csv") (Table.csv table)
                Files.writeText (beside $"{table.Name}.md") (Table.markdown table)
            | _ -> ()

        let title = "Report: " + String.concat ", " (Comparison.tasks groups)
        let path = Path.Combine(folder, name)

        let lead =
            [ "What can be told",
              "P: probability that a run of the first scores more than one of the second (final score, same task), with 95 % bootstrap interval",
              ReportSummary.can groups
              "What cannot be told", "", ReportSummary.cannot groups
              "The runs", "", ReportSummary.size groups ]

        Files.writeText path (ReportPage.html prefix title lead (warnings @ unwritten) written parts)

        path

    /// The same in silence.
    let write (registry: Registry) (paths: string list) (out: string) : string =
        writeFollowed (fun _ draw -> draw ignore) registry paths out
