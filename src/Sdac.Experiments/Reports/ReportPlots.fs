namespace Sdac.Experiments

open System
open System.Globalization
open Sdac.Functional

/// The pictures of a report.
[<RequireQualifiedAccess>]
module ReportPlots =
    // Where there are more groups than colours, the colours return with other markers.
    let private markers = [| PointShape.Disc; PointShape.Square; PointShape.Triangle; PointShape.Diamond |]

    let private place (names: string list) (name: string) =
        names |> List.tryFindIndex ((=) name) |> Option.defaultValue 0

    let private colour names name = Plot.palette[place names name % Plot.palette.Length]

    /// A line in the colour of its name. Long lines of the first colours have no markers: those would only hide them.
    let private lineOf names name stepped (points: (float * float) list) : Layer =
        let round = place names name / Plot.palette.Length

        let marker =
            if round = 0 && (stepped || points.Length > Picture.Marked) then
                None
            else
                Some markers[round % markers.Length]

        { Name = name
          Colour = colour names name
          Mark = Mark.Line({ Width = 2.0; Marker = marker; Stepped = stepped }, points) }

    /// Values that hold until the next one: the corners of a band's edge.
    let private corners (points: (float * float * float) list) =
        match points with
        | [] -> []
        | first :: _ ->
            first
            :: (List.pairwise points
                |> List.collect (fun ((_, low, high), (x, nextLow, nextHigh)) -> [ x, low, high; x, nextLow, nextHigh ]))

    /// Lines over bands: name, estimates by x. Where there is no interval there is no band.
    let private banded names stepped (curves: (string * (float * Estimate) list) list) : Layer list =
        let sure points = points |> List.filter (fun (_, e: Estimate) -> Double.IsFinite e.Low)

        [ for name, points in curves do
              let band = [ for x, e in sure points -> x, e.Low, e.High ]

              if not band.IsEmpty then
                  { Name = name
                    Colour = colour names name
                    Mark = Mark.Band(if stepped then corners band else band) }
          for name, points in curves do
              if not points.IsEmpty then
                  lineOf names name stepped [ for x, e in points -> x, e.Value ] ]

    let private count (n: int) noun = if n = 1 then $"1 {noun}" else $"{n} {noun}s"

    let private steps = Plot.axis "Environment steps"

    /// Over how many seeds, and what the band around a line is.
    let private seedsOf (groups: RunGroup list) =
        let runs = groups |> List.map _.Runs.Length

        let seeds =
            if List.min runs = List.max runs then
                count (List.min runs) "seed"
            else
                $"{List.min runs} to {List.max runs} seeds"

        if List.max runs > 1 then $"{seeds}; band: 95 %% bootstrap interval" else seeds

    /// The learning curves of one task; `statistic` is named in the title.
    let learning
        (statisticName: string)
        (statistic: float[] -> float)
        (names: string list)
        (groups: RunGroup list)
        : Picture =
        let curves =
            groups
            |> List.map (fun g -> g.Name, [ for p in Comparison.curve statistic g -> float p.EnvSteps, p.Estimate ])

        banded names false curves
        |> Plot.chart
            $"{groups.Head.Task}: {statisticName} return"
            $"Evaluations without exploration noise, {statisticName} over {seedsOf groups}"
            steps
            (Plot.axis "Return per episode (undiscounted)")

    /// A figure of whole episodes on one task, as the learning curve.
    let episodeFigure (figure: string) (names: string list) (groups: RunGroup list) : Picture =
        let withFigure (run: RunRecord) =
            let means = Map.tryFind figure run.EpisodeFigures |> Option.defaultValue [||]
            { run with Evaluations = means; EvaluatedAfter = Array.create means.Length nan }

        [ for g in groups ->
              let points = Comparison.curve Statistics.mean { g with Runs = List.map withFigure g.Runs }
              g.Name, [ for p in points -> float p.EnvSteps, p.Estimate ] ]
        |> banded names false
        |> Plot.chart
            $"{groups.Head.Task}: mean {figure} of an episode"
            $"Evaluations without exploration noise, mean over {seedsOf groups}"
            steps
            (Plot.axis figure)

    /// The same mean returns against the time that it took to get there.
    let overTime (names: string list) (groups: RunGroup list) : Picture =
        let timed =
            [ for g in groups ->
                  g.Name,
                  Comparison.curve Statistics.mean g
                  |> List.filter (fun point -> Double.IsFinite point.Seconds)
                  |> List.sortBy _.Seconds ]

        let longest = timed |> List.collect snd |> List.map _.Seconds |> List.fold max 0.0

        let unit, seconds =
            if longest >= 7200.0 then "hours", 3600.0
            elif longest >= 120.0 then "minutes", 60.0
            else "seconds", 1.0

        banded names false [ for name, points in timed -> name, [ for p in points -> p.Seconds / seconds, p.Estimate ] ]
        |> Plot.chart
            $"{groups.Head.Task}: mean return against wall-clock time"
            $"Evaluations without exploration noise, mean over {seedsOf groups}; at the mean time of the runs, evaluations included"
            (Plot.axis $"Wall-clock time ({unit})")
            (Plot.axis "Return per episode (undiscounted)")

    /// A figure of every group of one task against environment steps or updates, averaged over runs.
    let series title subtitle x yTitle (names: string list) (series: (string * (int64 * float)[]) list) : Picture =
        [ for name, points in series do
              if points.Length > 0 then
                  lineOf names name false [ for at, value in Plot.thin 300 points -> float at, value ] ]
        |> Plot.chart title subtitle (Plot.axis x) (Plot.axis yTitle)

    /// The performance profile: how large a share of the runs scores more than τ.
    let profile
        (normalised: bool)
        (names: string list)
        (tasks: string list)
        (scores: (string * float[][]) list)
        : Picture =
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
                "τ (final score, 0: random actions, 1: the stored reference)"
            else
                "τ (final return of a run)"

        banded names true [ for name, strata in scores -> name, curve strata ]
        |> Plot.chart
            "Performance profile"
            ("Share of runs whose final score is above τ, over "
             + count tasks.Length "task"
             + "; band: 95 % bootstrap interval")
            { Plot.axis x with Extent = Extent.OfData }
            { Plot.axis "Share of runs above τ" with Extent = Extent.Between(-0.02, 1.02) }

    /// A picture of rows, a row a text.
    let private rowed title subtitle rowHeight (texts: string list) x legend layers : Picture =
        let size = 460.0, float (rowHeight * texts.Length + 14)
        let panel = Plot.panel "" size x (Plot.rows texts) layers
        { Plot.single title subtitle panel with Legend = legend }

    let private shares =
        Ticks.At [ for tenth in 0.0..2.0..10.0 -> tenth / 10.0, RoundNumbers.text (tenth / 10.0) ]

    /// Probabilities of improvement, one row a pair; `where` names the task or tasks.
    let improvement (where: string) (pairs: ComparedPair list) : Picture =
        let layer mark = { Name = ""; Colour = Plot.palette.Head; Mark = mark }
        let rows f = [ for i, pair in List.indexed pairs -> f (float i) pair.Probability ]

        let x =
            { Plot.axis "Probability of improvement" with Extent = Extent.Between(-0.02, 1.02); Ticks = shares }

        [ layer (Mark.UprightGuide 0.5)
          layer (Mark.Intervals(6.0, rows (fun row e -> row, e.Low, e.High)))
          layer (Mark.Dots(9.0, 1.0, rows (fun row e -> e.Value, row))) ]
        |> rowed
            $"{where}: probability of improvement"
            "How likely a run of the first scores more than one of the second on the same task; bar: 95 % bootstrap interval"
            26
            [ for pair in pairs -> $"{pair.X} > {pair.Y}" ]
            x
            false

    /// Final scores of one task: every run a dot, the interquartile mean with its interval over them.
    let finals (names: string list) (groups: RunGroup list) : Picture =
        let scored = groups |> List.filter (fun group -> not group.Finished.IsEmpty)

        let layers (row: int, group: RunGroup) =
            let row = float row
            let e = Comparison.estimate Statistics.iqm group.FinalScores
            let layer mark = { Name = ""; Colour = colour names group.Name; Mark = mark }

            [ layer (Mark.Intervals(10.0, [ row, e.Low, e.High ]))
              layer (Mark.Dots(7.0, 0.7, [ for score in group.FinalScores -> score, row ]))
              layer (Mark.Strokes(24.0, [ e.Value, row ])) ]

        List.indexed scored
        |> List.collect layers
        |> rowed
            $"{groups.Head.Task}: final score"
            "Dots: the last evaluation of each finished run; tick: interquartile mean; bar: its 95 % bootstrap interval"
            34
            (scored |> List.map _.Name)
            { Plot.axis "Final return per episode (undiscounted)" with
                Extent = Extent.AroundData
                Ticks = Ticks.Round 4 }
            false

    /// A colour half way to white.
    let private lighter (colour: string) =
        let channel at = (Convert.ToInt32(colour.Substring(at, 2), 16) + 255) / 2
        $"#{channel 1:X2}{channel 3:X2}{channel 5:X2}"

    /// The colour of the i-th of the phases, each its own: behind those of the palette lighter ones.
    let private phaseColour (i: int) =
        let colour = Plot.palette[i % Plot.palette.Length]
        if i < Plot.palette.Length then colour else lighter colour

    /// Milliseconds per update by phase, one bar a group: (group, phase, milliseconds).
    let phases (order: string list) (figures: (string * string * float) list) : Picture =
        let names = figures |> List.map (fun (_, phase, _) -> phase) |> List.distinct

        /// Where the phase's part of each bar begins and ends.
        let parts phase =
            [ for row, group in List.indexed order do
                  let own = figures |> List.filter (fun (name, _, _) -> name = group)
                  let before = own |> List.takeWhile (fun (_, name, _) -> name <> phase)
                  let start = before |> List.sumBy (fun (_, _, ms) -> ms)

                  for _, name, ms in own do
                      if name = phase then
                          float row, start, start + ms ]

        [ for i, phase in List.indexed names ->
              { Name = phase; Colour = phaseColour i; Mark = Mark.Bars(28.0, parts phase) } ]
        |> rowed
            "Time per update"
            "Wall-clock by phase, mean over updates and runs; evaluations, checkpoints and the warm-up left out"
            34
            order
            { Plot.axis "Milliseconds per update" with Ticks = Ticks.Round 6 }
            true

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
    let weights (group: RunGroup) : Picture =
        let tiles =
            [ for first, last, buckets in weightSpans group do
                  for low, high, share in buckets do
                      if share > 0.0 && high > lowest then
                          { X = (float first, float last); Y = (max low lowest, high); Value = share } ]

        Plot.panel
            ""
            (720.0, 300.0)
            { steps with Extent = Extent.OfData }
            { Plot.axis "Weight over mean weight" with Scale = Scale.Log 2.0; Extent = Extent.OfData }
            [ { Name = "share of the draws"; Colour = "#000000"; Mark = Mark.Tiles(Shading.Viridis, tiles) } ]
        |> Plot.single
            $"{group.Task}: RSSM weights of {group.Name}"
            "Each draw's weight over the mean weight of its state, 1 where Q says nothing; lowest row: all smaller weights"
