namespace Sdac.Experiments

open System
open System.Buffers
open System.IO
open System.Text.Json

/// One figure of a line of metrics.
type Figure =
    | Count of int64
    | Value of float
    | Label of string
    | Values of float list

/// Lines of JSON appended to a file. Two runs with the same results write the same bytes: wall-clock figures therefore have a
/// file of their own.
type LineWriter private (file: AppendedFile) =
    let line = ArrayBufferWriter<byte>()
    let writer = new Utf8JsonWriter(line, JsonWriterOptions(SkipValidation = true))
    let newline = [| byte '\n' |]

    /// Opens (or creates) a file and continues it at byte `position`; what lay behind is dropped.
    static member Continue(path: string, position: int64) = new LineWriter(AppendedFile.Continue(path, position))

    /// A new file; an old one is replaced.
    static member Create(path: string) = LineWriter.Continue(path, 0L)

    /// Bytes written so far: where a resumed run goes on.
    member _.Position = file.Position

    /// Appends one object with the figures in the given order.
    member _.Write(figures: (string * Figure) list) =
        writer.WriteStartObject()

        for name, figure in figures do
            writer.WritePropertyName name

            match figure with
            | Count count -> writer.WriteNumberValue count
            | Value value -> Number.write writer value
            | Label text -> writer.WriteStringValue text
            | Values values ->
                writer.WriteStartArray()
                values |> List.iter (Number.write writer)
                writer.WriteEndArray()

        writer.WriteEndObject()
        writer.Flush()
        line.Write(ReadOnlySpan newline)
        // one piece: what a killed process leaves ends with a whole line
        file.Append line.WrittenMemory
        line.Clear()
        writer.Reset()

    /// Hands what was written to the system; `toDisk` waits until it is on the disk.
    member _.Flush(toDisk: bool) = file.Flush toDisk

    interface IDisposable with
        member _.Dispose() =
            writer.Dispose()
            (file :> IDisposable).Dispose()

/// Reading lines of metrics.
[<RequireQualifiedAccess>]
module Metrics =
    /// What the names of figures of whole episodes begin with in an evaluation's line: apart from its own names.
    [<Literal>]
    let EpisodePrefix = "episode."

    /// The figures of whole episodes in an evaluation's line: name and value of each episode.
    let episodeFigures (line: Map<string, Figure>) : (string * float list) list =
        [ for KeyValue(name, figure) in line do
              match figure with
              | Values values when name.StartsWith(EpisodePrefix, StringComparison.Ordinal) ->
                  name.Substring EpisodePrefix.Length, values
              | _ -> () ]

    let private figure (value: JsonElement) =
        match value.ValueKind, Number.tryRead value with
        | JsonValueKind.Number, _ when fst (value.TryGetInt64()) -> Count(value.GetInt64())
        | _, Some number -> Value number
        | JsonValueKind.Array, _ ->
            Values [ for item in value.EnumerateArray() -> Number.tryRead item |> Option.defaultValue nan ]
        | _ -> Label(value.ToString())

    /// A figure as a number; None for a text or a list.
    let number figure =
        match figure with
        | Count count -> Some(float count)
        | Value value -> Some value
        | Label _
        | Values _ -> None

    /// Environment steps and value by name, in the order in which they come.
    let byName (values: (string * (int64 * float)) seq) : Map<string, (int64 * float)[]> =
        values
        |> Seq.groupBy fst
        |> Seq.map (fun (name, found) -> name, found |> Seq.map snd |> Seq.toArray)
        |> Map.ofSeq

    /// The figures of whole episodes by name: environment steps and mean of each evaluation that noted them.
    let episodeMeans (evaluations: Map<string, Figure> seq) : Map<string, (int64 * float)[]> =
        byName
            [ for line in evaluations do
                  for name, values in episodeFigures line do
                      match Map.tryFind "envSteps" line |> Option.bind number with
                      | Some steps when not values.IsEmpty -> name, (int64 steps, List.average values)
                      | _ -> () ]

    /// The whole lines of a text, each a map from name to figure. A last line that is cut off is left out. `named` says where in
    /// the file a line stands.
    let private parse (path: string) (named: int -> string) (text: string) : Map<string, Figure> list =
        let complete = text.Substring(0, text.LastIndexOf '\n' + 1)
        let damaged i what = Errors.fail (Damaged $"{path}: {named i} {what}")

        [ for i, line in complete.Split '\n' |> Seq.indexed do
              if line <> "" then
                  match JsonText.tryDocument line with
                  | Error problem -> damaged i problem
                  | Ok document when document.RootElement.ValueKind <> JsonValueKind.Object ->
                      damaged i "is not an object with named figures: remove it"
                  | Ok document ->
                      yield
                          Map [ for field in document.RootElement.EnumerateObject() -> field.Name, figure field.Value ] ]

    /// The lines of a file, each a map from name to figure. A last line that is cut off (the run was killed) is left out.
    let read (path: string) : Map<string, Figure> list = parse path (fun i -> $"line {i + 1}") (Files.readText path)

    /// The whole lines within the last `bytes` of a file, which may be growing; none where there is no file.
    let tail (path: string) (bytes: int) : Map<string, Figure> list =
        if not (File.Exists path) then
            []
        else
            Files.reading path (fun () ->
                use stream =
                    new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite ||| FileShare.Delete)

                let from = max 0L (stream.Length - int64 bytes)
                stream.Position <- from
                let text = (new StreamReader(stream)).ReadToEnd()
                let named i = if from = 0L then $"line {i + 1}" else "a line near the end"
                parse path named (if from = 0L then text else text.Substring(text.IndexOf '\n' + 1)))
