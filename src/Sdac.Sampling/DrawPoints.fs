namespace Sdac.Sampling

open System
open Sdac.Functional

/// How the K draws of one state are spread. Every single draw has the same distribution either way, so the means that they
/// estimate are the same.
[<RequireQualifiedAccess>]
type DrawPoints =
    /// Independent draws, as in SDAC: the error of a mean falls as 1/√K.
    | Independent
    /// Points of an additive lattice under a random shift per state (Cranley & Patterson 1976): in few dimensions the error
    /// of a mean falls nearly as 1/K.
    | Lattice

[<RequireQualifiedAccess>]
module DrawPoints =
    /// The generator of the lattice: powers of 1/g, where g > 1 solves g^(D+1) = g + 1; for D = 1 that is the golden ratio.
    /// Its multiples modulo 1 fill the unit cube evenly, however many are taken.
    let private generator dim =
        let mutable g = 1.5

        for _ in 1..64 do
            g <- Math.Pow(1.0 + g, 1.0 / float (dim + 1))

        Array.init dim (fun j -> Math.Pow(g, -float(j + 1)))

    // The largest float32 below 1: rounding must not reach 1.
    let private belowOne = MathF.BitDecrement 1.0f

    let private lattice (compute: Compute) batch draws dim (key: Key) : Tensor =
        let shift = Key.uniform Compute.cpu [ batch; dim ] key |> Tensors.toArray
        let steps = generator dim
        let points = Array.zeroCreate<float32>(batch * draws * dim)

        for row in 0 .. batch - 1 do
            for k in 0 .. draws - 1 do
                for j in 0 .. dim - 1 do
                    let u = float shift[row * dim + j] + float k * steps[j]
                    points[(row * draws + k) * dim + j] <- min belowOne (float32 (u - floor u))

        Tensors.ofArray compute [ batch; draws; dim ] points

    /// K points uniform on [0, 1)^D for each of B states: [B, K, D].
    let uniform (compute: Compute) (kind: DrawPoints) (batch: int) (draws: int) (dim: int) (key: Key) : Tensor =
        match kind with
        | DrawPoints.Independent -> Key.uniform compute [ batch; draws; dim ] key
        | DrawPoints.Lattice -> lattice compute batch draws dim key

    /// K standard normal points for each of B states: [B, K, D].
    let normal (compute: Compute) (kind: DrawPoints) (batch: int) (draws: int) (dim: int) (key: Key) : Tensor =
        match kind with
        | DrawPoints.Independent -> Key.normal compute [ batch; draws; dim ] key
        | DrawPoints.Lattice ->
            let u = Tensors.toArray (lattice compute batch draws dim key)

            u
            |> Array.map (fun u -> float32 (NormalInterval.inversePhi (max (float u) 1e-9)))
            |> Tensors.ofArray compute [ batch; draws; dim ]
