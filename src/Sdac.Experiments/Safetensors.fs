namespace Sdac.Experiments

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Encodings.Web
open System.Text.Json

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

/// A tensor on its way to a file. `Write` puts exactly the bytes of Shape x Dtype (little-endian, row-major) on the
/// stream, so that native memory needs no copy.
type TensorSource = { Name: string; Dtype: Dtype; Shape: int64 list; Write: Stream -> unit }

/// A tensor from a file: its bytes (little-endian, row-major), Shape x Dtype of them.
type TensorValue = { Name: string; Dtype: Dtype; Shape: int64 list; Data: byte[] }

/// The content of a safetensors file.
type TensorFile = { Metadata: Map<string, string>; Tensors: Map<string, TensorValue> }

/// The safetensors format (8 bytes header length, JSON header, data), which Python's `safetensors` reads too.
/// Files written here carry, under the metadata key "sha256", the digest of the whole file with that value zeroed.
[<RequireQualifiedAccess>]
module Safetensors =
    [<Literal>]
    let private ChecksumKey = "sha256"

    let private zeroChecksum = String('0', 64)

    /// Larger headers are refused, as the reference implementation does.
    [<Literal>]
    let private MaximalHeader = 100_000_000L

    /// A tensor source over bytes in managed memory.
    let ofBytes name dtype shape (data: ReadOnlyMemory<byte>) : TensorSource =
        { Name = name; Dtype = dtype; Shape = shape; Write = fun stream -> stream.Write data.Span }

    /// A tensor source over numbers that stay as they are until they are written; they are not copied.
    let ofMemory name dtype shape (values: ReadOnlyMemory<'a>) : TensorSource =
        let write (stream: Stream) = stream.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes values.Span)
        { Name = name; Dtype = dtype; Shape = shape; Write = write }

    let private bytesOf (values: 'a[]) =
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(ReadOnlySpan<'a> values).ToArray()

    /// A tensor source over float32 values.
    let ofFloat32 name shape (values: float32[]) = ofBytes name F32 shape (ReadOnlyMemory(bytesOf values))

    /// A tensor source over float64 values.
    let ofFloat64 name shape (values: float[]) = ofBytes name F64 shape (ReadOnlyMemory(bytesOf values))

    /// A tensor source over int64 values.
    let ofInt64 name shape (values: int64[]) = ofBytes name I64 shape (ReadOnlyMemory(bytesOf values))

    let private elements (shape: int64 list) = List.fold (fun product size -> Checked.(*) product size) 1L shape

    let private byteCount (source: TensorSource) = elements source.Shape * source.Dtype.Size

    let private header (metadata: Map<string, string>) (tensors: TensorSource list) =
        use buffer = new MemoryStream()
        // metadata may hold JSON texts: not every quotation mark in them as \u0022
        use writer =
            new Utf8JsonWriter(buffer, JsonWriterOptions(Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping))

        writer.WriteStartObject()
        writer.WriteStartObject "__metadata__"
        writer.WriteString(ChecksumKey, zeroChecksum)
        metadata |> Map.remove ChecksumKey |> Map.iter (fun key value -> writer.WriteString(key, value))
        writer.WriteEndObject()
        let mutable offset = 0L

        for tensor in tensors do
            writer.WriteStartObject tensor.Name
            writer.WriteString("dtype", tensor.Dtype.Name)
            writer.WriteStartArray "shape"
            tensor.Shape |> List.iter writer.WriteNumberValue
            writer.WriteEndArray()
            writer.WriteStartArray "data_offsets"
            writer.WriteNumberValue offset
            offset <- offset + byteCount tensor
            writer.WriteNumberValue offset
            writer.WriteEndArray()
            writer.WriteEndObject()

        writer.WriteEndObject()
        writer.Flush()
        // Spaces fill the header so that the data begin at a multiple of 8.
        let length = (int buffer.Length + 7) / 8 * 8
        let bytes = Array.create length (byte ' ')
        buffer.ToArray().CopyTo(bytes, 0)
        bytes

    let private lengthPrefix (length: int) =
        let prefix = Array.zeroCreate 8
        BinaryPrimitives.WriteInt64LittleEndian(Span prefix, int64 length)
        prefix

    /// The stream behind a hash: what is written to it reaches both.
    type private HashingStream(target: Stream, hash: IncrementalHash) =
        inherit Stream()
        let mutable count = 0L
        member _.Count = count
        override _.CanRead = false
        override _.CanSeek = false
        override _.CanWrite = true
        override _.Length = count

        override _.Position
            with get () = count
            and set _ = raise (NotSupportedException())

        override _.Flush() = target.Flush()
        override _.Read(_: byte[], _: int, _: int) : int = raise (NotSupportedException())
        override _.Seek(_, _) = raise (NotSupportedException())
        override _.SetLength _ = raise (NotSupportedException())

        override stream.Write(buffer: byte[], offset: int, length: int) =
            stream.Write(ReadOnlySpan(buffer, offset, length))

        override _.Write(bytes: ReadOnlySpan<byte>) =
            hash.AppendData bytes
            target.Write bytes
            count <- count + int64 bytes.Length

    let private hexOf (hash: IncrementalHash) = Convert.ToHexStringLower(hash.GetHashAndReset())

    /// Where the checksum's 64 characters begin in a header.
    let private checksumAt (header: byte[]) (checksum: string) =
        header.AsSpan().IndexOf(ReadOnlySpan(Encoding.ASCII.GetBytes $"\"{ChecksumKey}\":\"{checksum}\""))
        |> fun start -> if start < 0 then None else Some(start + ChecksumKey.Length + 4)

    /// Writes tensors to a stream that can seek and returns the digest that stands in the file. Names must differ;
    /// "__metadata__" is no name for a tensor.
    let private writeHashed (stream: Stream) (metadata: Map<string, string>) (tensors: TensorSource list) : string =
        // Wide elements first keeps every tensor aligned.
        let tensors = tensors |> List.sortBy (fun tensor -> -tensor.Dtype.Size)
        let names = tensors |> List.map _.Name

        if List.length (List.distinct names) <> names.Length || List.contains "__metadata__" names then
            invalidArg (nameof tensors) "the names of the tensors of one file must differ, and none may be __metadata__"

        let start = stream.Position
        let header = header metadata tensors
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        use hashing = new HashingStream(stream, hash)
        hashing.Write(ReadOnlySpan(lengthPrefix header.Length))
        hashing.Write(ReadOnlySpan header)

        for tensor in tensors do
            let before = hashing.Count
            tensor.Write hashing

            if hashing.Count - before <> byteCount tensor then
                invalidOp $"tensor {tensor.Name} wrote {hashing.Count - before} bytes instead of {byteCount tensor}"

        let finish = stream.Position
        stream.Position <- start + 8L + int64 (checksumAt header zeroChecksum).Value
        let digest = hexOf hash
        stream.Write(ReadOnlySpan(Encoding.ASCII.GetBytes digest))
        stream.Position <- finish
        digest

    /// Writes tensors to a stream that can seek. Names must differ; "__metadata__" is no name for a tensor.
    let writeTo (stream: Stream) (metadata: Map<string, string>) (tensors: TensorSource list) =
        writeHashed stream metadata tensors |> ignore

    /// Writes a safetensors file atomically and returns the digest that stands in it.
    let writeDigest (path: string) metadata tensors : string =
        let mutable digest = ""
        Files.writeAtomic path (fun stream -> digest <- writeHashed stream metadata tensors)
        digest

    /// Writes a safetensors file atomically.
    let write (path: string) metadata tensors = writeDigest path metadata tensors |> ignore

    /// The digest that stands in a file read by `read`.
    let digest (file: TensorFile) = Map.find ChecksumKey file.Metadata

    let private damaged (path: string) (what: string) =
        Errors.fail (Damaged $"{path} {what}: use an older file or write it anew")

    let private parseHeader path (bytes: byte[]) (dataLength: int64) =
        let damaged what = damaged path what

        let document =
            try
                JsonDocument.Parse(ReadOnlyMemory bytes)
            with :? JsonException ->
                damaged "is damaged (its header is not JSON)"

        let metadata = Dictionary<string, string>()
        let entries = List<string * Dtype * int64 list * int64 * int64>()

        try
            for field in document.RootElement.EnumerateObject() do
                if field.Name = "__metadata__" then
                    for pair in field.Value.EnumerateObject() do
                        metadata[pair.Name] <- pair.Value.GetString() |> Option.ofObj |> Option.defaultValue ""
                else
                    let dtypeName =
                        field.Value.GetProperty("dtype").GetString() |> Option.ofObj |> Option.defaultValue "none"

                    let dtype =
                        match Dtype.All |> List.tryFind (fun dtype -> dtype.Name = dtypeName) with
                        | Some dtype -> dtype
                        | None -> damaged $"holds tensor '{field.Name}' of unknown type {dtypeName}"

                    let shape = [ for size in field.Value.GetProperty("shape").EnumerateArray() -> size.GetInt64() ]
                    let offsets = field.Value.GetProperty "data_offsets"
                    let first, last = offsets[0].GetInt64(), offsets[1].GetInt64()

                    if List.exists (fun size -> size < 0L) shape || last - first <> elements shape * dtype.Size then
                        damaged $"is damaged (the size of tensor '{field.Name}' does not fit its shape)"

                    entries.Add(field.Name, dtype, shape, first, last)
        with
        | :? KeyNotFoundException
        | :? InvalidOperationException
        | :? FormatException
        | :? OverflowException
        | :? IndexOutOfRangeException -> damaged "is damaged (its header is not that of a safetensors file)"

        let ordered = entries |> Seq.sortBy (fun (_, _, _, first, last) -> first, last) |> List.ofSeq

        let covered =
            (0L, ordered)
            ||> List.fold (fun expected (_, _, _, first, last) -> if first = expected then last else -1L)

        if covered <> dataLength then
            damaged $"is truncated or damaged (its tensors take {covered} bytes, it holds {dataLength})"

        Map [ for pair in metadata -> pair.Key, pair.Value ], ordered

    let private readExactly (stream: Stream) (hash: IncrementalHash) (length: int64) =
        let bytes = Array.zeroCreate<byte>(int length)
        stream.ReadExactly(Span bytes)
        hash.AppendData bytes
        bytes

    /// The header with its checksum zeroed, as it was when the digest was taken.
    let private blanked (header: byte[]) (checksum: string) =
        match checksumAt header checksum with
        | Some start ->
            let copy = Array.copy header
            Array.fill copy start 64 (byte '0')
            Some copy
        | None -> None

    let private readHeader path (stream: Stream) (hash: IncrementalHash) =
        let total = stream.Length

        if total < 8L then
            damaged path $"is truncated ({total} bytes)"

        let prefix = readExactly stream hash 8L
        let length = BinaryPrimitives.ReadInt64LittleEndian(ReadOnlySpan prefix)

        if length < 2L || length > MaximalHeader || length > total - 8L then
            damaged path "is not a safetensors file or is truncated (its header does not fit)"

        let header = Array.zeroCreate<byte>(int length)
        stream.ReadExactly(Span header)
        let metadata, entries = parseHeader path header (total - 8L - length)
        struct (header, metadata, entries)

    let private readStream path (stream: Stream) (foreign: bool) =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        let struct (header, metadata, entries) = readHeader path stream hash
        let checksum = Map.tryFind ChecksumKey metadata

        match checksum with
        | None when not foreign ->
            damaged path "carries no checksum (it was not written by this program, or is damaged)"
        | None -> hash.AppendData header
        | Some value ->
            match (if value.Length = 64 then blanked header value else None) with
            | Some original -> hash.AppendData original
            | None -> damaged path "is damaged (its checksum is not one)"

        let tensors =
            [ for name, dtype, shape, first, last in entries ->
                  name, { Name = name; Dtype = dtype; Shape = shape; Data = readExactly stream hash (last - first) } ]

        if checksum.IsSome && checksum.Value <> hexOf hash then
            damaged path "is damaged (its checksum does not match)"

        { Metadata = metadata; Tensors = Map tensors }

    let private reading (path: string) (read: Stream -> 'a) : 'a =
        Files.guarded "read" path (fun () ->
            use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 <<< 16)
            read stream)

    let private readFile foreign (path: string) = reading path (fun stream -> readStream path stream foreign)

    /// What a file says about itself, without its tensors and unverified.
    let metadata (path: string) : Map<string, string> =
        reading path (fun stream ->
            use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
            let struct (_, metadata, _) = readHeader path stream hash
            metadata)

    /// Reads a file written by `write` and verifies its checksum. Fails with Damaged or Storage.
    let read path = readFile false path

    /// Reads a safetensors file of any origin; a checksum of ours is verified if there is one.
    let readForeign path = readFile true path
