namespace Sdac.Experiments

open System
open System.Globalization
open Sdac

/// The pictures of a report, as Vega-Lite specifications.
[<RequireQualifiedAccess>]
module ReportPlots =
    // Okabe and Ito's colours, which people with any kind of colour vision can tell apart, without their yellow, which is
    // hard to see on white.
    let private palette = [| "#0072B2"; "#D55E00"; "#009E73"; "#CC79A7"; "#E69F00"; "#56B4E9"; "#000000" |]

    // Where there are more groups than colours, the colours return with other dashes.
    let private dashes = [| []; [ 8.0; 4.0 ]; [ 2.0; 3.0 ]; [ 10.0; 3.0; 2.0; 3.0 ] |]

    let private place (names: string list) (name: string) =
        names |> List.tryFindIndex ((=) name) |> Option.defaultValue 0

    let private colour names name = palette[place names name % palette.Length]

    let private line names name =
        let dash = dashes[place names name / palette.Length % dashes.Length]

        match Plot.line 2.0 with
        | Fields fields when not dash.IsEmpty -> Fields(fields @ [ "strokeDash", Items(List.map Number dash) ])
        | solid -> solid

    /// A line of one colour, dotted where it has few points.
    let private lineOf names name title (rows: (string * float) list list) : Layer =
        let mark =
            match line names name with
            | Fields fields when rows.Length <= 30 ->
                Fields(fields @ [ "point", Fields [ "filled", Flag true; "size", Number 28.0 ] ])
            | mark -> mark

        { Name = name
          Colour = colour names name
          Rows = rows
          Mark = mark
          Channels = [ "y", Plot.quantitative "value" title ] }

    let private bandOf names name title rows : Layer =
        { Name = name
          Colour = colour names name
          Rows = rows
          Mark = Plot.band
          Channels = [ "y", Plot.quantitative "low" title; "y2", Fields [ "field", Text "high" ] ] }

    let private estimateRow (x: float) (e: Estimate) = [ "x", x; "value", e.Value; "low", e.Low; "high", e.High ]

    /// Lines over bands: name, estimates by x. Where there is no interval there is no band.
    let private banded yTitle names (curves: (string * (float * Estimate) list) list) : Layer list =
        let rows points = [ for x, e in points -> estimateRow x e ]
        let sure points = points |> List.filter (fun (_, e: Estimate) -> Double.IsFinite e.Low)

        [ for name, points in curves do
              if not (sure points).IsEmpty then
                  bandOf names name yTitle (rows (sure points))
          for name, points in curves do
              if not points.IsEmpty then
                  lineOf names name yTitle (rows points) ]

    /// Values that hold until the next one, instead of slopes between them.
    let private stepped (layer: Layer) =
        match layer.Mark with
        | Fields fields ->
            let fields = fields |> List.filter (fun (name, _) -> name <> "point")
            { layer with Mark = Fields(fields @ [ "interpolate", Text "step-after" ]) }
        | _ -> layer

    let private count (n: int) noun = if n = 1 then $"1 {noun}" else $"{n} {noun}s"

    let private steps = Plot.quantitative "x" "Environment steps"

    /// The learning curves of one task; `statistic` is named in the title.
    let learning
        (statisticName: string)
        (statistic: float[] -> float)
        (names: string list)
        (groups: RunGroup list)
        : Vega =
        let curves =
            groups
            |> List.map (fun g -> g.Name, [ for p in Comparison.curve statistic g -> float p.EnvSteps, p.Estimate ])

        let runs = groups |> List.map _.Runs.Length

        let seeds =
            if List.min runs = List.max runs then
                count (List.min runs) "seed"
            else
                $"{List.min runs} to {List.max runs} seeds"

        let band = if List.max runs > 1 then "; band: 95 % bootstrap interval" else ""

        banded "Return per episode (undiscounted)" names curves
        |> Plot.chart
            $"{groups.Head.Task}: {statisticName} return"
            $"Evaluations without exploration noise, {statisticName} over {seeds}{band}"
            steps

    /// A figure of every group of one task against environment steps or updates, averaged over runs.
    let series title subtitle x yTitle (names: string list) (series: (string * (int64 * float)[]) list) : Vega =
        [ for name, points in series do
              if points.Length > 0 then
                  lineOf
                      names
                      name
                      yTitle
                      [ for at, value in Plot.thin 300 points -> [ "x", float at; "value", value ] ] ]
        |> Plot.chart title subtitle (Plot.quantitative "x" x)

    /// The performance profile: how large a share of the runs scores more than τ.
    let profile
        (normalised: bool)
        (names: string list)
        (tasks: string list)
        (scores: (string * float[][]) list)
        : Vega =
        let all = scores |> List.collect (snd >> Array.concat >> List.ofArray)
        let low, high = List.min all, List.max all
        let margin = 0.05 * max (high - low) (1e-3 * max 1.0 (abs high))

        // the profile changes at scores alone
        let grid =
            [| low - margin; yield! List.sort (List.distinct all); high + margin |]
            |> Plot.thin 200
            |> List.ofArray

        let curve strata =
            [ for threshold in grid ->
                  threshold,
                  Statistics.bootstrap Comparison.Level 500 Comparison.key (Statistics.profileAt threshold) strata ]

        let x =
            if normalised then
                "τ (final score, 0: the task's worst run, 1: its best)"
            else
                "τ (final return of a run)"

        banded "Share of runs above τ" names [ for name, strata in scores -> name, curve strata ]
        |> List.map stepped
        |> Plot.chart
            "Performance profile"
            ("Share of runs whose final score is above τ, over "
             + count tasks.Length "task"
             + "; band: 95 % bootstrap interval")
            (Plot.quantitative "x" x)

    let private nominal field (order: string list) =
        Fields
            [ "field", Text field
              "type", Text "nominal"
              "sort", Items(List.map Text order)
              "title", Text ""
              "axis", Fields [ "labelLimit", Number 600.0; "domain", Flag false; "ticks", Flag false ] ]

    let private values rows = "data", Fields [ "values", Items(List.map Fields rows) ]

    let private grey = Text "#888888"

    /// Probabilities of improvement, one row a pair.
    let improvement (pairs: (string * string * int * Estimate) list) : Vega =
        let label x y = $"{x} > {y}"

        let rows =
            [ for x, y, _, e in pairs ->
                  [ "pair", Text(label x y); "value", Number e.Value; "low", Number e.Low; "high", Number e.High ] ]

        let y = nominal "pair" [ for x, y, _, _ in pairs -> label x y ]

        let x field =
            Fields
                [ "field", Text field
                  "type", Text "quantitative"
                  "title", Text "Probability of improvement"
                  "scale", Fields [ "domain", Items [ Number 0.0; Number 1.0 ] ] ]

        Plot.frame
            "Probability of improvement"
            "How likely a run of the first scores more than one of the second on the same task; bar: 95 % bootstrap interval"
            460.0
            (float (26 * pairs.Length + 14))
            [ values rows
              "layer",
              Items
                  [ Fields
                        [ "mark",
                          Fields [ "type", Text "rule"; "strokeDash", Items [ Number 4.0; Number 4.0 ]; "color", grey ]
                          "encoding", Fields [ "x", Fields [ "datum", Number 0.5 ] ] ]
                    Fields
                        [ "mark",
                          Fields
                              [ "type", Text "rule"
                                "strokeWidth", Number 6.0
                                "opacity", Number 0.35
                                "color", Text palette[0] ]
                          "encoding", Fields [ "y", y; "x", x "low"; "x2", Fields [ "field", Text "high" ] ] ]
                    Fields
                        [ "mark",
                          Fields
                              [ "type", Text "point"
                                "filled", Flag true
                                "size", Number 70.0
                                "opacity", Number 1.0
                                "color", Text palette[0] ]
                          "encoding", Fields [ "y", y; "x", x "value" ] ] ] ]

    /// Final scores of one task: every run a dot, the interquartile mean with its interval over them.
    let finals (names: string list) (groups: RunGroup list) : Vega =
        let scored = groups |> List.filter (fun group -> not group.Finished.IsEmpty)
        let labels = scored |> List.map _.Name
        let y = nominal "group" labels

        let dots =
            [ for g in scored do
                  for score in g.FinalScores -> [ "group", Text g.Name; "value", Number score ] ]

        let estimates =
            [ for g in scored ->
                  let e = Comparison.estimate Statistics.iqm g.FinalScores
                  [ "group", Text g.Name; "value", Number e.Value; "low", Number e.Low; "high", Number e.High ] ]

        let x field =
            Fields
                [ "field", Text field
                  "type", Text "quantitative"
                  "title", Text "Final return per episode (undiscounted)"
                  "scale", Fields [ "zero", Flag false; "padding", Number 12.0 ]
                  "axis", Fields [ "format", Text ",~f"; "tickCount", Number 6.0 ] ]

        let colour =
            Fields
                [ "field", Text "group"
                  "type", Text "nominal"
                  "legend", Fields [ "disable", Flag true ]
                  "scale",
                  Fields
                      [ "domain", Items(List.map Text labels)
                        "range", Items(labels |> List.map (colour names >> Text)) ] ]

        let layer rows mark channels =
            Fields [ values rows; "mark", Fields mark; "encoding", Fields([ "y", y; "color", colour ] @ channels) ]

        Plot.frame
            $"{groups.Head.Task}: final score"
            "Dots: the last evaluation of each finished run; tick: interquartile mean; bar: its 95 % bootstrap interval"
            460.0
            (float (34 * labels.Length + 14))
            [ "layer",
              Items
                  [ layer
                        (estimates
                         |> List.filter (fun row ->
                             match row[2] with
                             | _, Number low -> Double.IsFinite low
                             | _ -> false))
                        [ "type", Text "rule"; "strokeWidth", Number 10.0; "opacity", Number 0.3 ]
                        [ "x", x "low"; "x2", Fields [ "field", Text "high" ] ]
                    layer
                        dots
                        [ "type", Text "point"; "filled", Flag true; "size", Number 36.0; "opacity", Number 0.7 ]
                        [ "x", x "value" ]
                    layer
                        estimates
                        [ "type", Text "tick"; "thickness", Number 3.0; "size", Number 24.0 ]
                        [ "x", x "value" ] ] ]

    /// Milliseconds per update by phase, one bar a group: (group, phase, milliseconds).
    let phases (order: string list) (figures: (string * string * float) list) : Vega =
        let names = figures |> List.map (fun (_, phase, _) -> phase) |> List.distinct

        let range = [ for i in 0 .. names.Length - 1 -> Text palette[i % palette.Length] ]

        Plot.frame
            "Time per update"
            "Wall-clock by phase, mean over updates and runs; evaluations, checkpoints and the warm-up left out"
            460.0
            (float (34 * order.Length + 14))
            [ values
                  [ for group, phase, ms in figures -> [ "group", Text group; "phase", Text phase; "ms", Number ms ] ]
              "mark", Text "bar"
              "encoding",
              Fields
                  [ "y", nominal "group" order
                    "x",
                    Fields
                        [ "field", Text "ms"
                          "type", Text "quantitative"
                          "aggregate", Text "sum"
                          "title", Text "Milliseconds per update" ]
                    "color",
                    Fields
                        [ "field", Text "phase"
                          "type", Text "nominal"
                          "scale", Fields [ "domain", Items(List.map Text names); "range", Items range ]
                          "legend", Fields [ "title", Text ""; "symbolType", Text "square"; "columns", Number 4.0 ] ] ] ]

    // ---- weights over time

    /// Columns of a picture of weights over time.
    [<Literal>]
    let private WeightColumns = 40

    /// The lowest edge shown; a bucket that begins at 0 has no place on a logarithmic axis.
    let private lowest = 2.0 ** -7.0

    /// The histograms of all runs of a group, in at most `WeightColumns` spans of time: start, end, and (low edge, high edge,
    /// share of the span's draws) of each bucket.
    let weightSpans (group: RunGroup) : (int64 * int64 * (float * float * float) list) list =
        let ends =
            [| for run in group.Runs do
                   for h in run.Weights -> h.EnvSteps |]
            |> Array.distinct
            |> Array.sort

        let spans = ends |> Array.chunkBySize ((ends.Length + WeightColumns - 1) / WeightColumns |> max 1)
        let starts = Array.append [| 0L |] (spans |> Array.map Array.last)

        [ for i, span in Array.indexed spans do
              let first, last = span[0], Array.last span

              let buckets =
                  [ for run in group.Runs do
                        for h in run.Weights do
                            if h.EnvSteps >= first && h.EnvSteps <= last then
                                for b, count in Array.indexed h.Counts -> (h.Edges[b], h.Edges[b + 1]), count ]
                  |> List.groupBy fst
                  |> List.map (fun (edges, counts) -> edges, counts |> List.sumBy snd)

              let total = buckets |> List.sumBy snd

              if total > 0.0 then
                  starts[i], last, [ for (low, high), count in List.sort buckets -> low, high, count / total ] ]

    /// Where the weights of the Monte-Carlo draws lie over time.
    let weights (group: RunGroup) : Vega =
        let rows =
            [ for first, last, buckets in weightSpans group do
                  for low, high, share in buckets do
                      if share > 0.0 && high > lowest then
                          [ "x", Number(float first)
                            "x2", Number(float last)
                            "y", Number(max low lowest)
                            "y2", Number high
                            "share", Number share ] ]

        let shade =
            Fields
                [ "field", Text "share"
                  "type", Text "quantitative"
                  "scale", Fields [ "scheme", Text "viridis"; "type", Text "sqrt" ]
                  "legend",
                  Fields
                      [ "title", Text "share of the draws"
                        "format", Text ".0%"
                        "gradientLength", Number 300.0
                        "tickCount", Number 4.0 ] ]

        let y =
            Fields
                [ "field", Text "y"
                  "type", Text "quantitative"
                  "title", Text "Weight over mean weight"
                  "scale", Fields [ "type", Text "log"; "base", Number 2.0; "nice", Flag false ]
                  "axis", Fields [ "format", Text "~g"; "tickCount", Number 8.0 ] ]

        let x =
            match Plot.quantitative "x" "Environment steps" with
            | Fields fields -> Fields(fields @ [ "scale", Fields [ "nice", Flag false ] ])
            | other -> other

        Plot.frame
            $"{group.Task}: RSSM weights of {group.Name}"
            "Each draw's weight over the mean weight of its state, 1 where Q says nothing; lowest row: all smaller weights"
            720.0
            300.0
            [ values rows
              // no description of every rectangle (the page describes the picture); a seam would show between them without a stroke
              "mark", Fields [ "type", Text "rect"; "aria", Flag false; "strokeWidth", Number 0.8 ]
              "encoding",
              Fields
                  [ "x", x
                    "x2", Fields [ "field", Text "x2" ]
                    "y", y
                    "y2", Fields [ "field", Text "y2" ]
                    "color", shade
                    // as the colour, by an expression: a channel of its own would spoil the legend's gradient
                    "stroke", Fields [ "value", Fields [ "expr", Text "scale('color', datum.share)" ] ] ] ]
