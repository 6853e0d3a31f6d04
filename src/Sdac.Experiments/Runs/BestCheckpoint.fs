namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open Sdac.Functional

/// The networks of a run's best evaluation: checkpoints/best.safetensors, which can be evaluated, acted with and begun from like any
/// checkpoint, but holds neither environments nor replay memory, so that no run is resumed from it.
[<RequireQualifiedAccess>]
module BestCheckpoint =
    /// The entry that makes it one: the mean return of the evaluation.
    [<Literal>]
    let private Mean = "evaluationMean"

    /// The mean return that a file of this name was kept for; None where it is none of this program's, or none at all.
    let private kept (path: string) : float option =
        try
            if File.Exists path && not (NumberedFiles.isLink path) then
                match Map.tryFind Mean (Safetensors.metadata path) with
                | Some text ->
                    match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
                    | true, mean -> Some mean
                    | _ -> None
                | None -> None
            else
                None
        with :? UserError ->
            None

    /// Is there such a file, and has this program written it?
    let isOwn (folder: RunFolder) : bool = (kept folder.Best).IsSome

    /// The iteration of the evaluation that the networks are kept of.
    let iteration (folder: RunFolder) : int64 option =
        if isOwn folder then
            match
                Int64.TryParse(
                    Safetensors.metadata(folder.Best)["iteration"],
                    NumberStyles.None,
                    CultureInfo.InvariantCulture
                )
            with
            | true, iteration -> Some iteration
            | _ -> None
        else
            None

    /// Keeps the networks of an evaluation that is better than the one kept. A run that was killed and goes on finds what it has kept
    /// already: its own later evaluations give the same file again. A user's file of this name stays; the sentence says so.
    let keep (folder: RunFolder) (spec: Spec) (score: Score) (step: Step<'s, 'w>) : string option =
        match kept folder.Best with
        | None when File.Exists folder.Best || NumberedFiles.isLink folder.Best ->
            Some
                $"{folder.Best} is not this run's: the networks of its best evaluation are not kept; give the file another name"
        | earlier ->
            if Double.IsFinite score.Mean && (earlier.IsNone || score.Mean > earlier.Value) then
                let mean = Mean, score.Mean.ToString("R", CultureInfo.InvariantCulture)

                Safetensors.write
                    folder.Best
                    (Map(mean :: CheckpointContent.header spec step))
                    (CheckpointContent.training false step)

            None

    /// The path of the networks of a run's best evaluation. Fails with Storage where none are kept.
    let path (folder: RunFolder) : string =
        if not (isOwn folder) then
            Errors.fail (
                Storage
                    $"{folder.Path} keeps no networks of a best evaluation in {folder.Best}: leave out --best, or let the run go on to its next evaluation"
            )

        folder.Best
