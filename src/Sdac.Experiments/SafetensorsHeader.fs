namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Text.Json
open System.Text.Unicode

/// Element types of the safetensors format.
type Dtype =
    | BOOL
    | U8
    | I8
    | I16
    | U16
    | F16
    | BF16
    | I32
    | U32
    | F32
    | I64
    | U64
    | F64

    /// Bytes of one element.
    member dtype.Size =
        match dtype with
        | BOOL
        | U8
        | I8 -> 1L
        | I16
        | U16
        | F16
        | BF16 -> 2L
        | I32
        | U32
        | F32 -> 4L
        | I64
        | U64
        | F64 -> 8L

    /// The name in the file.
    member dtype.Name =
        match dtype with
        | BOOL -> "BOOL"
        | U8 -> "U8"
        | I8 -> "I8"
        | I16 -> "I16"
        | U16 -> "U16"
        | F16 -> "F16"
        | BF16 -> "BF16"
        | I32 -> "I32"
        | U32 -> "U32"
        | F32 -> "F32"
        | I64 -> "I64"
        | U64 -> "U64"
        | F64 -> "F64"

    /// All element types.
    static member All = [ BOOL; U8; I8; I16; U16; F16; BF16; I32; U32; F32; I64; U64; F64 ]

/// A tensor as the header describes it.
[<Struct>]
type internal TensorEntry = { Title: string; Type: Dtype; Sizes: int64 list; First: int64; Last: int64 }

/// The header of a safetensors file, by the format's own rules: no name twice, offsets without gaps and overlaps, shapes that fit.
[<RequireQualifiedAccess>]
module internal SafetensorsHeader =
    /// A name as messages show it.
    let short (name: string) = if name.Length <= 60 then name else name.Substring(0, 60) + "..."

    /// The bytes of a shape of such elements; None where a size is negative or 63 bits do not hold a product on the way, which
    /// the reference implementation refuses too, also beside a size of 0.
    let sizeOf (dtype: Dtype) (shape: int64 list) : int64 voption =
        let times (product: int64 voption) (size: int64) =
            match product with
            | ValueSome product when size = 0L || (size > 0L && product <= Int64.MaxValue / size) ->
                ValueSome(product * size)
            | _ -> ValueNone

        times (List.fold times (ValueSome 1L) shape) dtype.Size

    let damaged (path: string) (what: string) =
        Errors.fail (Damaged $"{path} {what}: use an older file or write it anew")

    /// The name of the next member of an object, which `seen` must not hold yet; null at the object's end.
    let private nextName path (reader: byref<Utf8JsonReader>) (what: string) (seen: HashSet<string>) : string | null =
        reader.Read() |> ignore

        if reader.TokenType = JsonTokenType.EndObject then
            null
        else
            let name = reader.GetString() |> Option.ofObj |> Option.defaultValue ""

            if not (seen.Add name) then
                damaged path $"is damaged ({what} holds '{short name}' twice)"

            reader.Read() |> ignore
            name

    let private expectObject path (reader: byref<Utf8JsonReader>) (what: string) =
        if reader.TokenType <> JsonTokenType.StartObject then
            damaged path $"is damaged ({what} is not a JSON object)"

    let private readText path (reader: byref<Utf8JsonReader>) (what: string) : string =
        if reader.TokenType <> JsonTokenType.String then
            damaged path $"is damaged ({what} is not a text)"

        reader.GetString() |> Option.ofObj |> Option.defaultValue ""

    /// A list of numbers without sign, fraction or exponent.
    let private readCounts path (reader: byref<Utf8JsonReader>) (what: string) : List<int64> =
        if reader.TokenType <> JsonTokenType.StartArray then
            damaged path $"is damaged ({what} is not a list)"

        let counts = List<int64>()

        while reader.Read() && reader.TokenType <> JsonTokenType.EndArray do
            let mutable count = 0L

            if
                reader.TokenType <> JsonTokenType.Number
                || reader.ValueSpan.ContainsAnyExceptInRange(byte '0', byte '9')
                || not (reader.TryGetInt64 &count)
            then
                damaged path $"is damaged ({what} does not hold whole numbers below 2^63 only)"

            counts.Add count

        counts

    let private readMetadata path (reader: byref<Utf8JsonReader>) : Map<string, string> =
        expectObject path &reader "its metadata"
        let seen, pairs = HashSet<string>(), List<string * string>()
        let mutable key = nextName path &reader "its metadata" seen

        while not (isNull key) do
            let name = nonNull key
            pairs.Add(name, readText path &reader $"'{short name}' of its metadata")
            key <- nextName path &reader "its metadata" seen

        Map pairs

    let private readEntry path (reader: byref<Utf8JsonReader>) (title: string) : TensorEntry =
        let what = $"tensor '{short title}'"
        expectObject path &reader what
        let seen = HashSet<string>()
        let mutable dtype, shape, offsets = ValueNone, null, null
        let mutable key = nextName path &reader what seen

        while not (isNull key) do
            match nonNull key with
            | "dtype" ->
                let name = readText path &reader $"the dtype of {what}"

                match Dtype.All |> List.tryFind (fun dtype -> dtype.Name = name) with
                | Some known -> dtype <- ValueSome known
                | None -> damaged path $"holds {what} of unknown type {short name}"
            | "shape" -> shape <- readCounts path &reader $"the shape of {what}"
            | "data_offsets" -> offsets <- readCounts path &reader $"data_offsets of {what}"
            | other -> damaged path $"is damaged ({what} has a field '{short other}', which the format does not know)"

            key <- nextName path &reader what seen

        match dtype, shape, offsets with
        | ValueSome dtype, NonNull shape, NonNull offsets when offsets.Count = 2 ->
            let shape = List.ofSeq shape

            if offsets[0] > offsets[1] || sizeOf dtype shape <> ValueSome(offsets[1] - offsets[0]) then
                damaged path $"is damaged (the size of {what} does not fit its shape)"

            { Title = title; Type = dtype; Sizes = shape; First = offsets[0]; Last = offsets[1] }
        | _ -> damaged path $"is damaged ({what} lacks a dtype, a shape or two data_offsets)"

    let private readDocument path (bytes: ReadOnlySpan<byte>) : struct (Map<string, string> * List<TensorEntry>) =
        let mutable reader = Utf8JsonReader bytes
        reader.Read() |> ignore
        expectObject path &reader "its header"
        let seen, entries = HashSet<string>(), List<TensorEntry>()
        let mutable metadata = Map.empty
        let mutable key = nextName path &reader "its header" seen

        while not (isNull key) do
            match nonNull key with
            | "__metadata__" -> metadata <- readMetadata path &reader
            | title -> entries.Add(readEntry path &reader title)

            key <- nextName path &reader "its header" seen

        // complains of anything that follows
        reader.Read() |> ignore
        struct (metadata, entries)

    /// The tensors in the order of their data, which they must cover without holes and without sharing.
    let private inOrder path (dataLength: int64) (entries: List<TensorEntry>) : TensorEntry list =
        let ordered = entries |> Seq.sortBy (fun entry -> struct (entry.First, entry.Last)) |> List.ofSeq
        let mutable covered = 0L

        for entry in ordered do
            if entry.First <> covered then
                damaged
                    path
                    $"is damaged (tensor '{short entry.Title}' begins at byte {entry.First} of the data instead of {covered})"

            covered <- entry.Last

        if covered <> dataLength then
            damaged path $"is truncated or damaged (its tensors take {covered} bytes, it holds {dataLength})"

        ordered

    /// JSON objects without blanks before them; spaces may follow.
    let parse path (bytes: byte[]) (dataLength: int64) =
        let json = ReadOnlySpan(bytes).TrimEnd(byte ' ')

        if json.IsEmpty || json[0] <> byte '{' || json[json.Length - 1] <> byte '}' || not (Utf8.IsValid json) then
            damaged path "is damaged (its header is not a JSON object in UTF-8)"

        try
            let struct (metadata, entries) = readDocument path json
            metadata, inOrder path dataLength entries
        with
        | :? JsonException -> damaged path "is damaged (its header is not JSON)"
        | :? InvalidOperationException -> damaged path "is damaged (a name or text in its header is not Unicode)"
