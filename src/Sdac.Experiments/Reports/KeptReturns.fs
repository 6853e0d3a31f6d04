namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open System.Text.Json.Nodes
open Sdac.Functional

/// Evaluations of finished runs that are kept beside the scripts: of each run a CSV file, its specification and what it ran on. A
/// folder holds the runs of one experiment; its name is what people read.
[<RequireQualifiedAccess>]
module KeptReturns =
    let private fileOf (folder: string) (seed: int64) (ending: string) = Path.Combine(folder, $"seed-%d{seed}{ending}")

    /// Copies a finished run's evaluations, specification and machine into the folder of its experiment.
    let keep (registry: Registry) (folder: string) (run: string) : unit =
        let source = RunFolder.openExisting run

        if not (File.Exists source.Summary) then
            Errors.fail (Settings $"{run} is not finished (summary.json is missing): go on with it by --resume first")

        let spec = SpecFile.ofRun registry source
        Files.createFolder folder

        let lines = Metrics.read source.Metrics

        let list (values: float list) =
            values |> List.map (fun r -> (Cell.number r).Raw) |> String.concat " " |> Cell.text

        let names = lines |> List.collect Metrics.episodeFigures |> List.map fst |> List.distinct

        let rows =
            [ for line in lines do
                  match Map.tryFind "kind" line, Map.tryFind "returns" line with
                  | Some(Label "evaluation"), Some(Values returns) ->
                      let cell name = line[name] |> Metrics.number |> Option.defaultValue nan |> Cell.number

                      [ cell "iteration"
                        cell "envSteps"
                        cell "mean"
                        cell "deviation"
                        list returns
                        // an older program may have noted none
                        let figures = Map(Metrics.episodeFigures line)
                        yield! [ for name in names -> Map.tryFind name figures |> Option.defaultValue [] |> list ] ]
                  | _ -> () ]

        let table =
            { Name = ""
              Caption = ""
              Columns = KeptRun.columns @ List.map ((+) Metrics.EpisodePrefix) names
              Rows = rows }

        Files.writeText (fileOf folder spec.Seed ".csv") (Table.csv table)
        Files.writeText (fileOf folder spec.Seed ".spec.json") (Files.readUtf8 source.Spec)
        Files.writeText (fileOf folder spec.Seed ".machine.json") (Files.readUtf8 source.Machine)

    /// All runs that are kept below a folder, by experiment and seed.
    let read (folder: string) : KeptRun list =
        if not (Directory.Exists folder) then
            Errors.fail (Storage $"there is no folder {folder}: keep a run there first")

        [ for experiment in Directory.GetDirectories folder |> Array.sort do
              yield! KeptRun.files experiment |> List.map KeptRun.read |> List.sortBy _.Seed ]

    let private groups (runs: KeptRun list) = runs |> List.groupBy _.Experiment

    /// Seeds, length, final returns and where each experiment ran.
    let table (runs: KeptRun list) : Table =
        { Name = "returns"
          Caption = "Mean return of the last evaluation, over seeds"
          Columns = [ "experiment"; "seeds"; "environment steps"; "mean"; "deviation"; "of each seed"; "commits" ]
          Rows =
            [ for experiment, runs in groups runs do
                  let finals = runs |> List.map _.Final |> List.toArray
                  let mean = Statistics.mean finals
                  let deviation = sqrt (Statistics.mean (finals |> Array.map (fun x -> (x - mean) ** 2.0)))
                  let commits = runs |> List.map (fun run -> run.Program.Split('+') |> Array.last) |> List.distinct

                  [ Cell.text experiment
                    Cell.count (int64 runs.Length)
                    Cell.count (fst (Array.last runs.Head.Evaluations))
                    Cell.number mean
                    Cell.number deviation
                    Cell.text (finals |> Array.map Cell.show |> String.concat " ")
                    Cell.text (commits |> List.map (fun c -> c[.. min 8 c.Length - 1]) |> String.concat " ") ] ] }

    /// The learning curves: a panel for each task, a line for each experiment, the mean over seeds within lowest and highest.
    let picture (runs: KeptRun list) : Picture =
        let names = groups runs |> List.map fst

        let layers (runs: KeptRun list) =
            [ for experiment, runs in groups runs do
                  let colour = Plot.palette[List.findIndex ((=) experiment) names % Plot.palette.Length]

                  let points =
                      runs
                      |> Seq.collect _.Evaluations
                      |> Seq.groupBy fst
                      |> Seq.map (fun (steps, found) -> float steps, Seq.map snd found |> Seq.toArray)
                      |> Seq.filter (fun (_, found) -> found.Length = runs.Length)
                      |> Seq.sortBy fst
                      |> List.ofSeq

                  let layer mark : Layer = { Name = experiment; Colour = colour; Mark = mark }

                  if runs.Length > 1 then
                      layer (Mark.Band [ for steps, found in points -> steps, Array.min found, Array.max found ])

                  layer (Plot.line 2.0 [ for steps, found in points -> steps, Array.average found ]) ]

        { Title = "Returns of whole runs"
          Subtitle = "Evaluations without exploration noise: mean over seeds, band from the lowest to the highest"
          Panels =
            [ for task, runs in runs |> List.groupBy _.Task do
                  [ Plot.panel
                        task
                        (760.0, 260.0)
                        (Plot.axis "Environment steps")
                        (Plot.axis "Return per episode (undiscounted)")
                        (layers runs) ] ]
          Legend = true }
