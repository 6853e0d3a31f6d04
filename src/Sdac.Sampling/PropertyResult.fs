namespace Sdac.Sampling

open System

/// What a check of one property found.
type PropertyResult =
    {
        Name: string
        /// What must hold
        Statement: string
        /// The largest deviation over what is allowed, so that up to 1 the property holds; None: nothing could be checked
        Worst: float option
        /// Where that was, or why there was nothing to check
        Place: string
    }

    /// False where a deviation is larger than allowed, or no number.
    member result.Holds =
        match result.Worst with
        | Some worst -> worst <= 1.0
        | None -> true

[<RequireQualifiedAccess>]
module internal PropertyResult =
    /// The largest of deviations over what is allowed; NaN is the largest of all.
    let worst (name: string) (statement: string) (nothing: string) (found: (float * string) seq) : PropertyResult =
        let found = List.ofSeq found
        let size (x: float) = if Double.IsNaN x then infinity else x

        match found with
        | [] -> { Name = name; Statement = statement; Worst = None; Place = nothing }
        | _ ->
            let value, place = found |> List.maxBy (fst >> size)
            { Name = name; Statement = statement; Worst = Some(size value); Place = place }
