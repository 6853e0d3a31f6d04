/// Arrays of doubles with a shape, in plain .NET: what the tensors are compared with.
module Sdac.Torch.Tests.Reference

open System

type NdArray = { Shape: int64[]; Data: float[] }

let count (shape: int64[]) = Array.fold (*) 1L shape |> int

/// All multi-indices of a shape in row-major order.
let positions (shape: int64[]) =
    let rec go (rest: int64 list) =
        match rest with
        | [] -> [ [] ]
        | size :: inner ->
            let tails = go inner

            [ for i in 0L .. size - 1L do
                  for tail in tails -> i :: tail ]

    go (List.ofArray shape) |> List.map Array.ofList

let offset (shape: int64[]) (position: int64[]) = Array.fold2 (fun o size i -> o * size + i) 0L shape position |> int

let at (a: NdArray) position = a.Data[offset a.Shape position]

let init shape f = { Shape = shape; Data = positions shape |> List.map f |> Array.ofList }

let map f a = { a with Data = Array.map f a.Data }

/// The common shape of two broadcastable ones: aligned at the end, size 1 stretches.
let broadcastShape (a: int64[]) (b: int64[]) =
    let rank = max a.Length b.Length
    let padded (s: int64[]) = Array.append (Array.create (rank - s.Length) 1L) s
    Array.map2 max (padded a) (padded b)

let private atBroadcast a (position: int64[]) =
    position[position.Length - a.Shape.Length ..]
    |> Array.mapi (fun d i -> if a.Shape[d] = 1L then 0L else i)
    |> at a

let map2 f a b = init (broadcastShape a.Shape b.Shape) (fun p -> f (atBroadcast a p) (atBroadcast b p))

/// Folds dimension `dim` away with a function of its values.
let reduce (f: float[] -> float) dim a =
    let without = Array.removeAt dim a.Shape

    init without (fun p -> f (Array.init (int a.Shape[dim]) (fun i -> at a (Array.insertAt dim (int64 i) p))))

/// Replaces each line along `dim` by a line of the same length.
let alongDim (f: float[] -> float[]) dim a =
    init a.Shape (fun p ->
        let line = Array.init (int a.Shape[dim]) (fun i -> at a (Array.updateAt dim (int64 i) p))
        (f line)[int p[dim]])

let matmul a b =
    init [| a.Shape[0]; b.Shape[1] |] (fun p ->
        Seq.sum (seq { for k in 0L .. a.Shape[1] - 1L -> at a [| p[0]; k |] * at b [| k; p[1] |] }))

let logSumExp (xs: float[]) =
    let top = Array.max xs
    top + Math.Log(Array.sumBy (fun x -> Math.Exp(x - top)) xs)

let softmax (xs: float[]) =
    let total = logSumExp xs
    Array.map (fun x -> Math.Exp(x - total)) xs

let variance unbiased (xs: float[]) =
    let mean = Array.average xs
    Array.sumBy (fun x -> (x - mean) ** 2.0) xs / (float xs.Length - (if unbiased then 1.0 else 0.0))
