namespace Sdac.Experiments

open System.Collections.Generic
open Google.Protobuf

/// An ONNX graph in the making. Values are known by their names.
type internal OnnxGraph() =
    let nodes, inputs, outputs = List<ByteString>(), List<ByteString>(), List<ByteString>()
    let constants = Dictionary<string, ByteString>()
    let order = List<string>()

    let add (name: string) (make: unit -> ByteString) : string =
        if not (constants.ContainsKey name) then
            constants[name] <- make ()
            order.Add name

        name

    /// The output of an operation.
    member _.Apply(operation: string, arguments: string list, attributes: ByteString list) : string =
        let name = $"{operation.ToLowerInvariant()}{nodes.Count}"
        nodes.Add(OnnxMessages.node operation arguments name attributes)
        name

    /// The output of an operation without attributes.
    member graph.Apply(operation: string, arguments: string list) : string = graph.Apply(operation, arguments, [])

    /// Numbers under a name; one that is there already is not made again.
    member _.Float32s(name: string, shape: int list, values: unit -> float32[]) : string =
        add name (fun () -> OnnxMessages.float32s name shape (values ()))

    member _.Float64s(name: string, values: float[]) : string =
        add name (fun () -> OnnxMessages.float64s name [ values.Length ] values)

    /// One number.
    member graph.Number(value: float) : string =
        let single = float32 value
        graph.Float32s($"{single:R}", [], (fun () -> [| single |]))

    /// A vector of whole numbers, for axes and places.
    member _.Places(values: int list) : string =
        let name = "places_" + String.concat "_" (List.map string values)
        add name (fun () -> OnnxMessages.int64s name [ values.Length ] (values |> List.map int64 |> List.toArray))

    /// One place, without an axis.
    member _.Place(value: int) : string =
        let name = $"place_{value}"
        add name (fun () -> OnnxMessages.int64s name [] [| int64 value |])

    /// An input of the graph: its name.
    member _.Input(name: string, shape: Choice<int, string> list) : string =
        inputs.Add(OnnxMessages.value name shape)
        name

    /// Gives a value of the graph to its caller, under a name.
    member _.Output(name: string, value: string, shape: Choice<int, string> list) =
        nodes.Add(OnnxMessages.node "Identity" [ value ] name [])
        outputs.Add(OnnxMessages.value name shape)

    /// The whole model.
    member _.Model(name: string, metadata: (string * string) list) : ByteString =
        OnnxMessages.graph name nodes [ for name in order -> constants[name] ] inputs outputs
        |> OnnxMessages.model metadata
