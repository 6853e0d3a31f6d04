namespace Sdac.Experiments

open System
open System.Collections.Generic
open Sdac.Functional

/// What a run's log has come to: with it, a resumed run writes the lines that an uninterrupted one would have written.
type Journal =
    {
        /// Length of metrics.jsonl
        MetricsBytes: int64
        /// Length of TensorBoard's file
        EventBytes: int64
        /// Of the last training episodes, the oldest first
        RecentReturns: float list
        /// The evaluation with the best mean, and the environment steps before it
        Best: (int64 * Score) option
        /// Of the last update; what it did not compute, of the last one that did, where it is carried
        Figures: Map<string, float>
        /// Counts since the distributions were last written, by quantity
        Tallies: Map<string, int64 list>
    }

[<RequireQualifiedAccess>]
module Journal =
    /// Of a run that has not begun.
    let empty =
        { MetricsBytes = 0L
          EventBytes = 0L
          RecentReturns = []
          Best = None
          Figures = Map.empty
          Tallies = Map.empty }

/// Where a run is.
[<Struct>]
type RunPlace = { Iteration: int64; EnvSteps: int64 }

[<RequireQualifiedAccess>]
module RunPlace =
    let ofStep (step: Step<'s, 'w>) : RunPlace = { Iteration = step.Iteration; EnvSteps = step.EnvSteps }

/// The results of a run on their way to metrics.jsonl and, the same ones, to TensorBoard's file. Equal runs write equal bytes.
[<Sealed>]
type RunLog(folder: RunFolder, spec: Spec, infos: FigureInfo list, distributions: DistributionInfo list, from: Journal)
    =
    /// Training episodes that "recent return" averages.
    static let recent = 20

    // without the stages, which a run with stages of the user's own knows only after its warm-up
    let specification =
        [ "specification", "```json\n" + Spec.print { Spec.planned spec with Stages = [] } + "```\n" ]

    let metrics = LineWriter.Continue(folder.Metrics, from.MetricsBytes)
    let events = EventWriter.Continue(folder.Events, from.EventBytes, specification)
    let returns = Queue<float> from.RecentReturns
    let mutable best = from.Best
    let mutable figures = from.Figures

    let counts =
        Map
            [ for d in distributions ->
                  let length = d.Edges.Length - 1

                  let earlier =
                      Map.tryFind d.Quantity from.Tallies
                      |> Option.map List.toArray
                      |> Option.filter (fun counts -> counts.Length = length)

                  d.Quantity, defaultArg earlier (Array.zeroCreate<int64> length) ]

    let header (kind: string) (at: RunPlace) =
        [ "kind", Label kind; "iteration", Count at.Iteration; "envSteps", Count at.EnvSteps ]

    let line (kind: string) (at: RunPlace) (results: (string * Figure) list) =
        metrics.Write(header kind at @ results)

        let scalars =
            results
            |> List.choose (fun (name, figure) -> Metrics.number figure |> Option.map (fun x -> $"{kind}/{name}", x))

        events.Write(at.EnvSteps, scalars, [])

    let histogram (at: RunPlace) (name: string) (h: Histogram) =
        metrics.Write(
            header "histogram" at
            @ [ "name", Label name; "edges", Values h.Edges; "counts", Values(List.map float h.Counts) ]
        )

        events.Write(at.EnvSteps, [], [ $"distribution/{name}", h ])

    let histograms (at: RunPlace) =
        for distribution in distributions do
            let counts = counts[distribution.Quantity]
            Histogram.ofCounts distribution counts |> Option.iter (histogram at distribution.Quantity)
            Array.Clear counts

    /// The figures of an update, with what it did not compute carried over where that is said of it.
    let carriedOver (now: Figures) : Figures =
        infos
        |> List.filter (fun info -> info.Carried && not (now.ContainsKey info.Name))
        |> List.fold
            (fun all info ->
                match Map.tryFind info.Name figures with
                | Some value -> Map.add info.Name value all
                | None -> all)
            now

    /// Mean return of the last training episodes; NaN before the first has ended.
    member _.RecentReturn = if returns.Count = 0 then nan else Seq.average returns

    /// The evaluation with the best mean, and the environment steps before it.
    member _.Best = best

    /// The figures of the last update.
    member _.Figures = figures

    /// Notes the episodes that ended in an iteration.
    member _.Episodes(at: RunPlace, episodes: Episode list) =
        for e in episodes do
            line "episode" at [ "return", Value e.Return; "length", Count(int64 e.Length) ]
            returns.Enqueue e.Return

            if returns.Count > recent then
                returns.Dequeue() |> ignore

    /// Notes an update; writes it down, with the distributions since the last time, when that is `due`. Its figures, the carried
    /// ones perhaps of an earlier update.
    member _.Update(at: RunPlace, now: Figures, tallies: Tally list, due: bool) : Figures =
        for tally in tallies do
            let counts = counts[tally.Quantity]
            tally.Counts |> Array.iteri (fun i count -> counts[i] <- counts[i] + count)

        figures <- carriedOver now

        if due then
            line
                "update"
                at
                [ for info in infos do
                      match Map.tryFind info.Name figures with
                      | Some value -> info.Name, Value value
                      | None -> () ]

            histograms at
            metrics.Flush false
            events.Flush false

        figures

    /// Notes an evaluation; `names` are those of the episodes' figures.
    member _.Evaluation(at: RunPlace, score: Score, names: string seq, episodes: Episode[]) =
        let named = [ for i, name in Seq.indexed names -> name, [ for e in episodes -> e.Figures[i] ] ]

        line
            "evaluation"
            at
            [ "mean", Value score.Mean
              "deviation", Value score.Deviation
              "returns", Values [ for e in episodes -> e.Return ]
              yield! named |> List.map (fun (name, values) -> Metrics.EpisodePrefix + name, Values values) ]

        if not named.IsEmpty then
            events.Write(at.EnvSteps, [ for name, values in named -> $"evaluation/{name}", List.average values ], [])

        match best with
        | Some(_, earlier) when not (score.Mean > earlier.Mean) -> ()
        | _ -> best <- Some(at.EnvSteps, score)

    /// Waits until all is on the disk; what a resumed run needs to go on from here.
    member _.Save() : Journal =
        metrics.Flush true
        events.Flush true

        { MetricsBytes = metrics.Position
          EventBytes = events.Position
          RecentReturns = List.ofSeq returns
          Best = best
          Figures = figures
          Tallies = counts |> Map.map (fun _ counts -> List.ofArray counts) }

    interface IDisposable with
        member _.Dispose() =
            try
                (metrics :> IDisposable).Dispose()
            finally
                (events :> IDisposable).Dispose()
