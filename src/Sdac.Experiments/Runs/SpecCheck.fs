namespace Sdac.Experiments

open System
open System.Text.Json.Nodes
open Sdac.Functional

/// What is impossible in a specification, and in what two of them differ.
[<RequireQualifiedAccess>]
module SpecCheck =
    /// All that is impossible in a specification, one clause each. `place` names where it stands.
    let problems (registry: Registry) (place: string) (spec: Spec) : string list =
        let ofAlgorithm =
            (Spec.algorithm registry place spec.Algorithm).Open
                { new IOpen<string list> with
                    member _.Open algorithm = algorithm.Problems (Spec.typed algorithm spec).Config }

        [ if spec.Schema <> Spec.Schema then
              $"schema is %d{spec.Schema}; this version reads {Spec.Schema}"
          if spec.Iterations < 1L then
              $"iterations is %d{spec.Iterations}; it must be at least 1"
          if spec.Horizon < 1L && spec.Horizon <> spec.Iterations then
              $"horizon is %d{spec.Horizon}; it must be at least 1"
          if spec.EvaluateEvery < 0L then
              $"evaluateEvery is %d{spec.EvaluateEvery}; it must be at least 0"
          if spec.EvaluationEpisodes < 1 then
              $"evaluationEpisodes is %d{spec.EvaluationEpisodes}; it must be at least 1"
          if spec.CheckpointEvery < 0L then
              $"checkpointEvery is %d{spec.CheckpointEvery}; it must be at least 0"
          if spec.CheckpointsKept < 1 then
              $"checkpointsKept is %d{spec.CheckpointsKept}; it must be at least 1"
          if spec.KeepEvery < 0L then
              $"keepEvery is %d{spec.KeepEvery}; it must be at least 0"
          for KeyValue(stream, seed) in spec.Reseeded do
              if not (List.contains stream Spec.streams) then
                  Errors.unknown "stream" stream "reseeded" Spec.streams

              if seed < 0L then
                  $"the seed of {stream} is %d{seed}; it must be at least 0"
          if spec.LogEvery < 1L then
              $"logEvery is %d{spec.LogEvery}; it must be at least 1"
          yield! ofAlgorithm ]

    /// The specification itself, or a Settings failure that names all that is impossible in it. `place` names where it stands.
    let validate (registry: Registry) (place: string) (spec: Spec) : Spec =
        match problems registry place spec with
        | [] -> spec
        | problems ->
            let where = if place = "" then "" else $" in {place}"
            Errors.fail (Settings($"impossible settings{where}: " + String.concat "; " problems))

    /// The specification itself, or a Settings failure where there is no such task, or none with such options. `place` names where it
    /// stands.
    let onKnownTask (registry: Registry) (place: string) (spec: Spec) : Spec =
        match spec.Script with
        | Some mark when not (Seq.contains spec.Task registry.Tasks.Names) ->
            Errors.fail (
                Settings
                    $"{place} has the task {spec.Task}, which the script {mark.File} brought: use the commands of that script"
            )
        | _ ->
            try
                registry.Tasks.Create(spec.Task, spec.TaskOptions) |> ignore
                spec
            with :? ArgumentException as error ->
                Errors.fail (Settings $"{place}: {error.Message}")

    /// Fails with Settings, naming the first difference, where a run was made with another specification than `given`.
    let checkSame (madeBy: string) (made: Spec) (place: string) (given: Spec) =
        match Json.differences made given with
        | [] -> ()
        | (path, before, now) :: _ ->
            Errors.fail (
                Settings
                    $"{place} says {path} = {now}, but {madeBy} was made with {before}: put it back, or train anew in another folder"
            )

    /// What of a specification is not what another has, by its shortest name, with its value as JSON: settings that decide results.
    /// Schedules follow the number of iterations; task and seed have places of their own.
    let changes (from: Spec) (spec: Spec) : (string * string) list =
        let aside =
            Set([ "schema"; "task"; "seed"; "algorithm"; "horizon"; "stages"; "script"; "from" ] @ Spec.schedules)

        let rec paths (path: string) (node: JsonNode | null) =
            match node with
            | :? JsonObject as fields when fields.Count > 0 ->
                [ for field in fields do
                      yield! paths (if path = "" then field.Key else $"{path}.{field.Key}") field.Value ]
            | _ -> [ path ]

        let all = paths "" (Json.parseNode "the specification" (Json.print spec))

        [ for path, _, now in Json.differences from spec do
              if not (aside.Contains(path.Split('.')[0])) then
                  Json.shortest all path, now ]
