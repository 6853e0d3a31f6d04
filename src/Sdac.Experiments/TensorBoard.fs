namespace Sdac.Experiments

open System
open System.Buffers.Binary
open System.IO
open System.Numerics
open Google.Protobuf

/// The messages of TensorBoard's event files (event.proto, summary.proto and tensor.proto of its repository), of which this
/// program writes a few fields. Numbers beside the names are the fields' numbers there.
[<RequireQualifiedAccess>]
module internal EventMessages =
    // types.proto
    let private dtDouble, dtString = 2L, 7L

    /// TensorProto: dtype 1, tensor_shape 2 (dim 2: size 1), tensor_content 4, string_val 8.
    let private tensor (dtype: int64) (shape: int list) (content: CodedOutputStream -> unit) =
        let dims =
            [ for size in shape -> Protobuf.bytes 2 (Protobuf.message [ Protobuf.integer 1 (int64 size) ]) ]

        Protobuf.message [ Protobuf.integer 1 dtype; Protobuf.bytes 2 (Protobuf.message dims); content ]

    /// SummaryMetadata: plugin_data 1 (plugin_name 1), data_class 4 (2 is a tensor).
    let private metadata (plugin: string) =
        Protobuf.message [ Protobuf.bytes 1 (Protobuf.message [ Protobuf.text 1 plugin ]); Protobuf.integer 4 2L ]

    /// Summary.Value: tag 1, tensor 8, metadata 9.
    let private tensorValue (plugin: string) (tag: string) (value: ByteString) =
        Protobuf.message [ Protobuf.text 1 tag; Protobuf.bytes 8 value; Protobuf.bytes 9 (metadata plugin) ]

    /// Summary.Value: tag 1, simple_value 2.
    let scalar (tag: string) (value: float) =
        Protobuf.message [ Protobuf.text 1 tag; Protobuf.single 2 (float32 value) ]

    /// The histogram plugin's tensor: [k, 3] of left edge, right edge and count, float64.
    let histogram (tag: string) (h: Histogram) =
        let content = Array.zeroCreate<byte>(24 * h.Counts.Length)

        List.zip (List.pairwise h.Edges) h.Counts
        |> List.iteri (fun i ((left, right), count) ->
            for j, value in [ 0, left; 1, right; 2, float count ] do
                BinaryPrimitives.WriteDoubleLittleEndian(content.AsSpan(24 * i + 8 * j), value))

        tensor dtDouble [ h.Counts.Length; 3 ] (Protobuf.bytes 4 (ByteString.CopyFrom content))
        |> tensorValue "histograms" tag

    /// The text plugin's tensor: one string of Markdown.
    let markdown (tag: string) (value: string) =
        tensor dtString [] (Protobuf.bytes 8 (ByteString.CopyFromUtf8 value)) |> tensorValue "text" tag

    /// Event: step 2, file_version 3. Every file begins with it.
    let version = Protobuf.message [ Protobuf.text 3 "brain.Event:2" ]

    /// Event: step 2, summary 5 (value 1). Its wall_time (1) is left out: equal runs write equal files.
    let summary (step: int64) (values: ByteString list) =
        Protobuf.message
            [ Protobuf.integer 2 step
              Protobuf.bytes 5 (Protobuf.message (values |> List.map (Protobuf.bytes 1))) ]

/// TensorBoard's event file of a run: the lines of metrics.jsonl again, in the form that TensorBoard reads, and the
/// specification as text. It holds no wall-clock times, so that equal runs write equal files.
type EventWriter private (file: AppendedFile) =
    /// The masked CRC-32C of the TFRecord format.
    static let checksum (bytes: ReadOnlySpan<byte>) =
        let mutable crc = UInt32.MaxValue

        for value in bytes do
            crc <- BitOperations.Crc32C(crc, value)

        let crc = ~~~crc
        ((crc >>> 15) ||| (crc <<< 17)) + 0xa282ead8u

    /// A TFRecord: length, its checksum, data, their checksum.
    static let record (data: ByteString) : byte[] =
        let n = data.Length
        let bytes = Array.zeroCreate<byte>(n + 16)
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(0, 8), int64 n)
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8, 4), checksum (ReadOnlySpan(bytes, 0, 8)))
        data.Span.CopyTo(bytes.AsSpan(12, n))
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12 + n, 4), checksum (ReadOnlySpan(bytes, 12, n)))
        bytes

    let append (event: ByteString) = file.Append(ReadOnlyMemory(record event))

    /// Opens (or creates) an event file and continues it at byte `position`; a new one begins with the given texts, by tag.
    static member Continue(path: string, position: int64, texts: (string * string) list) =
        let writer = new EventWriter(AppendedFile.Continue(path, position))

        if position = 0L then
            writer.Begin texts

        writer

    member private _.Begin(texts: (string * string) list) =
        append EventMessages.version
        append (EventMessages.summary 0L [ for tag, text in texts -> EventMessages.markdown tag text ])

    /// Bytes written so far: where a resumed run goes on.
    member _.Position = file.Position

    /// Appends numbers and distributions by tag.
    member _.Write(step: int64, scalars: (string * float) list, histograms: (string * Histogram) list) =
        append (
            EventMessages.summary
                step
                ([ for tag, value in scalars -> EventMessages.scalar tag value ]
                 @ [ for tag, h in histograms -> EventMessages.histogram tag h ])
        )

    /// Hands what was written to the system; `toDisk` waits until it is on the disk.
    member _.Flush(toDisk: bool) = file.Flush toDisk

    interface IDisposable with
        member _.Dispose() = (file :> IDisposable).Dispose()
