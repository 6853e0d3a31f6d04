module Sdac.Torch.Tests.IndexingTests

open System
open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

type private I = torch.TensorIndex

/// An index for one dimension: a number, or a slice given as (start, stop, step).
type private Place =
    | Number of int64
    | Slice of int64 * int64 * int64

let private placeFor (size: int64) =
    let within = Gen.choose (0, int size - 1) |> Gen.map int64

    Gen.oneof
        [ within |> Gen.map Number
          gen {
              let! start = Gen.choose (0, int size) |> Gen.map int64
              let! stop = Gen.choose (int start, int size + 2) |> Gen.map int64
              let! step = Gen.choose (1, 2) |> Gen.map int64
              return Slice(start, stop, step)
          } ]

let private index place : I =
    match place with
    | Number i -> I.Single(Nullable i)
    | Slice(start, stop, step) -> I.Slice(Nullable start, Nullable stop, Nullable step)

/// The positions along one dimension that a place names.
let private named (size: int64) place =
    match place with
    | Number i -> [ i ]
    | Slice(start, stop, step) -> [ for i in start..step .. min stop size - 1L -> i ]

let private indexed =
    gen {
        let! rank = Gen.choose (1, 3)
        let! shape = shapeOfRank rank
        let! a = valuesOf value shape
        let! places = shape |> Array.map placeFor |> Gen.sequenceToArray
        return a, places
    }

/// What the places pick out, with the shape that remains.
let private pick (a: NdArray) places =
    let perDim = Array.map2 named a.Shape places

    let kept =
        Array.zip perDim places
        |> Array.choose (fun (names, place) ->
            match place with
            | Number _ -> None
            | Slice _ -> Some names)

    init (kept |> Array.map (fun names -> int64 names.Length)) (fun p ->
        let mutable next = 0

        places
        |> Array.mapi (fun d place ->
            match place with
            | Number i -> i
            | Slice _ ->
                let i = perDim[d][int p[next]]
                next <- next + 1
                i)
        |> at a)

[<Fact>]
let ``numbers and slices pick what plain loops pick`` () =
    check (Arb.fromGen indexed) (fun (a, places) ->
        use _ = torch.NewDisposeScope()
        assertEqual 0.0 (pick a places) ((tensor a)[Array.map index places]))

[<Fact>]
let ``a new dimension may stand anywhere among the others`` () =
    let places =
        gen {
            let! a, places = indexed
            let! position = Gen.choose (0, places.Length)
            return a, places, position
        }

    check (Arb.fromGen places) (fun (a, places, position) ->
        use _ = torch.NewDisposeScope()
        let slicesBefore = places[.. position - 1] |> Array.filter _.IsSlice |> Array.length
        let picked = pick a places
        let expected = { picked with Shape = Array.insertAt slicesBefore 1L picked.Shape }
        assertEqual 0.0 expected ((tensor a)[places |> Array.map index |> Array.insertAt position I.None]))

[<Fact>]
let ``writing through an index changes exactly what it names`` () =
    check (Arb.fromGen indexed) (fun (a, places) ->
        use _ = torch.NewDisposeScope()
        let t = tensor a
        t[Array.map index places] <- torch.tensor 99.0
        let perDim = Array.map2 named a.Shape places

        let expected =
            init a.Shape (fun p ->
                if Array.forall2 (fun names i -> List.contains i names) perDim p then
                    99.0
                else
                    at a p)

        assertEqual 0.0 expected t)

[<Fact>]
let ``an ellipsis stands for the dimensions left, null for a new one`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.arange(24).reshape(2L, 3L, 4L)
    Assert.Equal<int64[]>([| 2L; 3L |], t[I.Ellipsis, I.Single(Nullable 1L)].shape)
    Assert.Equal<int64[]>([| 3L; 1L; 4L |], t[I.Single(Nullable 0L), I.Colon, I.Null].shape)
    Assert.Equal<int64[]>([| 1L; 2L; 3L; 4L |], t[I.None, I.Ellipsis].shape)
    let last = I.Single(Nullable -1L)
    Assert.Equal(23L, t[last, I.Ellipsis, last].max().item<int64>())
    Assert.Equal(17L, t[1L, 1L, 1L].item<int64>())
    Assert.Equal<int64[]>([| 2L; 3L; 2L |], t[I.Ellipsis, I.Slice(Range(Index 1, Index(1, true)))].shape)

[<Fact>]
let ``tensors of positions select, in company of slices`` () =
    check (Arb.fromGen (shapeOfRank 2 |> Gen.bind (valuesOf value))) (fun a ->
        use _ = torch.NewDisposeScope()
        let rows, columns = a.Shape[0], a.Shape[1]
        let chosen = [| rows - 1L; 0L; 0L |]
        let positions = torch.tensor chosen
        let expected = init [| 3L; columns |] (fun p -> at a [| chosen[int p[0]]; p[1] |])
        assertEqual 0.0 expected ((tensor a)[I.Tensor positions])
        assertEqual 0.0 expected ((tensor a)[I.Tensor positions, I.Colon])
        assertEqual 0.0 expected ((tensor a).index_select(0L, positions))
        let last = init [| columns; 1L |] (fun p -> at a [| rows - 1L; p[0] |])
        assertEqual 0.0 last ((tensor a).t()[I.Colon, I.Tensor(torch.tensor [| rows - 1L |])])
        let diagonal = init [| 2L |] (fun _ -> at a [| rows - 1L; 0L |])
        let first = torch.tensor [| 0L; 0L |]
        let lastRow = torch.tensor [| rows - 1L; rows - 1L |]
        assertEqual 0.0 diagonal ((tensor a)[lastRow, first]))

[<Fact>]
let ``masks select and fill where they hold`` () =
    check (Arb.fromGen arrays) (fun a ->
        use _ = torch.NewDisposeScope()
        let t = tensor a
        let mask = t.gt (scalar 0)
        let positive = a.Data |> Array.filter (fun x -> x > 0.0)
        Assert.Equal<float[]>(positive, t.masked_select(mask).data<float>().ToArray())
        assertEqual 0.0 (map (fun x -> if x > 0.0 then 7.0 else x) a) (t.masked_fill (mask, (scalar 7)))
        assertEqual 0.0 (map (max 0.0) a) (torch.where (mask, t, torch.zeros_like t))

        if a.Shape.Length > 0 then
            Assert.Equal<float[]>(positive, t[I.Tensor mask].data<float>().ToArray())
            t.index_put_ ((scalar 7), [| mask |]) |> ignore
            assertEqual 0.0 (map (fun x -> if x > 0.0 then 7.0 else x) a) t)

[<Fact>]
let ``a mask of two dimensions leaves the following ones to slices`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.arange(12).reshape(2L, 2L, 3L)
    let mask = torch.tensor ([| true; false; false; true |], ReadOnlySpan [| 2L; 2L |])
    let picked = t[I.Tensor mask, I.Slice(Nullable 1L)]
    Assert.Equal<int64[]>([| 1L; 2L; 10L; 11L |], picked.reshape(-1L).data<int64>().ToArray())

[<Fact>]
let ``gather reads what scatter wrote`` () =
    check (Arb.fromGen (shapeOfRank 2 |> Gen.bind (valuesOf value))) (fun a ->
        use _ = torch.NewDisposeScope()
        let rows, columns = a.Shape[0], a.Shape[1]
        let order = torch.randperm(columns).expand(rows, columns)
        let scattered = torch.zeros_like(tensor a).scatter(1L, order, tensor a)
        assertEqual 0.0 a (scattered.gather (1L, order))
        let onOne = torch.zeros(rows, 1L, torch.float64).scatter_add(1L, torch.zeros_like order, tensor a)
        assertEqual 1e-12 (reduce Array.sum 1 a) (onOne.squeeze (Nullable 1L))
        Assert.Equal<float[]>(a.Data, (tensor a).take(torch.arange a.Data.LongLength).data<float>().ToArray()))

[<Fact>]
let ``wrong indices are reported`` () =
    use t = torch.zeros (2L, 3L)
    Assert.Contains("too many", messageOf (fun () -> t[0L, 0L, 0L] |> ignore))
    Assert.Contains("out of range", messageOf (fun () -> t[5L] |> ignore))
