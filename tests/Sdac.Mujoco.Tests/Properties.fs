/// FsCheck properties as plain values, always on the same inputs.
module Sdac.Mujoco.Tests.Properties

open FsCheck
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Testing

/// A test of a property on so many values, always the same ones.
let testForAll name (count: int) gen (property: 'a -> unit) =
    testForAllWith (fixedSeed 20251122UL count) name gen property

let task: Gen<string> = Gen.elements Tasks.Names

let key: Gen<PhiloxKey> =
    Gen.choose (0, System.Int32.MaxValue) |> Gen.map (fun seed -> PhiloxKey(uint32 seed, 1u, 2u, 3u))

/// Actions of all environments for some steps, uniform over the task's bounds and a little beyond.
let actions (spec: EnvSpec) (count: int) (steps: int) (key: PhiloxKey) : float[][] =
    let row = count * spec.ActionDim
    let uniform = Array.zeroCreate<float>(steps * row)
    Philox.Uniform(key, 0L, System.Span uniform)

    Array.init steps (fun step ->
        Array.init row (fun i ->
            let low, high = spec.ActionLow[i % spec.ActionDim], spec.ActionHigh[i % spec.ActionDim]
            low + (high - low) * (1.1 * uniform[step * row + i] - 0.05)))

/// Fails unless the numbers are equal bit for bit (NaN equals NaN).
let same (what: string) (expected: float[]) (actual: float[]) =
    if expected.Length <> actual.Length then
        failwith $"{what}: {actual.Length} numbers instead of {expected.Length}"

    Array.iteri2
        (fun i (x: float) (y: float) ->
            if not (x.Equals y) then
                failwith $"{what}, entry {i}: {y:R} instead of {x:R}")
        expected
        actual
