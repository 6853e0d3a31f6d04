namespace Sdac.Experiments

open System.Collections.Generic
open Microsoft.FSharp.Reflection
open Sdac.Functional

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

    /// A figure of the updates by iteration, for `Plot.compare`.
    let values (figure: string) (points: Point list) : (float * float) list =
        [ for point in points do
              match point.Figures |> Option.bind (Map.tryFind figure) with
              | Some value -> float point.Iteration, value
              | None -> () ]

    /// A figure of the updates against iterations: `curve "critic loss" "q1Loss" points`.
    let curve (title: string) (figure: string) (points: Point list) : Picture =
        let points = values figure points

        { Plot.compare title "Iterations" title [ title, points ] with
            Subtitle = $"{points.Length} updates" }

    /// A curve's points in a line, where they are many; null where they can be shown as they are.
    let describeCurve (points: (float * float) list) : string | null =
        let shown (x: float, y: float) = $"(%.4g{x}, %.4g{y})"

        if points.Length <= 5 then
            null
        else
            let lowest, highest = List.minBy snd points, List.maxBy snd points

            $"%d{points.Length} points from {shown points.Head} to {shown (List.last points)}, lowest {shown lowest}, highest {shown highest}"

    let private inWords (values: float seq) = values |> Seq.map (sprintf "%.4g") |> String.concat ", "

    /// A tensor in one line: shape, type, device, and its numbers or how they are spread. What `scripts/sdac.fsx` has sessions print.
    let describeTensor (tensor: TorchSharp.torch.Tensor) : string =
        if tensor.IsInvalid then
            "a tensor that has been disposed"
        else
            let shape = tensor.shape |> Seq.map string |> String.concat ", "
            let what = $"tensor [{shape}] {tensor.dtype} on {tensor.device}"

            if not (tensor.is_floating_point ()) || tensor.numel () = 0L then
                what
            elif tensor.numel () <= 8L then
                $"{what}: {tensor |> Tensors.toArray |> Seq.map float |> inWords}"
            else
                let numbers = Tensors.toArray tensor |> Array.map float

                $"{what}: least %.4g{Array.min numbers}, mean %.4g{Array.average numbers}, largest %.4g{Array.max numbers}"

    /// A record with networks in it that does not say how it is shown, such as an algorithm's state: in a line its networks' sizes and
    /// its numbers. Null of all else, which is shown as it is.
    let describeNetworks (value: obj) : string | null =
        let isRecord (value: obj) = FSharpType.IsRecord(value.GetType(), true)

        let fields (record: obj) =
            Array.zip
                (FSharpType.GetRecordFields(record.GetType(), true) |> Array.map _.Name)
                (FSharpValue.GetRecordFields(record, true))

        let rec parts (name: string, value: obj | null) : string list =
            match value with
            | :? Params as networks ->
                let numbers = networks.Layout |> List.sumBy (fun slice -> List.fold (*) 1 slice.Shape)
                [ $"{name} %d{numbers} parameters" ]
            // as large as its network
            | :? AdamState -> []
            | :? int64 as count -> [ $"{name} %d{count}" ]
            | :? float as number -> [ $"{name} %.4g{number}" ]
            | NonNull record when isRecord record ->
                [ for field, inner in fields record do
                      yield! parts ($"{name}.{field}".TrimStart '.', inner) ]
            | _ -> []

        let saysItself (value: obj) = value.GetType().IsDefined(typeof<StructuredFormatDisplayAttribute>, true)

        let holdsNetworks (record: obj) = fields record |> Array.exists (fun (_, part) -> part :? Params)

        if isRecord value && not (saysItself value) && holdsNetworks value then
            String.concat ", " (parts ("", value))
        else
            null

    /// A loaded policy in a line.
    let describePolicy (policy: Policy) : string =
        $"policy for {policy.Task}, %d{policy.ObsDim} observations to %d{policy.ActionDim} actions, from {policy.File}"

    /// What iterations told, in three lines instead of a record for each.
    let describePoints (points: Point list) : string =
        match points with
        | [] -> "no iterations"
        | first :: _ ->
            let last = List.last points
            let returns = points |> List.collect _.Episodes |> List.map _.Return

            let ended =
                if returns.IsEmpty then
                    "no episode ended"
                else
                    $"%d{returns.Length} episodes ended, mean return %.4g{List.average returns}"

            let figures =
                match points |> List.rev |> List.tryPick _.Figures with
                | Some figures ->
                    [ for KeyValue(name, value) in figures -> $"{name} %.4g{value}" ] |> String.concat ", "
                | None -> "no update yet"

            $"iterations %d{first.Iteration} to %d{last.Iteration} (%d{last.EnvSteps} environment steps): {ended}\nlast update: {figures}"
