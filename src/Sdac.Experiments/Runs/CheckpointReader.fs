namespace Sdac.Experiments

open System
open System.Runtime.InteropServices
open Sdac.Functional

/// What a checkpoint's file says, each value checked: what is missing or of another kind is one sentence.
[<RequireQualifiedAccess>]
module internal CheckpointReader =
    let values (path: string) (file: TensorFile) (dtype: Dtype) (name: string) (count: int) : 'a[] =
        match file.Tensors |> Map.tryFind name with
        | Some t when t.Dtype = dtype && t.Data.LongLength = int64 count * dtype.Size ->
            MemoryMarshal.Cast<byte, 'a>(ReadOnlySpan<byte> t.Data).ToArray()
        | Some t ->
            Errors.fail (
                Settings
                    $"'{name}' in {path} has shape {t.Shape} where these settings need {count} numbers: use the settings that the run was made with"
            )
        | None -> Errors.fail (Damaged $"{path} holds no '{name}': it is not a checkpoint of this program; use another")

    let damaged (path: string) (what: string) =
        Errors.fail (Damaged $"{path} {what}: runs cannot be resumed from it; use another checkpoint")

    /// Numbers whose count no setting decides: another count is damage.
    let fixedValues (path: string) (file: TensorFile) (dtype: Dtype) (name: string) (count: int) : 'a[] =
        match file.Tensors |> Map.tryFind name with
        | Some t when t.Dtype <> dtype || t.Data.LongLength <> int64 count * dtype.Size ->
            damaged path $"holds '{name}' of shape {t.Shape} where {count} numbers of type {dtype} belong"
        | _ -> values path file dtype name count

    /// An entry of the checkpoint's metadata.
    let entry (path: string) (file: TensorFile) (key: string) : string =
        file.Metadata |> Map.tryFind key |> Option.defaultWith (fun () -> damaged path $"holds no '{key}'")

    /// An entry as the whole number from 0 that it must be.
    let countIn (path: string) (file: TensorFile) (key: string) : int64 =
        let text = entry path file key

        match Int64.TryParse(text, Globalization.NumberStyles.None, Globalization.CultureInfo.InvariantCulture) with
        | true, number -> number
        | _ -> damaged path $"holds '{text}' as '{key}' where a whole number belongs"

    /// An entry read by `parse`; a text that cannot be read is damage, not a wrong setting.
    let parsed (path: string) (file: TensorFile) (key: string) (parse: string -> 'a) : 'a =
        let text = entry path file key

        try
            parse text
        with :? UserError as error ->
            damaged path $"holds '{key}' that cannot be read ({error.Failure.Sentence})"

    /// A checkpoint of a later version is refused for what it is: an older one beside it would silently undo work. One without
    /// a format is none of this program's.
    let checkFormat (path: string) (file: TensorFile) =
        let found = file.Metadata |> Map.tryFind "format" |> Option.defaultValue ""

        let version =
            if found.StartsWith(CheckpointContent.FormatName, StringComparison.Ordinal) then
                Int32.TryParse(
                    found.Substring CheckpointContent.FormatName.Length,
                    Globalization.NumberStyles.None,
                    Globalization.CultureInfo.InvariantCulture
                )
            else
                false, 0

        match version with
        | true, (CheckpointContent.Format | CheckpointFormat2.Format) -> ()
        | true, _ ->
            Errors.fail (
                Settings
                    $"{path} has the format {found}, but this version reads {CheckpointContent.FormatName}{CheckpointFormat2.Format} and {CheckpointContent.FormatName}{CheckpointContent.Format}: use the version that wrote it, or train anew in another folder"
            )
        | false, _ ->
            Errors.fail (Damaged $"{path} names no format: it is not a checkpoint of this program; use another")

    /// A checkpoint of a layout that is read, of this algorithm and of this task?
    let checkKind (algorithm: string) (task: string) (path: string) (file: TensorFile) =
        checkFormat path file
        let found = file.Metadata |> Map.tryFind "task" |> Option.defaultValue "another program"

        if found <> task then
            Errors.fail (Settings $"{path} is a checkpoint of {found}, not of {task}: give one of a run on {task}")

        let found =
            match Map.tryFind "algorithm" file.Metadata with
            | Some found -> found
            | None -> parsed path file "spec" (CheckpointFormat2.algorithm path)

        if found <> algorithm then
            Errors.fail (
                Settings
                    $"{path} is a checkpoint of the algorithm {found}, not of {algorithm}: give one of a run with {algorithm}"
            )

    /// A single number; another count is damage.
    let single (path: string) (file: TensorFile) (dtype: Dtype) (name: string) : 'a =
        (fixedValues path file dtype name 1: 'a[])[0]

    let counted (path: string) (name: string) (count: int64) : int64 =
        if count < 0L then
            damaged path $"holds a negative number as '{name}'"

        count

    /// Puts the file's values in the place of a state's. Its tensors are new; `checkRows` fails for a column that does not fit.
    let reading (checkRows: string -> Column -> unit) (compute: Compute) (path: string) (file: TensorFile) : IVisit =
        let numbers name count : float[] = values path file F64 name count
        let values name count : float32[] = values path file F32 name count

        let isOld =
            file.Metadata |> Map.tryFind "format" = Some $"{CheckpointContent.FormatName}{CheckpointFormat2.Format}"

        let float name : float =
            if isOld then
                CheckpointFormat2.float file name (fixedValues path file F64)
            else
                single path file F64 name

        let int name : int64 =
            (if isOld then
                 CheckpointFormat2.int file name (fixedValues path file F64) (fixedValues path file I64)
             else
                 single path file I64 name)
            |> counted path name

        { new IVisit with
            member _.Params(name, p) =
                let flat = [ for slice in p.Layout -> values $"{name}.{slice.Name}" (List.fold (*) 1 slice.Shape) ]
                Params.withFlat (Tensors.ofArray compute [ Tensors.size 0 p.Flat ] (Array.concat flat)) p

            member _.Adam(name, a) =
                let vector part (t: Tensor) =
                    let n = Tensors.size 0 t
                    Tensors.ofArray compute [ n ] (values $"{name}.adam.{part}" n)

                { M = vector "m" a.M; V = vector "v" a.V; Count = int $"{name}.adam.count" }

            member _.Float(name, _) = float name
            member _.Int(name, _) = int name
            member _.Numbers(name, value) = numbers name value.Length

            // As many rows as the memory had then; their width is the settings'.
            member _.Rows(name, value) =
                let rows =
                    match file.Tensors |> Map.tryFind $"{name}.rows" with
                    | Some t when t.Shape.Length = 2 -> Operators.int t.Shape[0]
                    | Some t ->
                        damaged path $"holds '{name}.rows' of shape {t.Shape} where rows of {value.Width} belong"
                    | None -> 0

                let empty = Column.Empty(value.Width, int $"{name}.first")
                let column = empty.Append(ReadOnlySpan(values $"{name}.rows" (rows * value.Width)))
                checkRows name column
                column }
