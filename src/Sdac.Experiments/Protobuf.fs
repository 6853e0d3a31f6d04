namespace Sdac.Experiments

open System.IO
open Google.Protobuf

/// Messages of Protocol Buffers, field by field, for formats of which this program writes a few messages.
[<RequireQualifiedAccess>]
module internal Protobuf =
    /// A message from the pieces that write its fields.
    let message (fields: (CodedOutputStream -> unit) list) : ByteString =
        use buffer = new MemoryStream()
        use output = new CodedOutputStream(buffer)
        fields |> List.iter (fun write -> write output)
        output.Flush()
        ByteString.CopyFrom(buffer.ToArray())

    let field (number: int) (wire: WireFormat.WireType) (write: CodedOutputStream -> unit) =
        fun (output: CodedOutputStream) ->
            output.WriteTag(number, wire)
            write output

    let bytes number (value: ByteString) = field number WireFormat.WireType.LengthDelimited _.WriteBytes(value)
    let text number (value: string) = field number WireFormat.WireType.LengthDelimited _.WriteString(value)
    let single number (value: float32) = field number WireFormat.WireType.Fixed32 _.WriteFloat(value)

    /// Zero is what an integer is that is not written.
    let integer number (value: int64) =
        if value = 0L then
            ignore
        else
            field number WireFormat.WireType.Varint _.WriteInt64(value)
