namespace Sdac.Sampling

open System.Numerics
open Sdac.Functional
open Sdac.Kernels

/// Functions of one point applied to every row of a tensor, on all threads: for densities that are cheaper as plain
/// arithmetic than as a chain of tensor operations.
[<RequireQualifiedAccess>]
module Rows =
    [<Literal>]
    let private Block = 1024

    let private blocks rows (body: int -> unit) =
        Workers.For(
            (rows + Block - 1) / Block,
            fun block ->
                for row in block * Block .. min rows ((block + 1) * Block) - 1 do
                    body row
        )

    /// One number per row. `f values start` reads its point at values[start ..]. x: [N, D] -> [N].
    let map (f: float32[] -> int -> float) (x: Tensor) : Tensor =
        let rows, dim = Tensors.size 0 x, Tensors.size 1 x
        let values, result = Tensors.toArray x, Array.zeroCreate<float32> rows
        blocks rows (fun row -> result[row] <- float32 (f values (row * dim)))
        Tensors.ofArray Compute.cpu [ rows ] result

    /// One number per row, as many rows at a time as a vector register holds. `make` gives the function its scratch memory for
    /// one block of rows; point[j] holds the rows' coordinates j. x: [N, D] -> [N].
    let mapLanes (make: unit -> Vector<float32>[] -> Vector<float32>) (x: Tensor) : Tensor =
        let rows, dim = Tensors.size 0 x, Tensors.size 1 x
        let values, result = Tensors.toArray x, Array.zeroCreate<float32> rows
        let lanes = Vector<float32>.Count

        let block number =
            let f = make ()
            let point = Array.zeroCreate<Vector<float32>> dim
            let lane = Array.zeroCreate<float32> lanes
            let last = min rows ((number + 1) * Block) - 1

            for start in number * Block .. lanes .. last do
                for j in 0 .. dim - 1 do
                    for i in 0 .. lanes - 1 do
                        lane[i] <- values[min last (start + i) * dim + j]

                    point[j] <- Vector<float32> lane

                (f point).CopyTo lane
                System.Array.Copy(lane, 0, result, start, min lanes (last - start + 1))

        Workers.For((rows + Block - 1) / Block, block)
        Tensors.ofArray Compute.cpu [ rows ] result

    /// One vector per row. `f values start result` reads at values[start ..] and writes at result[start ..].
    /// x: [N, D] -> [N, D].
    let mapVector (f: float32[] -> int -> float32[] -> unit) (x: Tensor) : Tensor =
        let rows, dim = Tensors.size 0 x, Tensors.size 1 x
        let values, result = Tensors.toArray x, Array.zeroCreate<float32>(rows * dim)
        blocks rows (fun row -> f values (row * dim) result)
        Tensors.ofArray Compute.cpu [ rows; dim ] result
