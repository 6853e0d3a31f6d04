namespace Sdac.Experiments

open System
open System.Text.Json.Nodes
open Sdac.Functional

/// The machine as far as a run can be too large for it.
type Room =
    {
        Processors: int
        /// Of memory, for this process
        Bytes: float
    }

/// What a run is going to take, said before it begins.
[<RequireQualifiedAccess>]
module Forecast =
    /// This machine, within the limits of its container.
    let room () : Room =
        { Processors = Environment.ProcessorCount
          Bytes = float (GC.GetGCMemoryInfo().TotalAvailableMemoryBytes) }

    let private size (bytes: float) =
        let figure (form: string) unit (name: string) =
            (bytes / unit).ToString(form, Globalization.CultureInfo.InvariantCulture) + name

        if bytes >= 1e9 then figure "N1" 1073741824.0 " GiB"
        elif bytes >= 1048576.0 then figure "N0" 1048576.0 " MiB"
        else figure "N0" 1024.0 " KiB"

    /// The settings that hold a number, by their last names; the first of a name.
    let private numbers (ConfigJson text) : Map<string, JsonNode> =
        let rec leaves (name: string) (node: JsonNode | null) =
            match node with
            | :? JsonObject as fields ->
                [ for field in fields do
                      yield! leaves field.Key field.Value ]
            | null -> []
            | node -> [ name, node ]

        leaves "" (Json.parseNode "the settings" text) |> List.rev |> Map.ofList

    let private number (settings: Map<string, JsonNode>) (name: string) : float option =
        match Map.tryFind name settings with
        | Some(:? JsonValue as value) when value.GetValueKind() = Text.Json.JsonValueKind.Number ->
            Some(value.GetValue<float>())
        | _ -> None

    /// The replay memory when it is full or the run at its end, whichever comes first: each observation once.
    let private replayBytes (space: Space) (rhythm: Rhythm) (iterations: int64) =
        let steps = float iterations / float rhythm.Updates * float (rhythm.VectorSteps * rhythm.Environments)
        let rows = min (float rhythm.Capacity) (float rhythm.WarmUp + steps)
        rows * 4.0 * float (space.ObsDim + space.ActionDim + 4)

    /// The hidden layers of the rows that an update sends through a network at once: every particle or draw of every state.
    let private updateBytes (settings: Map<string, JsonNode>) =
        let rows = [ "particles"; "monteCarloDraws" ] |> List.choose (number settings) |> List.fold max 1.0

        let widths =
            match Map.tryFind "hidden" settings with
            | Some(:? JsonArray as layers) ->
                Seq.sum
                    [ for layer in layers ->
                          match layer with
                          | null -> 0.0
                          | l -> float (l.ToJsonString()) ]
            | _ -> 0.0

        4.0 * widths * rows * (number settings "batchSize" |> Option.defaultValue 0.0)

    /// One line on what is going to be done, and in how much memory.
    let line (title: string) (space: Space) (rhythm: Rhythm) (spec: Spec) : string =
        let steps = spec.Iterations * int64 (rhythm.VectorSteps * rhythm.Environments) / int64 rhythm.Updates
        let every = spec.EvaluateEvery
        // the last one is at the end
        let evaluations = 1L + (if every > 0L then (spec.Iterations - 1L) / every else 0L)
        let plural (count: int64) noun = if count = 1L then $"1 {noun}" else $"{Progress.thousands count} {noun}s"

        [ $"{spec.Task}, {title}: " + plural spec.Iterations "update"
          plural steps "environment step"
          if rhythm.WarmUp > 0 then
              plural (int64 rhythm.WarmUp) "random transition" + " first"
          plural evaluations "evaluation" + " of " + plural (int64 spec.EvaluationEpisodes) "episode"
          if rhythm.KeepMemory then
              $"replay memory up to {size (replayBytes space rhythm spec.Iterations)}" ]
        |> String.concat ", "

    /// Settings that can be run but hardly be meant, a sentence each.
    let warnings (room: Room) (threads: int) (space: Space) (rhythm: Rhythm) (spec: Spec) : string list =
        let settings = numbers spec.Config
        let batch = number settings "batchSize" |> Option.defaultValue 0.0
        let replay, update = replayBytes space rhythm spec.Iterations, updateBytes settings

        [ if rhythm.KeepMemory && rhythm.WarmUp > 0 && batch > float rhythm.WarmUp then
              $"batchSize is %.0f{batch}, and the replay memory starts with %d{rhythm.WarmUp} transitions (warmUp): the first updates draw the same ones several times"
          if rhythm.KeepMemory && rhythm.WarmUp > rhythm.Capacity then
              $"warmUp is %d{rhythm.WarmUp}, and the replay memory keeps %d{rhythm.Capacity} transitions (bufferCapacity): the first ones are lost before the first update"
          if threads > room.Processors then
              $"--threads is %d{threads}, and this machine has {room.Processors} processors: more threads than these slow it down"
          if replay > room.Bytes then
              $"the replay memory grows to {size replay}, and there are {size room.Bytes}: choose a smaller bufferCapacity"
          if update > room.Bytes then
              $"an update of batchSize %.0f{batch} with so many particles or draws takes {size update}, and there are {size room.Bytes}: choose fewer of them" ]
