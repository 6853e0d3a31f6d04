module Sdac.Experiments.Tests.SweepPlanTests

open System
open System.Globalization
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Testing

let private number (literal: SettingValue) = Double.Parse(literal.Text, CultureInfo.InvariantCulture)

let private names =
    Gen.elements [ "tau"; "particles"; "hidden"; "learningRate"; "qScale"; "experiment.config.discount" ]

let private numbers =
    Gen.listOfLength 3 (sizes 1 50) |> Gen.map (List.distinct >> List.map (string >> SettingValue))

let private mapOf (values: Gen<'v>) : Gen<Map<string, 'v>> =
    gen {
        let! count = sizes 0 3
        let! keys = Gen.listOfLength count names
        let! values = Gen.listOfLength count values
        return Map.ofList (List.zip keys values)
    }

let private ranges: Gen<Range> =
    gen {
        let! low = between 0.001 1.0
        let! width = between 0.1 10.0
        let! start = sizes -1000 1000
        let! choice = numbers

        return!
            Gen.elements
                [ Range.Uniform(low - 0.5, low + width)
                  Range.LogUniform(low, low + width)
                  Range.Integers(int64 start, int64 start + 1000L)
                  Range.Choice choice ]
    }

/// Sweeps that can be expanded: every setting is varied in one place.
let private sweeps: Gen<Sweep> =
    gen {
        let! tasks = Gen.subListOf [ "Hopper-v4"; "Ant-v4"; "Swimmer-v4" ]
        let! seeds = Gen.listOfLength 3 (sizes 0 1000) |> Gen.map (List.distinct >> List.map int64)
        let! grid = mapOf numbers
        let! drawn = mapOf ranges
        let! listed = numbers
        let! seed = sizes 0 1000
        let! withList = Gen.elements [ true; false ]
        let drawn = drawn |> Map.filter (fun name range -> not (grid.ContainsKey name || range.IsChoice))

        return
            { Sweep.create "test" "quick" with
                Base = Map [ "iterations", SettingValue "100" ]
                Tasks = if tasks.IsEmpty then [ "Reacher-v4" ] else tasks
                Seeds = seeds
                Algorithms = Map [ "sdac", Map.empty; "raw", Map [ "weights", SettingValue "\"raw\"" ] ]
                Settings =
                    { List = if withList then listed |> List.map (fun v -> Map [ "batchSize", v ]) else []
                      Grid = grid
                      Random = { Count = (if drawn.IsEmpty then 0 else 4); Seed = int64 seed; Ranges = drawn } } }
    }

/// The share of `count` draws below the range's middle.
let private below middle range count =
    let values = [ for i in 1L .. count -> Sweep.draw range (Key.foldIn i (Key.ofSeed 11L)) |> number ]
    float (values |> List.filter (fun v -> v < middle) |> List.length) / float count

let private example = { Sweep.create "test" "quick" with Tasks = [ "Ant-v4" ] }

let private four = SettingValue "4"

[<Tests>]
let tests =
    testList
        "sweeps"
        [ testForAll
              "a sweep has algorithms x tasks x settings x seeds runs, all with names of their own that are file names"
              200
              sweeps
              (fun sweep ->
                  let runs = Sweep.expand sweep
                  let v = sweep.Settings
                  let listed = max 1 v.List.Length
                  let combinations = v.Grid |> Map.fold (fun product _ values -> product * values.Length) 1
                  let drawn = max 1 v.Random.Count
                  let expected = 2 * sweep.Tasks.Length * listed * combinations * drawn * sweep.Seeds.Length
                  Expect.equal runs.Length expected "number of runs"
                  Expect.equal (runs |> List.map _.Name |> Set.ofList |> Set.count) expected "name of runs"

                  for run in runs do
                      Expect.inRange run.Name.Length (1, 120) "number of name of run"

                      Expect.isFalse
                          (Seq.exists (fun c -> Array.contains c (Path.GetInvalidFileNameChars()) || c = ' ') run.Name)
                          "name of run")

          testForAll "a run keeps its name and its settings whatever is added to the sweep" 100 sweeps (fun sweep ->
              let more =
                  { sweep with
                      Name = "other"
                      Tasks = "Walker2d-v4" :: sweep.Tasks
                      Seeds = 5000L :: sweep.Seeds
                      Algorithms = sweep.Algorithms.Add("another", Map [ "weights", SettingValue "\"raw\"" ])
                      Settings =
                          { sweep.Settings with
                              Random = { sweep.Settings.Random with Count = 2 * sweep.Settings.Random.Count } } }

              let known = Sweep.expand more |> Set.ofList
              Expect.isTrue (Sweep.expand sweep |> List.forall known.Contains) "earlier runs are still there")

          testForAll
              "random values lie in their range and depend on the key alone"
              500
              (Gen.zip ranges (sizes 0 1_000_000))
              (fun (range, seed) ->
                  let value = Sweep.draw range (Key.ofSeed (int64 seed))
                  Expect.equal (Sweep.draw range (Key.ofSeed (int64 seed))) value "draw"

                  match range with
                  | Range.Uniform(low, high)
                  | Range.LogUniform(low, high) -> Expect.inRange (number value) (low, high) "value"
                  | Range.Integers(low, high) ->
                      Expect.inRange
                          (Int64.Parse(value.Text, Globalization.CultureInfo.InvariantCulture))
                          (low, high)
                          "value"
                  | Range.Choice values -> Expect.contains values value "values")

          testCase
              "uniform values are even, log-uniform ones even in their logarithm, whole numbers reach both ends"
              (fun () ->
                  // four standard deviations of a fair coin thrown 10,000 times
                  let near share = Expect.inRange share (0.48, 0.52) "share"
                  near (below 3.0 (Range.Uniform(2.0, 4.0)) 10_000L)
                  near (below 1e-3 (Range.LogUniform(1e-4, 1e-2)) 10_000L)
                  near (below 5.0 (Range.Integers(0L, 9L)) 10_000L)

                  let values =
                      [ for i in 1L .. 200L ->
                            Sweep.draw (Range.Integers(-1L, 1L)) (Key.foldIn i (Key.ofSeed 1L)) |> number ]

                  Expect.equal (values |> List.distinct |> List.sort) [ -1.0; 0.0; 1.0 ] "whole numbers that come")

          testCase "a range's draws do not depend on the other ranges" (fun () ->
              let values ranges =
                  { Sweep.create "test" "quick" with
                      Tasks = [ "Ant-v4" ]
                      Settings =
                          { List = []; Grid = Map.empty; Random = { Count = 5; Seed = 3L; Ranges = Map ranges } } }
                  |> Sweep.expand
                  |> List.map (fun run -> List.find (fst >> (=) "tau") run.Settings |> snd)

              let tau = "tau", Range.Uniform(0.0, 1.0)
              let rate = "learningRate", Range.LogUniform(1e-4, 1e-2)
              Expect.equal (values [ rate; tau ]) (values [ tau ]) "rate"
              Expect.equal (values [ tau ] |> List.distinct |> List.length) 5 "number of tau")

          testCase "names say what a run varies" (fun () ->
              let sweep =
                  { example with
                      Seeds = [ 7L ]
                      Algorithms = Map [ "sdac", Map.empty ]
                      Settings =
                          { example.Settings with
                              Grid =
                                  Map
                                      [ "hidden", [ SettingValue "[64,64]" ]
                                        "experiment.config.tau", [ SettingValue "0.01" ] ] } }

              Expect.equal
                  ((List.exactlyOne (Sweep.expand sweep)).Name)
                  "Ant-v4_sdac_tau=0.01,hidden=64x64_seed7"
                  "name"

              Expect.equal ((List.exactlyOne (Sweep.expand example)).Name) "Ant-v4_seed0" "name"

              let long =
                  { example with
                      Settings = { example.Settings with Grid = Map [ String('x', 300), [ four; SettingValue "5" ] ] } }

              Expect.equal (Sweep.expand long |> List.map _.Name.Length) [ 120; 120 ] "lengths of the names")

          testCase "what cannot be expanded is refused with its reason" (fun () ->
              let settings change = { example with Settings = change example.Settings }
              let grid pairs = settings (fun s -> { s with Grid = Map pairs })

              let random count ranges =
                  settings (fun s -> { s with Random = { Count = count; Seed = 0L; Ranges = Map ranges } })

              for reason, sweep in
                  [ "task Ant-v4 is given 2 times", { example with Tasks = [ "Ant-v4"; "Ant-v4" ] }
                    "seed 3 is given 2 times", { example with Seeds = [ 3L; 3L ] }
                    "no seeds", { example with Seeds = [] }
                    "no tasks", { example with Tasks = [] }
                    "schema is 2", { example with Schema = 2 }
                    "is no file name", { example with Name = "a/b" }
                    "is no file name", { example with Name = ".." }
                    "'tau' in the grid has no values", grid [ "tau", [] ]
                    "the grid's 'tau' 4 is given 2 times", grid [ "tau", [ four; four ] ]
                    "list tasks under 'tasks'", grid [ "task", [ SettingValue "\"Ant-v4\"" ] ]
                    "list seeds under 'seeds'", { example with Base = Map [ "experiment.seed", four ] }
                    "the list's setting tau=4 is given 2 times",
                    settings (fun s -> { s with List = [ Map [ "tau", four ]; Map [ "tau", four ] ] })
                    "'tau' is varied in more than one",
                    settings (fun s ->
                        { s with List = [ Map [ "tau", four ] ]; Grid = Map [ "config.tau", [ four ] ] })
                    "low must be below high", random 1 [ "tau", Range.Uniform(1.0, 1.0) ]
                    "low must be above 0", random 1 [ "tau", Range.LogUniform(0.0, 1.0) ]
                    "must be numbers", random 1 [ "tau", Range.Uniform(nan, 1.0) ]
                    "no values to choose from", random 1 [ "tau", Range.Choice [] ]
                    "the count of random settings is 0", random 0 [ "tau", Range.Uniform(0.0, 1.0) ]
                    "a count but no ranges", random 3 []
                    "the ranges hold 2", random 3 [ "tau", Range.Integers(1L, 2L) ]
                    // what a file name cannot hold is left out of it
                    "the run Ant-v4_device=cuda_seed0 is given 2 times",
                    grid [ "device", [ SettingValue "\"cuda\""; SettingValue "\"cu da\"" ] ] ] do
                  let problems = String.concat "; " (Sweep.problems sweep)
                  Expect.stringContains problems reason "problems"
                  let error = Expect.raises<RefusedArgumentException>(fun () -> Sweep.expand sweep |> ignore)
                  Expect.stringContains error.Message reason "sentence") ]
