namespace Sdac

open Sdac.Kernels

/// A splittable key of the counter-based generator Philox4x32-10 (Salmon et al., SC 2011). The same key always gives the
/// same numbers, on any number of threads. A key is consumed by splitting: use each one once.
[<Struct>]
type Key = { Philox: PhiloxKey }

[<RequireQualifiedAccess>]
module Key =
    // Children by `split` and by `foldIn` come from disjoint halves of the derivation counter.
    let private foldDomain = 1UL <<< 62

    let private child (index: uint64) (key: Key) = { Philox = Philox.Derive(key.Philox, index) }

    /// The root key of a seed.
    let ofSeed (seed: int64) =
        let bits = uint64 seed
        { Philox = PhiloxKey(uint32 bits, uint32 (bits >>> 32), 0u, 0u) }

    /// `n` independent keys.
    let splitMany (n: int) (key: Key) = Array.init n (fun i -> child (uint64 i) key)

    /// Two independent keys.
    let split (key: Key) = struct (child 0UL key, child 1UL key)

    /// The key for the `data`-th of something (iteration, environment, episode). `data` >= 0.
    let foldIn (data: int64) (key: Key) =
        if data < 0L then
            invalidArg (nameof data) $"Key.foldIn takes a number from 0, not {data}"

        child (foldDomain + uint64 data) key

    let private draw (compute: Compute) (shape: int list) (fill: Tensor -> unit) : Tensor =
        let t = Tensors.empty shape
        fill t
        Tensors.place compute t

    /// Standard normal numbers of the given shape.
    let normal (compute: Compute) (shape: int list) (key: Key) : Tensor =
        draw compute shape (fun t -> Philox.Normal(key.Philox, 0L, Tensors.span t))

    /// Numbers uniform on [0, 1) of the given shape.
    let uniform (compute: Compute) (shape: int list) (key: Key) : Tensor =
        draw compute shape (fun t -> Philox.Uniform(key.Philox, 0L, Tensors.span t))

    /// `n` integers uniform on 0 .. bound-1.
    let integers (bound: int) (n: int) (key: Key) : int[] =
        let values = Array.zeroCreate<int> n
        Philox.Integers(key.Philox, 0L, bound, System.Span<int> values)
        values
