namespace Sdac.Experiments

open System
open System.Runtime.InteropServices
open Google.Protobuf

/// The messages of ONNX (onnx.proto of its repository) of which this program writes a few fields. Numbers beside the names are the
/// fields' numbers there.
[<RequireQualifiedAccess>]
module internal OnnxMessages =
    // TensorProto.DataType
    let private float32Type, int64Type, float64Type = 1L, 7L, 11L

    // AttributeProto.AttributeType
    let private floatAttribute, intAttribute = 1L, 2L

    /// AttributeProto: name 1, f 2, type 20.
    let float (name: string) (value: float) : ByteString =
        Protobuf.message [ Protobuf.text 1 name; Protobuf.single 2 (float32 value); Protobuf.integer 20 floatAttribute ]

    /// AttributeProto: name 1, i 3, type 20.
    let int (name: string) (value: int64) : ByteString =
        Protobuf.message [ Protobuf.text 1 name; Protobuf.integer 3 value; Protobuf.integer 20 intAttribute ]

    /// NodeProto: input 1, output 2, op_type 4, attribute 5.
    let node (operation: string) (inputs: string list) (output: string) (attributes: ByteString list) : ByteString =
        Protobuf.message
            [ yield! inputs |> List.map (Protobuf.text 1)
              Protobuf.text 2 output
              Protobuf.text 4 operation
              yield! attributes |> List.map (Protobuf.bytes 5) ]

    /// TensorProto: dims 1, data_type 2, name 8, raw_data 9 (little-endian).
    let private tensor dtype (name: string) (shape: int list) (data: ByteString) : ByteString =
        // a size of 0 would not be written as an integer field is
        let dim (size: int) = Protobuf.field 1 WireFormat.WireType.Varint _.WriteInt64(int64 size)

        Protobuf.message
            [ yield! shape |> List.map dim
              Protobuf.integer 2 dtype
              Protobuf.text 8 name
              Protobuf.bytes 9 data ]

    let private little (values: 'a[]) : ByteString = ByteString.CopyFrom(MemoryMarshal.AsBytes(ReadOnlySpan<'a> values))

    let float32s (name: string) (shape: int list) (values: float32[]) : ByteString =
        tensor float32Type name shape (little values)

    let int64s (name: string) (shape: int list) (values: int64[]) : ByteString =
        tensor int64Type name shape (little values)

    let float64s (name: string) (shape: int list) (values: float[]) : ByteString =
        tensor float64Type name shape (little values)

    /// ValueInfoProto: name 1, type 2 (tensor_type 1: elem_type 1, shape 2 (dim 1: dim_value 1 or dim_param 2)), of float32. A size
    /// is a number or, where callers choose it, a name.
    let value (name: string) (shape: Choice<int, string> list) : ByteString =
        let dim size =
            match size with
            | Choice1Of2(n: int) -> Protobuf.integer 1 (int64 n)
            | Choice2Of2 name -> Protobuf.text 2 name

        let shape = Protobuf.message [ for size in shape -> Protobuf.bytes 1 (Protobuf.message [ dim size ]) ]

        let tensorType = Protobuf.message [ Protobuf.integer 1 float32Type; Protobuf.bytes 2 shape ]
        Protobuf.message [ Protobuf.text 1 name; Protobuf.bytes 2 (Protobuf.message [ Protobuf.bytes 1 tensorType ]) ]

    /// GraphProto: node 1, name 2, initializer 5, input 11, output 12.
    let graph
        (name: string)
        (nodes: ByteString seq)
        (constants: ByteString seq)
        (inputs: ByteString seq)
        (outputs: ByteString seq)
        : ByteString =
        let all number items = [ for item in items -> Protobuf.bytes number item ]

        Protobuf.message (all 1 nodes @ [ Protobuf.text 2 name ] @ all 5 constants @ all 11 inputs @ all 12 outputs)

    /// ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8 (version 2), metadata_props 14 (key 1, value 2). The graph
    /// is of operator set 17, which is read by ONNX Runtime from 1.12 on.
    let model (metadata: (string * string) list) (graph: ByteString) : ByteString =
        Protobuf.message
            [ Protobuf.integer 1 8L
              Protobuf.text 2 "Sdac.Functional"
              Protobuf.bytes 7 graph
              Protobuf.bytes 8 (Protobuf.message [ Protobuf.integer 2 17L ])
              for key, value in metadata do
                  Protobuf.bytes 14 (Protobuf.message [ Protobuf.text 1 key; Protobuf.text 2 value ]) ]
