namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open Sdac.Functional

/// A distribution as a run noted it: Counts[i] lie in [Edges[i], Edges[i + 1]).
type RecordedHistogram = { EnvSteps: int64; Edges: float[]; Counts: float[] }

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
        /// Seconds from the run's start to each evaluation; NaN where the run holds no timings
        EvaluatedAfter: float[]
        EvaluationEpisodes: int
        TrainingEpisodes: int
        /// The figures of the updates against environment steps, by name
        Figures: Map<string, (int64 * float)[]>
        /// Figures of whole episodes by name: environment steps and mean of each evaluation
        EpisodeFigures: Map<string, (int64 * float)[]>
        /// Of the weights over their mean; empty where the run notes none
        Weights: RecordedHistogram[]
        Timings: RecordedTimings option
        /// MiB, as far as known
        PeakMemory: float
        /// Why it will not be finished, where its sweep says so
        Failure: string option
        /// A process works on it
        Running: bool
        /// The program's version that began it; empty where machine.json is missing
        Program: string
        /// When it was begun, by its specification's file: a day, UTC
        Begun: DateOnly
    }

    /// Mean return of the last evaluation; NaN before the first.
    member run.Final = if run.Evaluations.Length = 0 then nan else snd (Array.last run.Evaluations)

    /// Mean return of the evaluations in the last tenth of the environment steps, the last one among them; NaN before the first.
    member run.Window =
        match Array.tryLast run.Evaluations with
        | None -> nan
        | Some(last, _) ->
            run.Evaluations
            |> Array.filter (fun (steps, _) -> steps = last || float steps > 0.9 * float last)
            |> Array.averageBy snd

    /// Finished, failed, running, or stopped: begun, unfinished, and nobody works on it.
    member run.State =
        if run.Finished then "finished"
        elif run.Running then "running"
        elif run.Failure.IsSome then "failed"
        else "stopped"

    /// Mean return of the best evaluation; NaN before the first.
    member run.Best =
        if run.Evaluations.Length = 0 then
            nan
        else
            run.Evaluations |> Array.map snd |> Array.max

/// Reading run folders.
[<RequireQualifiedAccess>]
module RunRecord =
    /// Settings that decide nothing of what a run learns.
    let private aside = set ([ "schema"; "script"; "horizon" ] @ Spec.schedules)

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
    let private current (registry: Registry) (file: string) : JsonNode | null =
        match Files.readText file |> Json.parseNode file with
        | :? JsonObject as fields when fields.ContainsKey "experiment" ->
            SpecSchema1.upgrade registry file fields |> Json.parseNode file
        | node -> node

    let private specification (registry: Registry) (file: string) =
        let fields =
            match current registry file with
            | :? JsonObject as fields -> fields
            | _ -> JsonObject()

        let text (name: string) : string =
            match fields[name] with
            | null -> damaged $"{file} names no {name}"
            | node -> node.ToString()

        let seed =
            match Int64.TryParse(text "seed", CultureInfo.InvariantCulture) with
            | true, seed -> seed
            | _ -> damaged $"the seed in {file} is no whole number"

        let algorithm =
            match fields["algorithm"] with
            | null -> SpecSchema1.Standard
            | name -> name.ToString()

        SpecFile.putAdded registry algorithm fields
        SpecFile.putAddedFields fields

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
            |> List.filter (fun (path, _) -> not (own.Contains path || aside.Contains path))
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

    // ---- summary.json

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

    /// What the sweep of a run says of its end; None for a run of no sweep.
    let private failure (path: string) : string option =
        let runs = Files.folderOf path
        let sweep: SweepFolder = { Path = Files.folderOf runs }

        if runs = sweep.Runs && File.Exists sweep.Sweep then
            match SweepFolder.idleState sweep (string (Path.GetFileName path)) with
            | Failed sentence -> Some sentence
            | _ -> None
        else
            None

    /// The program that began a run, as machine.json names it; a damaged file names none.
    let private program (file: string) : string =
        try
            match Files.readText file |> Json.parseNode file with
            | :? JsonObject as fields ->
                match fields["program"] with
                | null -> ""
                | name -> name.ToString()
            | _ -> ""
        with :? UserError ->
            ""

    /// Every number in the lines of updates.
    let private figures (updates: Map<string, Figure> list) : Map<string, (int64 * float)[]> =
        updates
        |> List.collect (Map.keys >> List.ofSeq)
        |> List.distinct
        |> List.except [ "kind"; "iteration"; "envSteps" ]
        |> List.map (fun name -> name, series name updates)
        |> Map.ofList

    /// Iteration, environment steps and mean of the evaluations that have a figure.
    let private finiteOf (evaluations: Map<string, Figure> list) : (float * float * float)[] =
        [| for line in evaluations do
               match number "iteration" line, number "envSteps" line, number "mean" line with
               | at, Some steps, Some mean when Double.IsFinite mean -> defaultArg at 0.0, steps, mean
               | _ -> () |]

    let private readWhole (registry: Registry) (path: string) : RunRecord =
        let folder: RunFolder = { Path = path }
        let summary = RunFiles.summary folder
        let compared = summary |> Option.map (RunFiles.check folder) |> Option.defaultValue false
        let struct (task, algorithm, seed, settings) = specification registry folder.Spec

        if not (File.Exists folder.Metrics) then
            damaged $"{path} holds no metrics yet"

        let lines = Metrics.read folder.Metrics

        if lines.IsEmpty then
            damaged $"{path} holds no metrics yet"

        let ofKind kind = lines |> List.filter (fun line -> label "kind" line = kind)
        let updates, evaluations = ofKind "update", ofKind "evaluation"
        let greatest name = lines |> List.choose (number name) |> List.fold max 0.0 |> int64
        let timings = RecordedTimings.read folder

        if not compared then
            summary |> Option.iter (fun summary -> checkEnd folder summary lines)

        let whole = finiteOf evaluations

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
          Evaluations = whole |> Array.map (fun (_, steps, mean) -> int64 steps, mean)
          EvaluatedAfter =
            whole |> Array.map (fun (iteration, _, _) -> RecordedTimings.secondsAt timings (int64 iteration))
          EvaluationEpisodes = evaluations |> List.sumBy (fun line -> (values "returns" line).Length)
          TrainingEpisodes = (ofKind "episode").Length
          Figures = figures updates
          EpisodeFigures = Metrics.episodeMeans evaluations
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
            | _ -> nan
          Failure = if peak.IsSome then None else failure path
          Running = peak.IsNone && RunFolder.isLocked folder
          Program = if File.Exists folder.Machine then program folder.Machine else ""
          Begun = DateOnly.FromDateTime(File.GetLastWriteTimeUtc folder.Spec) }

    /// A kept run: evaluations, and nothing of its updates.
    let private readKept (registry: Registry) (csv: string) : RunRecord =
        let kept = KeptRun.read csv
        let struct (task, algorithm, seed, settings) = specification registry (KeptRun.spec csv)
        let evaluations = kept.Evaluations |> Array.filter (snd >> Double.IsFinite)

        { Folder = csv
          Task = task
          Algorithm = algorithm
          Title = title registry algorithm
          Seed = seed
          Settings = settings
          Finished = true
          Iterations = kept.Iterations
          EnvSteps = fst (Array.last kept.Evaluations)
          Evaluations = evaluations
          EvaluatedAfter = evaluations |> Array.map (fun _ -> nan)
          EvaluationEpisodes = kept.Episodes
          TrainingEpisodes = 0
          Figures = Map.empty
          EpisodeFigures = kept.Figures
          Weights = [||]
          Timings = None
          PeakMemory = nan
          Failure = None
          Running = false
          Program = kept.Program
          Begun = DateOnly.FromDateTime(File.GetLastWriteTimeUtc(KeptRun.spec csv)) }

    /// What a run folder or the CSV file of a kept run holds, or a sentence that says why it cannot be used.
    let read (registry: Registry) (path: string) : Result<RunRecord, string> =
        try
            Ok(if File.Exists path then readKept registry path else readWhole registry path)
        with
        | :? UserError as error -> Error $"{error.Failure.Sentence}; the run is left out"
        | :? InvalidOperationException
        | :? FormatException -> Error $"{path} is not written as a run of this program is; the run is left out"
