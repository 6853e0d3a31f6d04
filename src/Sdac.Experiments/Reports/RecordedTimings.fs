namespace Sdac.Experiments

open System.IO

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
        /// Seconds since the run's start, by iteration
        Clock: (int64 * float)[]
    }

/// Reading timings.jsonl.
[<RequireQualifiedAccess>]
module RecordedTimings =
    let private number name (line: Map<string, Figure>) = Map.tryFind name line |> Option.bind Metrics.number

    /// Fields of a line of timings that are no phase.
    let private notPhases = set [ "iteration"; "seconds"; "envStepsPerSecond"; "memoryMiB" ]

    let read (folder: RunFolder) =
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

                let byIteration name =
                    lines
                    |> List.choose (fun line ->
                        Option.map2 (fun at value -> int64 at, value) (number "iteration" line) (number name line))
                    |> Array.ofList

                Some
                    { Updates = int64 (last "iteration")
                      Seconds = last "seconds"
                      Phases = phases
                      Memory = byIteration "memoryMiB"
                      Clock = byIteration "seconds" }

    /// Seconds from the start to an iteration, between lines of timings by linear interpolation; beyond the last line its own.
    let secondsAt (timings: RecordedTimings option) (iteration: int64) : float =
        let clock = timings |> Option.map _.Clock |> Option.defaultValue [||]

        match clock |> Array.tryFindIndex (fun (at, _) -> at >= iteration) with
        | None -> clock |> Array.tryLast |> Option.map snd |> Option.defaultValue nan
        | Some i ->
            let at, seconds = clock[i]
            let before, earlier = if i = 0 then 0L, 0.0 else clock[i - 1]

            if at = before then
                seconds
            else
                earlier + (seconds - earlier) * float (iteration - before) / float (at - before)
