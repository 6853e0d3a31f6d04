namespace Sdac.Experiments

open System
open System.Collections.Generic
open Sdac

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
        /// Of the last update; an update that left the policy alone has the figures of the last one that did not
        Figures: Metrics option
        /// Weights and timesteps seen since they were last written, by the buckets of `Histogram`
        WeightCounts: int64 list
        TimestepCounts: int64 list
    }

[<RequireQualifiedAccess>]
module Journal =
    /// Of a run that has not begun.
    let empty =
        { MetricsBytes = 0L
          EventBytes = 0L
          RecentReturns = []
          Best = None
          Figures = None
          WeightCounts = []
          TimestepCounts = [] }

/// The results of a run on their way to metrics.jsonl and, the same ones, to TensorBoard's file. Equal runs write equal bytes.
[<Sealed>]
type RunLog(folder: RunFolder, spec: Spec, from: Journal) =
    /// Training episodes that "recent return" averages.
    static let recent = 20

    let config = spec.Experiment.Config

    let specification = [ "specification", "```json\n" + Spec.print spec + "```\n" ]

    let metrics = LineWriter.Continue(folder.Metrics, from.MetricsBytes)
    let events = EventWriter.Continue(folder.Events, from.EventBytes, specification)
    let returns = Queue<float> from.RecentReturns
    let mutable best = from.Best
    let mutable figures = from.Figures

    let counts (length: int) (earlier: int64 list) =
        if earlier.IsEmpty then Array.zeroCreate length else List.toArray earlier

    let weights = counts Histogram.weightBuckets from.WeightCounts
    let timesteps = counts config.Timesteps from.TimestepCounts

    let place (kind: string) (step: Step) =
        [ "kind", Label kind; "iteration", Count step.Iteration; "envSteps", Count step.EnvSteps ]

    let line (kind: string) (step: Step) (results: (string * Figure) list) =
        metrics.Write(place kind step @ results)

        let scalars =
            results
            |> List.choose (fun (name, figure) -> Metrics.number figure |> Option.map (fun x -> $"{kind}/{name}", x))

        events.Write(step.EnvSteps, scalars, [])

    let histogram (name: string) (step: Step) (h: Histogram) =
        metrics.Write(
            place "histogram" step
            @ [ "name", Label name; "edges", Values h.Edges; "counts", Values(List.map float h.Counts) ]
        )

        events.Write(step.EnvSteps, [], [ $"rssm/{name}", h ])

    let histograms (step: Step) =
        Histogram.ofWeights (max config.MonteCarloDraws config.BatchSize) weights
        |> Option.iter (histogram "weight" step)

        Histogram.ofTimesteps timesteps |> Option.iter (histogram "timestep" step)
        Array.Clear weights
        Array.Clear timesteps

    let update (step: Step) (m: Metrics) =
        let optional name value = value |> Option.map (fun v -> name, Value v) |> Option.toList

        line
            "update"
            step
            [ "q1Loss", Value m.Q1Loss
              "q2Loss", Value m.Q2Loss
              "q1Mean", Value m.Q1Mean
              "q1GradientNorm", Value m.Q1GradientNorm
              "q2GradientNorm", Value m.Q2GradientNorm
              yield! optional "policyLoss" m.PolicyLoss
              yield! optional "policyGradientNorm" m.PolicyGradientNorm
              yield! optional "weightConcentration" m.WeightConcentration
              "lambda", Value m.Lambda
              "entropy", Value m.Entropy ]

    /// Most updates may leave the policy alone: its last figures stand in for those of an update that did.
    let withPolicy (m: Metrics) =
        match figures with
        | Some e when m.PolicyLoss.IsNone ->
            { m with
                PolicyLoss = e.PolicyLoss
                PolicyGradientNorm = e.PolicyGradientNorm
                WeightConcentration = e.WeightConcentration }
        | _ -> m

    /// Mean return of the last training episodes; NaN before the first has ended.
    member _.RecentReturn = if returns.Count = 0 then nan else Seq.average returns

    /// The evaluation with the best mean, and the environment steps before it.
    member _.Best = best

    /// Counts the weights and timesteps of an update that has moved the policy.
    member _.Observe(u: Update) =
        match u.Weights with
        | Some w ->
            // one draw per state (DPMD) is weighed against the other states of the batch
            let rivals = if Tensors.size 1 w > 1 then Tensors.size 1 w else Tensors.size 0 w
            Histogram.addWeights rivals (Tensors.toArray w) weights
            Histogram.addTimesteps u.Noise.Timesteps timesteps
        | None -> ()

    /// Notes the episodes that ended in this iteration.
    member _.Episodes(step: Step) =
        for e in step.Episodes do
            line "episode" step [ "return", Value e.Return; "length", Count(int64 e.Length) ]
            returns.Enqueue e.Return

            if returns.Count > recent then
                returns.Dequeue() |> ignore

    /// Notes this iteration's update; writes it down, with the distributions since the last time, when that is `due`. Its
    /// figures, those of the policy perhaps of an earlier update.
    member _.Update(step: Step, m: Metrics, due: bool) : Metrics =
        let m = withPolicy m
        figures <- Some m

        if due then
            update step m
            histograms step
            metrics.Flush false
            events.Flush false

        m

    /// Notes an evaluation.
    member _.Evaluation(step: Step, score: Score, episodes: Episode[]) =
        line
            "evaluation"
            step
            [ "mean", Value score.Mean
              "deviation", Value score.Deviation
              "returns", Values [ for e in episodes -> e.Return ] ]

        match best with
        | Some(_, earlier) when not (score.Mean > earlier.Mean) -> ()
        | _ -> best <- Some(step.EnvSteps, score)

    /// Waits until all is on the disk; what a resumed run needs to go on from here.
    member _.Save() : Journal =
        metrics.Flush true
        events.Flush true

        { MetricsBytes = metrics.Position
          EventBytes = events.Position
          RecentReturns = List.ofSeq returns
          Best = best
          Figures = figures
          WeightCounts = List.ofArray weights
          TimestepCounts = List.ofArray timesteps }

    interface IDisposable with
        member _.Dispose() =
            try
                (metrics :> IDisposable).Dispose()
            finally
                (events :> IDisposable).Dispose()
