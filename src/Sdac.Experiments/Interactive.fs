namespace Sdac.Experiments

open System.Collections.Generic
open Sdac

/// What one iteration of a session told.
type Point =
    {
        Iteration: int64
        EnvSteps: int64
        /// Of the update
        Figures: Figures option
        /// Episodes that ended
        Episodes: Episode list
    }

/// Training in a session: some iterations, a look, some more. Nothing is written and no step is used up: every step that
/// was returned can be gone on from, more than once.
[<RequireQualifiedAccess>]
module Interactive =
    /// Frees what `old` holds and neither `next` nor `kept` does.
    let private disposeBetween (kept: Step<'s, 'w>) (old: Step<'s, 'w>) (next: Step<'s, 'w>) =
        let held = HashSet<TorchSharp.torch.Tensor>(Round.tensors kept, HashIdentity.Reference)

        for tensor in Round.tensorsNotIn next old do
            if not (held.Contains tensor) then
                tensor.Dispose()

    /// The start of an experiment with its memory warmed up. `Pipeline.dispose` frees it in the end.
    let start (e: Experiment<'c, 's, 'w>) : Step<'s, 'w> = Round.start e |> Round.warm

    /// So many iterations of the stages: the step reached, and what each iteration told. `step` stays as it was.
    let run (count: int) (stages: Stage<'s, 'w>) (step: Step<'s, 'w>) : Step<'s, 'w> * Point list =
        let points = List<Point>()
        let mutable current = step

        for _ in 1..count do
            let next = Round.iterate stages current
            disposeBetween step current next
            current <- next

            points.Add
                { Iteration = next.Iteration
                  EnvSteps = next.EnvSteps
                  Figures = next.Figures
                  Episodes = next.Episodes }

        current, List.ofSeq points

    /// The returns of the episodes that ended.
    let returns (points: Point list) : Picture =
        let episodes =
            [| for point in points do
                   for e in point.Episodes -> point.EnvSteps, e.Return |]

        Plot.learningCurve "Returns" $"{episodes.Length} training episodes" episodes [||]

    /// A figure of the updates against iterations: `curve "critic loss" "q1Loss" points`.
    let curve (title: string) (figure: string) (points: Point list) : Picture =
        let rows =
            [| for point in points do
                   match point.Figures |> Option.bind (Map.tryFind figure) with
                   | Some value -> point.Iteration, value
                   | None -> () |]

        let subtitle = $"{rows.Length} updates"
        ReportPlots.series title subtitle "Iterations" title [ title ] [ title, rows ]
