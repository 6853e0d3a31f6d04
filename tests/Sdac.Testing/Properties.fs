namespace Sdac.Testing

open Expecto
open FsCheck
open FsCheck.FSharp

/// Properties over values that are the same in every run: a failing one prints the seed that leads to it.
[<AutoOpen>]
module Properties =
    /// So many values from a seed. The three numbers that a failing property prints under "Focus on error", in the place of
    /// `replay`, give the value that it fails with at once.
    let fixedSeed (seed: uint64) (count: int) : FsCheckConfig =
        { FsCheckConfig.defaultConfig with maxTest = count; replay = Some(seed, 7UL, None) }

    /// A test that a property holds for values of `gen`.
    let testForAllWith (config: FsCheckConfig) (name: string) (gen: Gen<'a>) (property: 'a -> unit) : Test =
        testPropertyWithConfig config name (Prop.forAll (Arb.fromGen gen) property)

    let between (low: float) (high: float) : Gen<float> =
        Gen.choose (0, 1_000_000) |> Gen.map (fun i -> low + (high - low) * float i / 1e6)

    /// A test of a property on so many values, always the same ones.
    let testForAll name (count: int) gen (property: 'a -> unit) =
        testForAllWith (fixedSeed 20250701UL count) name gen property

    let sizes (low: int) (high: int) : Gen<int> = Gen.choose (low, high)
