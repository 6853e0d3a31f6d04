/// How this project states properties: FsCheck with a fixed seed, run from xunit facts.
module Sdac.Tests.Properties

open FsCheck
open FsCheck.FSharp

let private config (count: int) = Config.QuickThrowOnFailure.WithReplay(20250701UL, 7UL).WithMaxTest(count)

/// Checks `property` on `count` values of `gen`, always the same ones.
let forAll (count: int) (gen: Gen<'a>) (property: 'a -> unit) =
    Check.One(
        config count,
        Prop.forAll (Arb.fromGen gen) (fun a ->
            property a
            true)
    )

let between (low: float) (high: float) : Gen<float> =
    Gen.choose (0, 1_000_000) |> Gen.map (fun i -> low + (high - low) * float i / 1e6)

let sizes (low: int) (high: int) : Gen<int> = Gen.choose (low, high)

let schedules: Gen<Sdac.BetaSchedule> =
    Gen.oneof
        [ between 0.01 1.0 |> Gen.map Sdac.Linear
          Gen.constant Sdac.Cosine
          Gen.map2 (fun low high -> Sdac.VariancePreserving(low, low + high)) (between 0.01 0.5) (between 1.0 20.0) ]

/// `action` raises an ArgumentException (or one derived from it) whose message has all the words.
let failsWith (words: string list) (action: unit -> unit) =
    let error = Xunit.Assert.ThrowsAny<System.ArgumentException>(action)

    for word in words do
        Xunit.Assert.Contains(word, error.Message)
