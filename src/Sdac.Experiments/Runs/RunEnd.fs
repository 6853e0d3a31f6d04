namespace Sdac.Experiments

open System
open Sdac.Functional

/// What a run leaves when it has come to its end: its curve, its summary, and a table of it on the console.
[<RequireQualifiedAccess>]
module internal RunEnd =
    /// Draws the learning curve of a run folder from its metrics; a sentence where there is no picture.
    let drawCurve (folder: RunFolder) (e: Experiment<'c, 's, 'w>) : Result<unit, string> =
        let lines = Metrics.read folder.Metrics
        let ofKind kind = lines |> List.filter (fun l -> l["kind"] = Label kind) |> List.toArray
        let figure name (line: Map<string, Figure>) = Metrics.number line[name] |> Option.defaultValue nan
        let steps line = int64 (figure "envSteps" line)
        let episodes = ofKind "episode" |> Array.map (fun l -> steps l, figure "return" l)

        let evaluations =
            ofKind "evaluation" |> Array.map (fun l -> steps l, figure "mean" l, figure "deviation" l)

        let subtitle =
            [ e.Algorithm.Title; $"seed %d{e.Seed}"; e.Algorithm.Describe e.Config ]
            |> List.filter ((<>) "")
            |> String.concat ", "

        Metrics.episodeMeans (ofKind "evaluation")
        |> Map.fold
            (fun picture name means -> Plot.above (Plot.episodeFigure name means) picture)
            (Plot.learningCurve e.Task subtitle episodes evaluations)
        |> Plot.save folder.Curve

    let private table (infos: FigureInfo list) (summary: Summary) (options: RunOptions) (picture: string) =
        let show (value: float) = Number.display value

        let last =
            match TrainingReport.headlines infos summary.Figures |> List.filter (snd >> Double.IsFinite) with
            | [] -> "–"
            | figures -> figures |> List.map (fun (label, value) -> $"{label} {show value}") |> String.concat ", "

        // a short run may end before its first episode
        let training =
            if Double.IsFinite summary.RecentTrainingReturn then
                show summary.RecentTrainingReturn
            else
                "no episode has ended"

        Progress.summaryTable
            $"{summary.Task}, {summary.Algorithm}, seed %d{summary.Seed}"
            [ "final evaluation",
              $"{show summary.Final.Mean} ± {show summary.Final.Deviation} over {summary.Final.Episodes} episodes"
              "lowest, highest", $"{show summary.Final.Lowest}, {show summary.Final.Highest}"
              "best evaluation",
              $"{show summary.BestMean} at {Progress.thousands summary.BestAtEnvSteps} environment steps"
              "training, last episodes", training
              "iterations, environment steps",
              $"{Progress.thousands summary.Iterations}, {Progress.thousands summary.EnvSteps}"
              "last update", last
              "wall-clock", $"%.0f{summary.WallClockSeconds} s"
              "peak memory", $"%.0f{summary.PeakMemoryMiB} MiB"
              "run folder", options.Out
              "learning curve", picture
              match RunOptions.watchCommand options with
              | Some command -> "to watch it", command
              | None -> () ]

    /// Curve and summary of a run at its end; a table of it where options are given.
    let conclude (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (shown: RunOptions option) (summary: Summary) : Summary =
        let picture =
            match drawCurve folder plan.Experiment with
            | Ok() -> folder.Curve
            | Error sentence -> $"no picture: {sentence}"

        let summary =
            { summary with TimingLines = RunFiles.timingLines folder; Files = RunFiles.describe folder }

        Files.writeText folder.Summary (Json.print summary + "\n")

        shown
        |> Option.iter (fun options -> table plan.Experiment.Algorithm.Figures summary options picture)

        summary
