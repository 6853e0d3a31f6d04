namespace Sdac.Experiments

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Encodings.Web
open System.Text.Json
open Sdac.Functional

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

    /// The most bytes of one tensor: what is read lies in one array. More is refused on the way to a file too, so that what
    /// was written can be read.
    let internal maximalTensor = int64 Array.MaxLength

    let private tooLarge (doing: string) (place: string) (name: string) (size: int64) =
        Errors.fail (
            Storage
                $"cannot {doing} {place}: its tensor '{SafetensorsHeader.short name}' takes {size} bytes, and {maximalTensor} (2 GiB) is the most; split it into several"
        )

    let private header (metadata: Map<string, string>) (tensors: struct (TensorSource * int64) list) =
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

        for struct (tensor, size) in tensors do
            writer.WriteStartObject tensor.Name
            writer.WriteString("dtype", tensor.Dtype.Name)
            writer.WriteStartArray "shape"
            tensor.Shape |> List.iter writer.WriteNumberValue
            writer.WriteEndArray()
            writer.WriteStartArray "data_offsets"
            writer.WriteNumberValue offset
            offset <- Checked.(+) offset size
            writer.WriteNumberValue offset
            writer.WriteEndArray()
            writer.WriteEndObject()

        writer.WriteEndObject()
        writer.Flush()
        // Spaces fill the header so that the data begin at a multiple of 8.
        let length = (int buffer.Length + 7) / 8 * 8

        if int64 length > MaximalHeader then
            invalidArg
                (nameof tensors)
                $"names, shapes and metadata take {length} bytes, and {MaximalHeader} is the most"

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

    /// How the headers written here begin; the checksum follows. Another program's "sha256", the digest of something else, is
    /// rarely just here.
    let private beforeChecksum = Encoding.ASCII.GetBytes $"{{\"__metadata__\":{{\"{ChecksumKey}\":\""

    /// Lone surrogates have no UTF-8: they would be replaced, and two names could become one.
    let private isText (text: string) =
        try
            UTF8Encoding(false, true).GetByteCount text |> ignore
            true
        with :? EncoderFallbackException ->
            false

    /// Each tensor with its bytes, in the order of the file. All that the format forbids is refused before anything is written.
    let private laidOut place (metadata: Map<string, string>) (tensors: TensorSource list) =
        // Wide elements first keeps every tensor aligned.
        let tensors = tensors |> List.sortBy (fun tensor -> -tensor.Dtype.Size)
        let names = tensors |> List.map _.Name

        if List.length (List.distinct names) <> names.Length || List.contains "__metadata__" names then
            invalidArg (nameof tensors) "the names of the tensors of one file must differ, and none may be __metadata__"

        let texts = Seq.append names (Seq.collect (fun (KeyValue(key, value)) -> [ key; value ]) metadata)

        if not (Seq.forall isText texts) then
            invalidArg
                (nameof tensors)
                "names and metadata must be Unicode texts: one of them holds half a surrogate pair"

        [ for tensor in tensors do
              match SafetensorsHeader.sizeOf tensor.Dtype tensor.Shape with
              | ValueSome size when size > maximalTensor -> tooLarge "write" place tensor.Name size
              | ValueSome size -> struct (tensor, size)
              | ValueNone ->
                  invalidArg (nameof tensors) $"the shape {tensor.Shape} of tensor {tensor.Name} is impossible" ]

    /// Writes tensors to a stream that can seek and returns the digest that stands in the file. Names must differ;
    /// "__metadata__" is no name for a tensor.
    let private writeHashed
        place
        (stream: Stream)
        (metadata: Map<string, string>)
        (tensors: TensorSource list)
        : string =
        let tensors = laidOut place metadata tensors
        let start = stream.Position
        let header = header metadata tensors
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        use hashing = new HashingStream(stream, hash)
        hashing.Write(ReadOnlySpan(lengthPrefix header.Length))
        hashing.Write(ReadOnlySpan header)

        for struct (tensor, size) in tensors do
            let before = hashing.Count
            tensor.Write hashing

            if hashing.Count - before <> size then
                invalidOp $"tensor {tensor.Name} wrote {hashing.Count - before} bytes instead of {size}"

        let finish = stream.Position
        stream.Position <- start + 8L + int64 beforeChecksum.Length
        let digest = hexOf hash
        stream.Write(ReadOnlySpan(Encoding.ASCII.GetBytes digest))
        stream.Position <- finish
        digest

    /// Writes tensors to a stream that can seek. Names must differ; "__metadata__" is no name for a tensor.
    let writeTo (stream: Stream) (metadata: Map<string, string>) (tensors: TensorSource list) =
        writeHashed "the stream" stream metadata tensors |> ignore

    /// Writes a safetensors file atomically and returns the digest that stands in it.
    let writeDigest (path: string) metadata tensors : string =
        let mutable digest = ""
        Files.writeAtomic path (fun stream -> digest <- writeHashed path stream metadata tensors)
        digest

    /// Writes a safetensors file atomically.
    let write (path: string) metadata tensors = writeDigest path metadata tensors |> ignore

    /// The digest that stands in a file read by `read`.
    let digest (file: TensorFile) = Map.find ChecksumKey file.Metadata

    let private readExactly (stream: Stream) (hash: IncrementalHash) (length: int64) =
        let bytes = Array.zeroCreate<byte>(int length)
        stream.ReadExactly(Span bytes)
        hash.AppendData bytes
        bytes

    /// The header with its checksum zeroed, as it was when the digest was taken; None where it holds no checksum of ours.
    let private blanked (header: byte[]) =
        let digits = header.AsSpan().Slice(min header.Length beforeChecksum.Length)

        if
            header.AsSpan().StartsWith(ReadOnlySpan beforeChecksum)
            && digits.Length > 64
            && digits[64] = byte '"'
            && not (digits.Slice(0, 64).ContainsAnyExcept(Buffers.SearchValues.Create("0123456789abcdef"B)))
        then
            let copy = Array.copy header
            Array.fill copy beforeChecksum.Length 64 (byte '0')
            Some copy
        else
            None

    let private readHeader path (stream: Stream) (hash: IncrementalHash) =
        let total = stream.Length

        if total < 8L then
            SafetensorsHeader.damaged path $"is truncated ({total} bytes)"

        let prefix = readExactly stream hash 8L
        let length = BinaryPrimitives.ReadInt64LittleEndian(ReadOnlySpan prefix)

        if length < 2L || length > MaximalHeader || length > total - 8L then
            SafetensorsHeader.damaged path "is not a safetensors file or is truncated (its header does not fit)"

        let header = Array.zeroCreate<byte>(int length)
        stream.ReadExactly(Span header)
        let metadata, entries = SafetensorsHeader.parse path header (total - 8L - length)
        struct (header, metadata, entries)

    let private readStream path (stream: Stream) (foreign: bool) =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        let struct (header, metadata, entries) = readHeader path stream hash

        for entry in entries do
            if entry.Last - entry.First > maximalTensor then
                tooLarge "read" path entry.Title (entry.Last - entry.First)

        let original = blanked header

        match original with
        | Some original -> hash.AppendData original
        | None when foreign -> hash.AppendData header
        | None ->
            SafetensorsHeader.damaged path "carries no checksum (it was not written by this program, or is damaged)"

        let tensors =
            [ for entry in entries ->
                  entry.Title,
                  { Name = entry.Title
                    Dtype = entry.Type
                    Shape = entry.Sizes
                    Data = readExactly stream hash (entry.Last - entry.First) } ]

        if original.IsSome && Map.find ChecksumKey metadata <> hexOf hash then
            SafetensorsHeader.damaged path "is damaged (its checksum does not match)"

        { Metadata = metadata; Tensors = Map tensors }

    let private reading (path: string) (read: Stream -> 'a) : 'a =
        Files.reading path (fun () ->
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
