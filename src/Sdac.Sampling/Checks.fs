namespace Sdac.Sampling

open System
open Sdac.Functional

/// Refusals of values that cannot be worked with, shared by the samplers; those of settings are `Check`'s.
[<RequireQualifiedAccess>]
module internal Checks =
    let samples (n: int) =
        if n < 1 then
            invalidArg (nameof n) $"%d{n} samples were asked for; at least 1 is needed"

    /// Raises ArgumentException unless `values` [N] or [N, D], the target's `what` at points y [N, D] in box coordinates, has
    /// the shape it should and is finite; the message names the value, the point and the place of its row.
    let finite (what: string) (place: int -> string) (target: Target) (y: Tensor) (shape: int list) (values: Tensor) =
        Tensors.check $"{what} of target '{target.Name}'" shape values

        // The sum is finite unless an entry is not, or it overflows: only then look closer.
        if not (Double.IsFinite(Tensors.scalar (values.sum ()))) then
            let found, points = Tensors.toArray values, Tensors.toArray y

            match found |> Array.tryFindIndex (Single.IsFinite >> not) with
            | Some i ->
                let row = i / (found.Length / Tensors.size 0 y)
                let at j = float points[row * target.Dim + j] * target.HalfWidth
                let point = List.init target.Dim at

                invalidArg
                    (nameof target)
                    $"the {what} of target '{target.Name}' is {string found[i]} at {point}, {place row}; it must be finite wherever the sampler looks (half-width of its box {string target.HalfWidth})"
            | None -> ()
