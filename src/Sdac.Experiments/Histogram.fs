namespace Sdac.Experiments

open Sdac.Functional

/// How often numbers fell between edges: Counts[i] of them in [Edges[i], Edges[i + 1]).
type Histogram = { Edges: float list; Counts: int64 list }

/// The distributions that a run records beside its scalars.
[<RequireQualifiedAccess>]
module Histogram =
    /// The counts of a distribution's buckets, without the empty ones at either end where it says so. None where all are empty.
    let ofCounts (distribution: DistributionInfo) (counts: int64[]) : Histogram option =
        let filled = (<>) 0L

        match Array.tryFindIndex filled counts, Array.tryFindIndexBack filled counts with
        | Some first, Some last ->
            let first, last = if distribution.Trimmed then first, last else 0, counts.Length - 1

            Some
                { Edges = List.ofArray distribution.Edges[first .. last + 1]
                  Counts = List.ofArray counts[first..last] }
        | _ -> None
