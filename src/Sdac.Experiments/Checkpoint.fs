namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open Sdac

/// A training state on disk: one safetensors file per checkpoint, written atomically, checksummed.
[<RequireQualifiedAccess>]
module Checkpoint =
    let private networks (s: TrainState) =
        [ "policy", s.Policy
          "target_policy", s.TargetPolicy
          "q1", s.Q1
          "q2", s.Q2
          "target_q1", s.TargetQ1
          "target_q2", s.TargetQ2 ]

    let private optimisers (s: TrainState) = [ "policy", s.PolicyAdam; "q1", s.Q1Adam; "q2", s.Q2Adam ]

    /// Where the checkpoint of an iteration lies.
    let path (folder: RunFolder) (iteration: int64) = Path.Combine(folder.Checkpoints, $"{iteration:D9}.safetensors")

    /// The checkpoints of a run, newest first.
    let list (folder: RunFolder) : string list =
        if Directory.Exists folder.Checkpoints then
            Directory.GetFiles(folder.Checkpoints, "*.safetensors") |> Array.sortDescending |> Array.toList
        else
            []

    /// Each layer's weight and bias is a tensor of its own ("policy.layer0.weight"), so that other programs can read them.
    let private parts (name: string) (p: Params) =
        let flat = Tensors.toArray p.Flat

        [ for slice in p.Layout ->
              let size = List.fold (*) 1 slice.Shape

              Safetensors.ofFloat32
                  $"{name}.{slice.Name}"
                  (List.map int64 slice.Shape)
                  (Array.sub flat slice.Offset size) ]

    let private moments (name: string) (a: AdamState) =
        let vector part (t: Tensor) = Safetensors.ofFloat32 $"{name}.adam.{part}" [ t.numel () ] (Tensors.toArray t)

        [ vector "m" a.M; vector "v" a.V ]

    /// Writes a checkpoint of the step's training state and removes all but the newest `kept`.
    let save (folder: RunFolder) (kept: int) (step: Step) : string =
        let s = step.State
        let target = path folder step.Iteration

        let counters =
            [ step.Iteration
              step.EnvSteps
              s.Updates
              s.PolicyAdam.Count
              s.Q1Adam.Count
              s.Q2Adam.Count
              s.Temperature.Count ]

        let tensors =
            [ for name, p in networks s do
                  yield! parts name p
              for name, a in optimisers s do
                  yield! moments name a
              Safetensors.ofFloat64 "temperature" [ 3L ] [| s.Temperature.LogLambda; s.Temperature.M; s.Temperature.V |]
              Safetensors.ofInt64 "counters" [ int64 counters.Length ] (List.toArray counters) ]

        let metadata =
            Map [ "format", "sdac-checkpoint/1"; "task", step.Environment.Task; "iteration", string step.Iteration ]

        Safetensors.write target metadata tensors

        list folder
        |> List.indexed
        |> List.filter (fun (i, _) -> i >= kept)
        |> List.iter (fun (_, old) -> Files.guarded "delete" old (fun () -> File.Delete old))

        target

    /// Reads a training state for `model`. Fails with Damaged for a damaged file, with Settings for one of other sizes.
    let load (model: Model) (task: string) (path: string) : TrainState =
        let file = Safetensors.read path
        let found = file.Metadata |> Map.tryFind "task" |> Option.defaultValue "another program"

        if found <> task then
            Errors.fail (Settings $"{path} is a checkpoint of {found}, not of {task}: give one of a run on {task}")

        let values (dtype: Dtype) (name: string) (count: int) : 'a[] =
            match file.Tensors |> Map.tryFind name with
            | Some t when t.Dtype = dtype && t.Data.LongLength = int64 count * dtype.Size ->
                MemoryMarshal.Cast<byte, 'a>(ReadOnlySpan<byte> t.Data).ToArray()
            | Some t ->
                Errors.fail (
                    Settings
                        $"'{name}' in {path} has shape {t.Shape} where these settings need {count} numbers: use the settings that the run was made with"
                )
            | None ->
                Errors.fail (Damaged $"{path} holds no '{name}': it is not a checkpoint of this program; use another")

        let parameters name (p: Params) =
            let flat =
                p.Layout |> List.map (fun slice -> values F32 $"{name}.{slice.Name}" (List.fold (*) 1 slice.Shape))

            Params.withFlat (Tensors.ofArray model.Compute [ int (p.Flat.numel ()) ] (Array.concat flat)) p

        let counters: int64[] = values I64 "counters" 7
        let temperature: float[] = values F64 "temperature" 3

        let adam name (p: Params) count =
            let vector part =
                let n = int (p.Flat.numel ())
                Tensors.ofArray model.Compute [ n ] (values F32 $"{name}.adam.{part}" n)

            { M = vector "m"; V = vector "v"; Count = count }

        // the fresh state only lends its layouts
        let fresh = TrainState.init model (Key.ofSeed 0L)

        try
            Tensors.owning TrainState.tensors (fun () ->
                { Policy = parameters "policy" fresh.Policy
                  TargetPolicy = parameters "target_policy" fresh.TargetPolicy
                  Q1 = parameters "q1" fresh.Q1
                  Q2 = parameters "q2" fresh.Q2
                  TargetQ1 = parameters "target_q1" fresh.TargetQ1
                  TargetQ2 = parameters "target_q2" fresh.TargetQ2
                  PolicyAdam = adam "policy" fresh.Policy counters[3]
                  Q1Adam = adam "q1" fresh.Q1 counters[4]
                  Q2Adam = adam "q2" fresh.Q2 counters[5]
                  Temperature =
                    { LogLambda = temperature[0]; M = temperature[1]; V = temperature[2]; Count = counters[6] }
                  Updates = counters[2] })
        finally
            TrainState.dispose fresh

    /// The newest checkpoint of a run that can be trusted, with what was wrong with each newer one.
    let newest (model: Model) (task: string) (folder: RunFolder) : struct (string * TrainState * string list) =
        let rec search complaints paths =
            match paths with
            | [] ->
                let why = complaints |> List.rev |> List.map (fun c -> "; " + c) |> String.concat ""
                Errors.fail (Damaged $"{folder.Path} holds no checkpoint that can be used: train again{why}")
            | path :: older ->
                match
                    (try
                        Ok(load model task path)
                     with :? UserError as error when error.Failure.IsDamaged ->
                         Error error.Failure.Sentence)
                with
                | Ok state -> struct (path, state, List.rev complaints)
                | Error complaint -> search (complaint :: complaints) older

        search [] (list folder)
