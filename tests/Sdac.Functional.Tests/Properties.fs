/// How this project states properties: FsCheck with a fixed seed, always on the same inputs.
module Sdac.Tests.Properties

open FsCheck
open FsCheck.FSharp
open Sdac.Testing

/// A test of a property on so many values, always the same ones.
let testForAll name (count: int) gen (property: 'a -> unit) =
    testForAllWith (fixedSeed 20250701UL count) name gen property

let sizes (low: int) (high: int) : Gen<int> = Gen.choose (low, high)

let schedules: Gen<Sdac.BetaSchedule> =
    Gen.oneof
        [ between 0.01 1.0 |> Gen.map Sdac.Linear
          Gen.constant Sdac.Cosine
          Gen.map2 (fun low high -> Sdac.VariancePreserving(low, low + high)) (between 0.01 0.5) (between 1.0 20.0) ]
