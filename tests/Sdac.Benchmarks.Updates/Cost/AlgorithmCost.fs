namespace Sdac.Benchmarks

open System
open System.Collections.Generic
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text.Json
open Sdac.Functional

/// What an algorithm costs at its published settings on a task's sizes.
[<NoComparison; NoEquality>]
type AlgorithmCost =
    {
        Rows: AlgorithmRows
        /// Milliseconds of an update, with its share of what a round prepares and of what happens on few updates; without acting
        UpdateMs: float
        /// Milliseconds until a single environment has its action, as in training
        ActionMs: float
        /// What collecting and updating add to the memory of the process at their peak, MiB
        PeakMiB: float
    }

/// Measures one algorithm, in a process of its own so that its peak is its own.
[<RequireQualifiedAccess>]
module AlgorithmCost =
    /// Random transitions before the first update.
    [<Literal>]
    let private WarmUp = 2_000

    let private median (values: float seq) =
        let sorted = values |> Seq.sort |> Seq.toArray
        sorted[sorted.Length / 2]

    let private timed (work: unit -> unit) =
        let start = Stopwatch.GetTimestamp()
        work ()
        Stopwatch.GetElapsedTime(start).TotalMilliseconds

    /// The median of as many runs as these seconds hold, at least two.
    let private medianOf (seconds: float) (work: unit -> unit) =
        let clock = Stopwatch.StartNew()
        let times = List<float>()

        while times.Count < 2 || clock.Elapsed.TotalSeconds < seconds do
            times.Add(timed work)

        median times

    /// A line of the kernel's account of this process, in MiB.
    let private memory (name: string) : float =
        File.ReadLines "/proc/self/status"
        |> Seq.find (fun line -> line.StartsWith(name, StringComparison.Ordinal))
        |> fun line ->
            Double.Parse(
                line.Split([| ' '; '\t' |], StringSplitOptions.RemoveEmptyEntries)[1],
                CultureInfo.InvariantCulture
            )
            / 1024.0

    /// From here on the peak is that of what follows.
    let private forgetPeak () = File.WriteAllText("/proc/self/clear_refs", "5")

    let private ofAlgorithm (size: TaskSize) (seconds: float) (algorithm: Algorithm<'c, 's, 'w>) : AlgorithmCost =
        let agent =
            algorithm.Agent Compute.cpu (Updates.spaceOf size) { Iterations = 1_000_000L } algorithm.Published

        let rare = (CostReasons.find algorithm.Name).Rare
        use rounds = new MadeRounds<'s, 'w>(agent, (if agent.Rhythm.WarmUp = 0 then 0 else WarmUp))
        GC.Collect()
        let before = memory "VmRSS"
        forgetPeak ()
        let clock = Stopwatch.StartNew()
        let rows = AlgorithmRows.count agent rare rounds
        let peak = memory "VmHWM" - before
        let counting = clock.Elapsed.TotalMilliseconds

        let window () =
            for _ in 1 .. AlgorithmRows.Window do
                rounds.Update()

        let update = medianOf seconds window / float AlgorithmRows.Window
        let prepared = timed rounds.Prepare / float agent.Rhythm.Updates
        // what the counting took is the first update's, near enough where that does what takes long
        let seldom = if rare > 1 then counting / float rare else 0.0
        let act () = rounds.Act Purpose.Explore 1
        act ()

        { Rows = rows
          UpdateMs = update + prepared + seldom
          ActionMs = medianOf (seconds / 4.0) act
          PeakMiB = peak }

    let sizes = [ Updates.halfCheetah; Updates.humanoid ]

    /// In this process.
    let measure (size: TaskSize) (seconds: float) (algorithm: IAlgorithm) : AlgorithmCost =
        algorithm.Open
            { new IOpen<AlgorithmCost> with
                member _.Open algorithm = ofAlgorithm size seconds algorithm }

    // ---- from one process to another: a line of names and numbers

    let private kinds =
        [ for role in [ Role.Actor; Role.Critic; Role.Value ] do
              for cause in [ Cause.Forward; Cause.Parameters; Cause.Inputs ] -> struct (role, cause) ]

    let private name (what: string) (struct (role: Role, cause: Cause)) (part: string) = $"{what} {role} {cause} {part}"

    let print (cost: AlgorithmCost) : string =
        let costs what (spent: Costs) =
            [ for kind in kinds do
                  match Map.tryFind kind spent with
                  | Some s ->
                      name what kind "rows", s.Rows
                      name what kind "multiply-adds", s.MultiplyAdds
                  | None -> () ]

        let numbers =
            costs "action" cost.Rows.Action
            @ costs "update" cost.Rows.Update
            @ [ "update ms", cost.UpdateMs; "action ms", cost.ActionMs; "peak MiB", cost.PeakMiB ]

        JsonSerializer.Serialize(dict numbers)

    let parse (line: string) : AlgorithmCost =
        let numbers = JsonSerializer.Deserialize<Dictionary<string, float>> line |> Option.ofObj |> Option.get

        let costs what : Costs =
            Map.ofList
                [ for kind in kinds do
                      match numbers.TryGetValue(name what kind "rows") with
                      | true, rows -> kind, { Rows = rows; MultiplyAdds = numbers[name what kind "multiply-adds"] }
                      | _ -> () ]

        { Rows = { Action = costs "action"; Update = costs "update" }
          UpdateMs = numbers["update ms"]
          ActionMs = numbers["action ms"]
          PeakMiB = numbers["peak MiB"] }
