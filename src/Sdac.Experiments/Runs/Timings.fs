namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Text.Json

/// Seconds spent per phase since they were last asked for.
[<Sealed>]
type internal Phases() =
    let seconds = SortedDictionary<string, float>()

    /// Runs a piece of work on the account of a phase.
    member _.Time (name: string) (work: 'a -> 'b) (argument: 'a) : 'b =
        let began = Stopwatch.GetTimestamp()
        let result = work argument

        let before =
            match seconds.TryGetValue name with
            | true, value -> value
            | _ -> 0.0

        seconds[name] <- before + Stopwatch.GetElapsedTime(began).TotalSeconds
        result

    /// The seconds of every phase, by name; begins anew.
    member _.Drain() : (string * Figure) list =
        let figures = [ for pair in seconds -> pair.Key, Value pair.Value ]
        seconds.Clear()
        figures

/// The wall-clock figures of a run. A resumed run goes on behind the lines of the iterations that its checkpoint holds:
/// the file has one line per logged iteration, and its seconds are those of the work that counts.
[<Sealed>]
type internal Timings(folder: RunFolder, iteration: int64) =
    /// Bytes of the lines up to `iteration`, and the seconds that the last of them gives.
    static let before (path: string) (iteration: int64) : struct (int64 * float) =
        let read (line: ReadOnlyMemory<byte>) =
            try
                let options = JsonDocumentOptions(AllowDuplicateProperties = false)
                let root = JsonDocument.Parse(line, options).RootElement
                let at = root.GetProperty("iteration").GetInt64()
                if at <= iteration then Number.tryRead (root.GetProperty "seconds") else None
            with
            | :? JsonException
            | :? KeyNotFoundException
            | :? FormatException
            | :? InvalidOperationException -> None

        let rec follow (bytes: ReadOnlyMemory<byte>) kept seconds =
            match bytes.Span.IndexOf(byte '\n') with
            | -1 -> struct (kept, seconds)
            | length ->
                match read (bytes.Slice(0, length)) with
                | Some seconds -> follow (bytes.Slice(length + 1)) (kept + int64 length + 1L) seconds
                | None -> struct (kept, seconds)

        if iteration > 0L && File.Exists path then
            follow (ReadOnlyMemory(Files.reading path (fun () -> File.ReadAllBytes path))) 0L 0.0
        else
            struct (0L, 0.0)

    let struct (kept, earlier) = before folder.Timings iteration
    let clock = Stopwatch.StartNew()
    let lines = LineWriter.Continue(folder.Timings, kept)

    member val Phases = Phases()

    /// Seconds of this process.
    member _.Elapsed = clock.Elapsed.TotalSeconds

    /// Seconds of all processes that worked on the run.
    member _.Total = earlier + clock.Elapsed.TotalSeconds

    /// Appends a line: where the run is, how fast, and the seconds per phase since the last line.
    member timings.Write(iteration: int64, stepsPerSecond: float) =
        lines.Write(
            [ "iteration", Count iteration
              "seconds", Value timings.Total
              "envStepsPerSecond", Value stepsPerSecond
              "memoryMiB", Value(float Environment.WorkingSet / 1048576.0) ]
            @ timings.Phases.Drain()
        )

        lines.Flush false

    /// Waits until all lines are on the disk.
    member _.Flush() = lines.Flush true

    interface IDisposable with
        member _.Dispose() = (lines :> IDisposable).Dispose()
