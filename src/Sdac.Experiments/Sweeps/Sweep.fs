namespace Sdac.Experiments

open System
open System.Globalization
open Sdac.Functional

/// A value of a setting as JSON writes it: 4, 1e-3, "raw", [64,64].
[<Struct>]
type SettingValue =
    | SettingValue of string

    member literal.Text =
        let (SettingValue text) = literal
        text

/// Settings by name, as in spec.json: a path ("experiment.config.tau") or its unambiguous last part ("tau").
type Assignment = Map<string, SettingValue>

/// Where a setting is drawn from.
[<RequireQualifiedAccess>]
type Range =
    /// Evenly from low to high.
    | Uniform of Low: float * High: float
    /// Its logarithm evenly; 0 < low.
    | LogUniform of Low: float * High: float
    /// Whole numbers, both ends included.
    | Integers of Low: int64 * High: int64
    /// One of these.
    | Choice of SettingValue list

/// Settings drawn at random: `Count` different ones, decided by `Seed` alone. Without ranges: none.
type RandomSettings =
    {
        Count: int
        /// The seed of the draws; the runs' own seeds are `Sweep.Seeds`
        Seed: int64
        Ranges: Map<string, Range>
    }

/// Which settings are tried. The three ways multiply; those left empty change nothing.
type Variations =
    {
        /// Written out, one assignment each
        List: Assignment list
        /// All combinations of the values
        Grid: Map<string, SettingValue list>
        Random: RandomSettings
    }

/// Runs to be compared: algorithms x tasks x variations x seeds over one base.
type Sweep =
    {
        /// Version of this record's layout
        Schema: int
        /// Names the sweep's folder and its Slurm jobs
        Name: string
        /// Where the settings start
        Preset: string
        /// Settings that all runs share, beside the preset's
        Base: Assignment
        /// What each algorithm sets; empty: the one that preset and base describe
        Algorithms: Map<string, Assignment>
        /// Empty: the preset's
        Tasks: string list
        Seeds: int64 list
        Settings: Variations
    }

/// One run of a sweep.
type PlannedRun =
    {
        /// Tells what the run varies; a file name; the same in every sweep that contains this run
        Name: string
        Task: string
        Seed: int64
        /// In the order in which they are to be set: base, algorithm, variation
        Settings: (string * SettingValue) list
    }

[<RequireQualifiedAccess>]
module Sweep =
    /// The layout that this program writes and reads.
    [<Literal>]
    let Schema = 1

    /// One run of a preset with seed 0, to be extended.
    let create (name: string) (preset: string) : Sweep =
        { Schema = Schema
          Name = name
          Preset = preset
          Base = Map.empty
          Algorithms = Map.empty
          Tasks = []
          Seeds = [ 0L ]
          Settings = { List = []; Grid = Map.empty; Random = { Count = 0; Seed = 0L; Ranges = Map.empty } } }

    /// Digits of a random number that is not whole: enough to tell values apart, few enough to stand in a name.
    [<Literal>]
    let private Digits = 6

    /// Longest run name; file systems take 255 bytes, and names are extended (.json, .log).
    [<Literal>]
    let private LongestName = 120

    // ---- drawing

    /// Uniform on [0, 1), 52 bits.
    let private unit (key: Key) : float =
        let parts = Key.integers (1 <<< 26) 2 key
        Math.ScaleB(float parts[0], -26) + Math.ScaleB(float parts[1], -52)

    let private rounded (low: float) (high: float) (value: float) =
        let short = value.ToString($"G{Digits}", CultureInfo.InvariantCulture)
        let value = Math.Clamp(Double.Parse(short, CultureInfo.InvariantCulture), low, high)
        SettingValue(value.ToString("R", CultureInfo.InvariantCulture))

    /// A value of the range; the same key gives the same one.
    let draw (range: Range) (key: Key) : SettingValue =
        let u = unit key

        match range with
        | Range.Uniform(low, high) -> rounded low high (low + u * (high - low))
        | Range.LogUniform(low, high) -> rounded low high (low * Math.Pow(high / low, u))
        | Range.Integers(low, high) -> SettingValue(string (min high (low + int64 (u * float (high - low + 1L)))))
        | Range.Choice values -> values[int (u * float values.Length)]

    /// A setting's draws depend on its name, not on its neighbours: ranges may be added or dropped without changing the others.
    let private ofName (name: string) (key: Key) = name |> Seq.fold (fun key c -> Key.foldIn (int64 c) key) key

    let private drawAll (random: RandomSettings) (i: int) : Assignment =
        let key = Key.ofSeed random.Seed |> Key.foldIn (int64 i)
        random.Ranges |> Map.map (fun name range -> draw range (ofName name key))

    /// The first `Count` different draws; fewer where the ranges hold no more. A larger count only adds to them.
    let private draws (random: RandomSettings) : Assignment list =
        Seq.initInfinite (drawAll random)
        |> Seq.truncate (1000 + 100 * random.Count)
        |> Seq.distinct
        |> Seq.truncate random.Count
        |> Seq.toList

    // ---- expanding

    let private combinations (grid: Map<string, SettingValue list>) : Assignment list =
        Map.foldBack
            (fun name values rest ->
                [ for value in values do
                      for assignment in rest -> Map.add name value assignment ])
            grid
            [ Map.empty ]

    let private union (a: Assignment) (b: Assignment) : Assignment = Map.fold (fun all name v -> Map.add name v all) a b

    let private variations (v: Variations) : Assignment list =
        let listed = if v.List.IsEmpty then [ Map.empty ] else v.List

        let drawn = if v.Random.Ranges.IsEmpty then [ Map.empty ] else draws v.Random

        [ for a in listed do
              for b in combinations v.Grid do
                  for c in drawn -> union a (union b c) ]

    /// FNV-1a, 32 bits.
    let private hash (text: string) = Seq.fold (fun h c -> (h ^^^ uint32 (c: char)) * 16777619u) 2166136261u text

    /// Letters, digits and .+-=,_ stay; brackets, quotes and blanks go; other characters become '-'.
    let private fileName (text: string) =
        let kept =
            text
            |> String.collect (fun c ->
                if Char.IsAsciiLetterOrDigit c || ".+-=,_".Contains c then string c
                elif "[]{}\" ".Contains c then ""
                else "-")

        if kept.Length <= LongestName then
            kept
        else
            $"{kept.Substring(0, LongestName - 9)}-{hash text:x8}"

    let private short (setting: string) = setting.Substring(setting.LastIndexOf '.' + 1)

    let private describe (assignment: Assignment) =
        let one (KeyValue(name: string, value: SettingValue)) = $"{short name}={value.Text.Replace(',', 'x')}"
        assignment |> Seq.map one |> String.concat ","

    let private nameOf task algorithm (variation: Assignment) (seed: int64) =
        [ task; algorithm; describe variation; $"seed%d{seed}" ]
        |> List.filter ((<>) "")
        |> String.concat "_"
        |> fileName

    let private runs (sweep: Sweep) : PlannedRun list =
        let algorithms =
            if sweep.Algorithms.IsEmpty then
                [ "", Map.empty ]
            else
                Map.toList sweep.Algorithms

        [ for algorithm, settings in algorithms do
              for task in sweep.Tasks do
                  for variation in variations sweep.Settings do
                      for seed in sweep.Seeds ->
                          { Name = nameOf task algorithm variation seed
                            Task = task
                            Seed = seed
                            Settings = List.collect Map.toList [ sweep.Base; settings; variation ] } ]

    // ---- refusing

    let private textOf (literal: SettingValue) = literal.Text

    let private repeated (what: string) (show: 'a -> string) (items: 'a list) =
        items
        |> List.countBy id
        |> List.filter (fun (_, count) -> count > 1)
        |> List.map (fun (item, count) -> $"{what} {show item} is given {count} times")

    let private boundProblems name kind (low: float) (high: float) =
        [ if not (Double.IsFinite low && Double.IsFinite high) then
              $"the ends of '{name}' must be numbers"
          elif low >= high then
              $"'{name}' is {kind} from {string low} to {string high}; low must be below high" ]

    let private rangeProblems (name: string) (range: Range) =
        match range with
        | Range.Uniform(low, high) -> boundProblems name "uniform" low high
        | Range.LogUniform(low, high) ->
            [ yield! boundProblems name "logUniform" low high
              if low <= 0.0 then
                  $"'{name}' is logUniform from {string low}; low must be above 0" ]
        | Range.Integers(low, high) ->
            [ yield! boundProblems name "integers" (float low) (float high)
              if float high - float low > 1e15 then
                  $"'{name}' has more than 1e15 whole numbers to choose from; bring its ends nearer" ]
        | Range.Choice [] -> [ $"'{name}' has no values to choose from" ]
        | Range.Choice values -> repeated $"the choice of '{name}'" textOf values

    let private randomProblems (random: RandomSettings) =
        let ranges = random.Ranges |> Map.toList |> List.collect (fun (name, range) -> rangeProblems name range)

        match random.Ranges.IsEmpty, random.Count < 1 with
        | true, true -> []
        | true, false -> [ "random settings have a count but no ranges" ]
        | false, true -> [ $"the count of random settings is %d{random.Count}; it must be at least 1" ]
        | false, false when not ranges.IsEmpty -> ranges
        | false, false ->
            let found = (draws random).Length

            [ if found < random.Count then
                  $"%d{random.Count} different random settings are asked for, but the ranges hold {found}" ]

    let private gridProblems (grid: Map<string, SettingValue list>) =
        [ for KeyValue(name, values) in grid do
              if values.IsEmpty then
                  $"'{name}' in the grid has no values"

              yield! repeated $"the grid's '{name}'" textOf values ]

    /// Tasks and seeds have lists of their own; a setting comes from one place.
    let private placeProblems (sweep: Sweep) =
        let keys (map: Map<string, 'v>) = Map.keys map |> Seq.toList
        let v = sweep.Settings
        let listed = v.List |> List.collect keys |> List.distinct
        let drawn = keys v.Random.Ranges
        let algorithms = sweep.Algorithms |> Map.toList |> List.collect (snd >> keys)
        let varied = listed @ keys v.Grid @ drawn

        [ for name in keys sweep.Base @ algorithms @ varied |> List.distinct do
              match short name with
              | "task" -> "'task' is set among the settings; list tasks under 'tasks'"
              | "seed" -> "'seed' is set among the settings; list seeds under 'seeds'"
              | _ -> ()
          yield!
              varied
              |> List.countBy short
              |> List.filter (fun (_, count) -> count > 1)
              |> List.map (fun (name, _) -> $"'{name}' is varied in more than one of list, grid and random") ]

    /// All that is impossible in a sweep, one clause each; empty when it can be expanded.
    let problems (sweep: Sweep) : string list =
        let own =
            [ if sweep.Schema <> Schema then
                  $"schema is %d{sweep.Schema}; this version reads {Schema}"
              if
                  sweep.Name = ""
                  || fileName sweep.Name <> sweep.Name
                  || not (Char.IsAsciiLetterOrDigit sweep.Name[0])
              then
                  $"the name '{sweep.Name}' is no file name; begin with a letter or digit and use letters, digits and .+-=,_"
              if sweep.Tasks.IsEmpty then
                  "there are no tasks"
              if sweep.Seeds.IsEmpty then
                  "there are no seeds"
              yield! repeated "task" id sweep.Tasks
              yield! repeated "seed" string sweep.Seeds
              yield! repeated "the list's setting" describe sweep.Settings.List
              yield! gridProblems sweep.Settings.Grid
              yield! randomProblems sweep.Settings.Random
              yield! placeProblems sweep ]

        if own.IsEmpty then
            runs sweep |> List.map _.Name |> repeated "the run" id
        else
            own

    /// The runs of a sweep: algorithms in alphabetical order, then tasks, variations and seeds as given. ArgumentException with all
    /// that is impossible in it.
    let expand (sweep: Sweep) : PlannedRun list =
        match problems sweep with
        | [] -> runs sweep
        | found -> invalidArg (nameof sweep) ("impossible sweep: " + String.concat "; " found)
