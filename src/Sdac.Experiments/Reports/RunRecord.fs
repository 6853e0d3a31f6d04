namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open Sdac

/// A distribution as a run noted it: Counts[i] lie in [Edges[i], Edges[i + 1]).
type RecordedHistogram = { EnvSteps: int64; Edges: float[]; Counts: float[] }

/// Wall-clock and memory figures of a run.
type RecordedTimings =
    {
        /// Updates that the figures span
        Updates: int64
        /// Of the whole run so far
        Seconds: float
        /// Seconds by phase, in the order of their names
        Phases: (string * float) list
        /// Resident memory, MiB, by iteration
        Memory: (int64 * float)[]
    }

/// What a run folder tells to a report: read leniently, so that folders of older and newer programs can be shown together.
type RunRecord =
    {
        Folder: string
        Task: string
        /// By its name in the registry
        Algorithm: string
        /// For people
        Title: string
        Seed: int64
        /// Every setting that decides results, by its path in spec.json, as JSON text; without task, seed and algorithm
        Settings: Map<string, string>
        Finished: bool
        /// Updates done, as far as noted
        Iterations: int64
        EnvSteps: int64
        /// Environment steps and mean return
        Evaluations: (int64 * float)[]
        EvaluationEpisodes: int
        TrainingEpisodes: int
        /// The figures of the updates against environment steps, by name
        Figures: Map<string, (int64 * float)[]>
        /// Of the weights over their mean; empty where the run notes none
        Weights: RecordedHistogram[]
        Timings: RecordedTimings option
        /// MiB, as far as known
        PeakMemory: float
    }

    /// Mean return of the last evaluation; NaN before the first.
    member run.Final = if run.Evaluations.Length = 0 then nan else snd (Array.last run.Evaluations)

    /// Mean return of the best evaluation; NaN before the first.
    member run.Best =
        if run.Evaluations.Length = 0 then
            nan
        else
            run.Evaluations |> Array.map snd |> Array.max

/// Finding and reading run folders.
[<RequireQualifiedAccess>]
module RunRecord =
    /// Settings that decide when a run looks at itself, not what it learns.
    let private schedules =
        set
            [ "schema"
              "script"
              "horizon"
              "evaluateEvery"
              "evaluationEpisodes"
              "checkpointEvery"
              "checkpointsKept"
              "keepEvery"
              "logEvery" ]

    let private at (folder: string) : RunFolder = { Path = folder }

    let private isRun (folder: string) = File.Exists (at folder).Spec

    /// A folder that began as a run, or holds nothing.
    let private isRemains (folder: string) =
        File.Exists (at folder).Metrics || Seq.isEmpty (Directory.EnumerateFileSystemEntries folder)

    /// The folders in a folder, the links to folders in it, and a warning for each link that leads nowhere.
    let private children (path: string) : string list * string list * string list =
        Files.guarded "read" path (fun () ->
            let entries = Directory.GetFileSystemEntries path |> Array.sort |> List.ofArray
            let links, own = entries |> List.partition NumberedFiles.isLink
            let whole, broken = links |> List.partition (fun link -> (Files.realPath link).IsSome)

            List.filter Directory.Exists own,
            List.filter Directory.Exists whole,
            [ for link in broken -> $"{link} is a link that leads nowhere: it is left out" ])

    /// A folder to be searched, and the real paths of the folders above it.
    type private Place = { Path: string; Above: string list }

    /// The run folders at or below a place, and a warning for each folder among them that is none or cannot be read. No folder is
    /// searched twice, whatever the links: `seen` are the real paths of those before. Links are only noted, in `links`: what can be
    /// reached without them is found under its own name.
    let rec private below (seen: HashSet<string>) (links: Queue<Place>) (place: Place) : string list * string list =
        let path = place.Path
        let real = Files.realPath path |> Option.defaultValue path

        if List.contains real place.Above then
            [], [ $"{path} is a link back to {real}, in which it lies: it is not followed" ]
        elif not (seen.Add real) then
            [], []
        elif isRun path then
            [ path ], []
        else
            try
                let folders, linked, broken = children path
                let inside child = { Path = child; Above = real :: place.Above }
                linked |> List.iter (inside >> links.Enqueue)

                let found = folders |> List.map (inside >> below seen links)
                let runs, warnings = List.collect fst found, List.collect snd found

                let remains =
                    [ if not place.Above.IsEmpty && isRemains path then
                          $"{path} is no run (spec.json is missing): it is left out" ]

                runs, broken @ warnings @ remains
            with :? UserError as error ->
                [], [ $"{error.Failure.Sentence}; it is left out" ]

    /// The run folders at or below `path`, through links too, and warnings.
    let private search (seen: HashSet<string>) (path: string) : string list * string list =
        let places = Queue [ { Path = path; Above = [] } ]

        let found =
            [ while places.Count > 0 do
                  below seen places (places.Dequeue()) ]

        List.collect fst found, List.collect snd found

    /// The run folders at or below the given paths, each once, and warnings. A path that is no folder is refused.
    let find (paths: string list) : (string list * string list) =
        let seen = HashSet<string>()

        let found =
            [ for path in paths do
                  if not (Directory.Exists path) then
                      Errors.fail (Storage $"there is no folder {path}: give run folders, or folders that hold some")

                  let full = Path.TrimEndingDirectorySeparator(Path.GetFullPath path)
                  let known = seen.Count
                  let runs, warnings = search seen full

                  if runs.IsEmpty && warnings.IsEmpty && seen.Count > known then
                      [], [ $"{path} holds no run folder (no spec.json at or below it)" ]
                  else
                      runs, warnings ]

        List.collect fst found |> List.distinct, List.collect snd found |> List.distinct

    // ---- spec.json

    /// Every leaf of a tree with its path. A union's case with fields becomes a part of the path.
    let rec private leaves (path: string) (node: JsonNode | null) : (string * string) list =
        let join (name: string) = if path = "" then name else $"{path}.{name}"

        match node with
        | :? JsonObject as inner ->
            [ for pair in inner do
                  yield! leaves (join pair.Key) pair.Value ]
        | null -> [ path, "null" ]
        | :? JsonValue as value when value.GetValueKind() = JsonValueKind.String -> [ path, value.GetValue<string>() ]
        | other -> [ path, other.ToJsonString() ]

    /// "sdac" as the field writes it; names with capitals of their own stay.
    let private display (name: string) =
        if name.Length <= 6 && name = name.ToLowerInvariant() then
            name.ToUpperInvariant()
        else
            name

    /// The title of an algorithm; of one that is not registered, what its name suggests.
    let private title (registry: Registry) (name: string) =
        match Registry.tryFind name registry with
        | Some algorithm -> algorithm.Title
        | None -> display name

    let private damaged text = Errors.fail (Damaged text)

    /// The specification in the layout of today, as far as its algorithm is known.
    let private current (registry: Registry) (folder: RunFolder) : JsonNode | null =
        match Files.readText folder.Spec |> Json.parseNode folder.Spec with
        | :? JsonObject as fields when fields.ContainsKey "experiment" ->
            SpecSchema1.upgrade registry folder.Spec fields |> Json.parseNode folder.Spec
        | node -> node

    let private specification (registry: Registry) (folder: RunFolder) =
        let fields =
            match current registry folder with
            | :? JsonObject as fields -> fields
            | _ -> JsonObject()

        let text (name: string) : string =
            match fields[name] with
            | null -> damaged $"{folder.Spec} names no {name}"
            | node -> node.ToString()

        let seed =
            match Int64.TryParse(text "seed", CultureInfo.InvariantCulture) with
            | true, seed -> seed
            | _ -> damaged $"the seed in {folder.Spec} is no whole number"

        let algorithm =
            match fields["algorithm"] with
            | null -> SpecSchema1.Standard
            | name -> name.ToString()

        Spec.putAdded registry algorithm fields
        Spec.putAddedFields fields

        // stages of the algorithm's own say nothing more
        let own =
            set
                [ "task"
                  "seed"
                  "algorithm"
                  if isNull fields["script"] then
                      "stages" ]

        let settings =
            leaves "" fields
            |> List.filter (fun (path, _) -> not (own.Contains path || schedules.Contains path))
            |> List.filter (fun (path, _) -> not (path.StartsWith("script.", StringComparison.Ordinal)))
            |> Map.ofList

        struct (text "task", algorithm, seed, settings)

    // ---- metrics.jsonl

    let private number name (line: Map<string, Figure>) = Map.tryFind name line |> Option.bind Metrics.number

    let private label name (line: Map<string, Figure>) =
        match Map.tryFind name line with
        | Some(Label text) -> text
        | _ -> ""

    let private values name (line: Map<string, Figure>) =
        match Map.tryFind name line with
        | Some(Values values) -> Array.ofList values
        | _ -> [||]

    /// A figure against environment steps, where a line has both.
    let private series name (lines: Map<string, Figure> list) =
        lines
        |> List.choose (fun line ->
            Option.map2 (fun at value -> int64 at, value) (number "envSteps" line) (number name line))
        |> Array.ofList

    let private histogram (line: Map<string, Figure>) =
        let edges, counts = values "edges" line, values "counts" line

        match number "envSteps" line with
        | Some steps when counts.Length > 0 && edges.Length = counts.Length + 1 ->
            Some { EnvSteps = int64 steps; Edges = edges; Counts = counts }
        | _ -> None

    // ---- timings.jsonl and summary.json

    /// Fields of a line of timings that are no phase.
    let private notPhases = set [ "iteration"; "seconds"; "envStepsPerSecond"; "memoryMiB" ]

    let private timings (folder: RunFolder) =
        if not (File.Exists folder.Timings) then
            None
        else
            match Metrics.read folder.Timings with
            | [] -> None
            | lines ->
                let phases =
                    lines
                    |> List.collect Map.toList
                    |> List.filter (fun (name, _) -> not (notPhases.Contains name))
                    |> List.groupBy fst
                    |> List.map (fun (name, figures) ->
                        name, figures |> List.sumBy (snd >> Metrics.number >> Option.defaultValue 0.0))
                    |> List.sortBy fst

                let last name = lines |> List.choose (number name) |> List.tryLast |> Option.defaultValue nan

                let memory =
                    lines
                    |> List.choose (fun line ->
                        Option.map2 (fun at size -> int64 at, size) (number "iteration" line) (number "memoryMiB" line))

                Some
                    { Updates = int64 (last "iteration")
                      Seconds = last "seconds"
                      Phases = phases
                      Memory = Array.ofList memory }

    let private property (name: string) (value: JsonElement) : JsonElement option =
        match value.ValueKind with
        | JsonValueKind.Object ->
            match value.TryGetProperty name with
            | true, found -> Some found
            | _ -> None
        | _ -> None

    /// The last evaluation is the one that the summary gives: what can be said where an older program has listed no files.
    let private checkEnd (folder: RunFolder) (summary: JsonElement) (lines: Map<string, Figure> list) =
        let last = lines |> List.tryFindBack (fun line -> label "kind" line = "evaluation")
        let noted name = last |> Option.bind (number name)

        for name, listed in
            [ "iteration", property "iterations" summary
              "mean", property "final" summary |> Option.bind (property "mean") ] do
            match listed |> Option.bind Number.tryRead, noted name with
            | None, _ -> ()
            | Some value, Some found when value.Equals found -> ()
            | Some _, _ ->
                damaged
                    $"{folder.Metrics} does not end with the evaluation that {folder.Summary} gives: put the whole file back, or delete summary.json and finish the run again with --resume"

    /// Every number in the lines of updates.
    let private figures (updates: Map<string, Figure> list) : Map<string, (int64 * float)[]> =
        updates
        |> List.collect (Map.keys >> List.ofSeq)
        |> List.distinct
        |> List.except [ "kind"; "iteration"; "envSteps" ]
        |> List.map (fun name -> name, series name updates)
        |> Map.ofList

    let private readWhole (registry: Registry) (path: string) : RunRecord =
        let folder: RunFolder = { Path = path }
        let summary = RunFiles.summary folder
        let compared = summary |> Option.map (RunFiles.check folder) |> Option.defaultValue false
        let struct (task, algorithm, seed, settings) = specification registry folder

        if not (File.Exists folder.Metrics) then
            damaged $"{path} holds no metrics yet"

        let lines = Metrics.read folder.Metrics

        if lines.IsEmpty then
            damaged $"{path} holds no metrics yet"

        let ofKind kind = lines |> List.filter (fun line -> label "kind" line = kind)
        let updates, evaluations = ofKind "update", ofKind "evaluation"
        let greatest name = lines |> List.choose (number name) |> List.fold max 0.0 |> int64
        let timings = timings folder

        if not compared then
            summary |> Option.iter (fun summary -> checkEnd folder summary lines)

        let peak =
            summary
            |> Option.map (property "peakMemoryMiB" >> Option.bind Number.tryRead >> Option.defaultValue nan)

        { Folder = path
          Task = task
          Algorithm = algorithm
          Title = title registry algorithm
          Seed = seed
          Settings = settings
          Finished = peak.IsSome
          Iterations = greatest "iteration"
          EnvSteps = greatest "envSteps"
          Evaluations = series "mean" evaluations |> Array.filter (snd >> Double.IsFinite)
          EvaluationEpisodes = evaluations |> List.sumBy (fun line -> (values "returns" line).Length)
          TrainingEpisodes = (ofKind "episode").Length
          Figures = figures updates
          Weights =
            ofKind "histogram"
            |> List.filter (fun line -> label "name" line = "weight")
            |> List.choose histogram
            |> Array.ofList
          Timings = timings
          PeakMemory =
            match peak, timings with
            | Some peak, _ when Double.IsFinite peak -> peak
            | _, Some t when t.Memory.Length > 0 -> t.Memory |> Array.map snd |> Array.max
            | _ -> nan }

    /// What a run folder holds, or a sentence that says why it cannot be used.
    let read (registry: Registry) (path: string) : Result<RunRecord, string> =
        try
            Ok(readWhole registry path)
        with
        | :? UserError as error -> Error $"{error.Failure.Sentence}; the run is left out"
        | :? InvalidOperationException
        | :? FormatException -> Error $"{path} is not written as a run of this program is; the run is left out"
