namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Text
open System.Text.Json
open System.Text.Json.Nodes

/// An object or a list that a reader is in: the names of the object so far, and the part of the path that leads to what is being
/// read of it.
type private JsonLevel = { Names: HashSet<string> option; mutable At: string; mutable Next: int }

/// JSON texts by rules of their own: comments and trailing commas are fine, a name given twice is not, and every text is Unicode.
[<RequireQualifiedAccess>]
module internal JsonText =
    let documentOptions =
        JsonDocumentOptions(
            CommentHandling = JsonCommentHandling.Skip,
            AllowTrailingCommas = true,
            AllowDuplicateProperties = false
        )

    /// Where a text gives a name twice in one object: the path, line and column of the second time. None where it does not, or is not
    /// JSON before that.
    let duplicate (text: string) : (string * int * int) option =
        let bytes = Encoding.UTF8.GetBytes text

        let mutable reader =
            Utf8JsonReader(
                ReadOnlySpan bytes,
                JsonReaderOptions(CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true)
            )

        let levels = Stack<JsonLevel>()
        let mutable found = None

        // a value within a list: its place there
        let enter () =
            if levels.Count > 0 && levels.Peek().Names.IsNone then
                let level = levels.Peek()
                level.At <- $"[{level.Next}]"
                level.Next <- level.Next + 1

        let path () =
            let join path (level: JsonLevel) =
                if level.Names.IsSome then JsonTypes.below path level.At else path + level.At

            levels |> Seq.rev |> Seq.fold join ""

        try
            while found.IsNone && reader.Read() do
                match reader.TokenType with
                | JsonTokenType.StartObject ->
                    enter ()
                    levels.Push { Names = Some(HashSet()); At = ""; Next = 0 }
                | JsonTokenType.StartArray ->
                    enter ()
                    levels.Push { Names = None; At = ""; Next = 0 }
                | JsonTokenType.EndObject
                | JsonTokenType.EndArray -> levels.Pop() |> ignore
                | JsonTokenType.PropertyName ->
                    let level = levels.Peek()
                    level.At <- string (reader.GetString())

                    if not (level.Names.Value.Add level.At) then
                        let before = bytes.AsSpan(0, int reader.TokenStartIndex)
                        let line = before.Count(byte '\n') + 1
                        found <- Some(path (), line, before.Length - before.LastIndexOf(byte '\n'))
                | _ -> enter ()
        with
        | :? JsonException
        | :? InvalidOperationException -> ()

        found

    /// Why a text is no JSON that can be used, as the rest of a sentence about its place.
    let problem (text: string) (error: JsonException) =
        match duplicate text with
        | Some(path, line, column) -> $"gives '{path}' twice (line {line}, column {column}): keep one of them"
        | None ->
            let line = error.LineNumber.GetValueOrDefault() + 1L
            let column = error.BytePositionInLine.GetValueOrDefault() + 1L
            $"is not JSON (line {line}, column {column}): correct it there"

    /// Reads a JSON text in which no name is given twice; where that is impossible, why: the rest of a sentence about its place.
    let tryDocument (text: string) : Result<JsonDocument, string> =
        try
            Ok(JsonDocument.Parse(text, documentOptions))
        with :? JsonException as error ->
            Error(problem text error)

    /// Refuses escapes of half a surrogate pair ("\ud800"): no Unicode text holds one, and .NET complains of it only where the text is
    /// used. What is no JSON is left to the reading.
    let checkUnicode (place: string) (text: string) =
        let mutable reader =
            Utf8JsonReader(
                ReadOnlySpan(Text.Encoding.UTF8.GetBytes text),
                JsonReaderOptions(CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true)
            )

        try
            while reader.Read() do
                if reader.TokenType = JsonTokenType.PropertyName || reader.TokenType = JsonTokenType.String then
                    reader.GetString() |> ignore
        with
        | :? JsonException -> ()
        | :? InvalidOperationException ->
            Errors.fail (Settings $"{place} holds a text that is not Unicode (half a pair such as \\ud800): correct it")

    /// Reads a text as a tree.
    let parse (place: string) (text: string) =
        try
            JsonNode.Parse(text, documentOptions = documentOptions)
        with :? JsonException as error ->
            Errors.fail (Settings $"{place} {problem text error}")
