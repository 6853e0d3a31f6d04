namespace Sdac.Functional

open System.Collections.Concurrent
open Sdac.Kernels
open Sdac.LibTorch

/// What became of a key: numbers were drawn from it, or other keys derived.
[<Struct>]
type KeyUse =
    | Numbers of PhiloxKey
    | Keys of PhiloxKey

/// Watches what keys are used for. It changes nothing of the numbers: a test asks it whether any key was used twice.
[<RequireQualifiedAccess>]
module KeyTrace =
    let mutable private record: ConcurrentQueue<KeyUse> | null = null

    let internal note (kind: KeyUse) =
        match record with
        | null -> ()
        | record -> record.Enqueue kind

    /// Runs `f`, and gives the uses of keys meanwhile in their order, those of other threads included.
    let during (f: unit -> 'a) : struct ('a * KeyUse list) =
        let found = ConcurrentQueue()
        record <- found

        try
            let result = f ()
            struct (result, List.ofSeq found)
        finally
            record <- null

/// A splittable key of the counter-based generator Philox4x32-10 (Salmon et al., SC 2011). The same key always gives the
/// same numbers, on any number of threads. A key is consumed by splitting or by drawing numbers: use each one once.
[<Struct; StructuredFormatDisplay("{Display}")>]
type Key =
    internal
        { Words: PhiloxKey }

    /// One line for a session.
    member key.Display = $"Key %08x{key.Words.K0} %08x{key.Words.K1} %08x{key.Words.S0} %08x{key.Words.S1}"

    /// The key to draw numbers with.
    member key.Philox =
        KeyTrace.note (Numbers key.Words)
        key.Words

[<RequireQualifiedAccess>]
module Key =
    // Children by `split` and by `foldIn` come from disjoint halves of the derivation counter.
    let private foldDomain = 1UL <<< 62

    let private child (index: uint64) (key: Key) =
        KeyTrace.note (Keys key.Words)
        { Words = Philox.Derive(key.Words, index) }

    /// The root key of a seed.
    let ofSeed (seed: int64) =
        let bits = uint64 seed
        { Words = PhiloxKey(uint32 bits, uint32 (bits >>> 32), 0u, 0u) }

    /// The key that `splitMany` gives at this index.
    let at (index: int) (key: Key) = child (uint64 index) key

    /// `n` independent keys.
    let splitMany (n: int) (key: Key) = Array.init n (fun i -> at i key)

    /// Two independent keys.
    let split (key: Key) = struct (child 0UL key, child 1UL key)

    /// The key for the `data`-th of something (iteration, environment, episode). `data` >= 0.
    let foldIn (data: int64) (key: Key) =
        if data < 0L then
            invalidArg (nameof data) $"Key.foldIn takes a number from 0, not %d{data}"

        child (foldDomain + uint64 data) key

    // With the kernels on, stream by stream in memory of the CPU; else all streams by one pass of tensor operations on the
    // device, where the numbers stay.
    let private draw
        (compute: Compute)
        (fill: PhiloxKey -> Tensor -> unit)
        (onDevice: struct (PhiloxKey * int64)[] -> Tensor[])
        (streams: (int list * Key) list)
        : Tensor list =
        if compute.Kernels then
            [ for shape, key in streams do
                  let t = Tensors.empty shape
                  fill key.Philox t
                  t ]
        else
            [| for shape, key in streams -> struct (key.Philox, int64 (List.fold (*) 1 shape)) |]
            |> onDevice
            |> Seq.map2 (fun (shape, _) numbers -> Tensors.view shape numbers) streams
            |> List.ofSeq

    let private fillNormal (key: PhiloxKey) (t: Tensor) = Philox.Normal(key, 0L, Tensors.span t)
    let private fillUniform (key: PhiloxKey) (t: Tensor) = Philox.Uniform(key, 0L, Tensors.span t)

    /// Standard normal numbers of the given shapes, each from its own key: on a GPU, all in one pass.
    let normals (compute: Compute) (streams: (int list * Key) list) : Tensor list =
        draw compute fillNormal (fun streams -> TensorPhilox.Normals(compute.Device, streams)) streams

    /// Numbers uniform on [0, 1) of the given shapes, each from its own key.
    let uniforms (compute: Compute) (streams: (int list * Key) list) : Tensor list =
        draw compute fillUniform (fun streams -> TensorPhilox.Uniforms(compute.Device, streams)) streams

    /// Standard normal numbers of the given shape.
    let normal (compute: Compute) (shape: int list) (key: Key) : Tensor = normals compute [ shape, key ] |> List.head

    /// Numbers uniform on [0, 1) of the given shape.
    let uniform (compute: Compute) (shape: int list) (key: Key) : Tensor = uniforms compute [ shape, key ] |> List.head

    /// `n` integers uniform on 0 .. bound-1.
    let integers (bound: int) (n: int) (key: Key) : int[] =
        let values = Array.zeroCreate<int> n
        Philox.Integers(key.Philox, 0L, bound, System.Span<int> values)
        values

    /// `n` numbers uniform on [0, 1), in double precision.
    let uniformArray (n: int) (key: Key) : float[] =
        let values = Array.zeroCreate<float> n
        Philox.Uniform(key.Philox, 0L, System.Span<float> values)
        values

    /// `n` standard normal numbers, in double precision.
    let normalArray (n: int) (key: Key) : float[] =
        let values = Array.zeroCreate<float> n
        Philox.Normal(key.Philox, 0L, System.Span<float> values)
        values
