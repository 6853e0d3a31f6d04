/// How this project states properties: FsCheck with a fixed seed, always on the same inputs.
module Sdac.Tests.Properties

open FsCheck
open FsCheck.FSharp
open Sdac.Testing

let schedules: Gen<Sdac.Functional.BetaSchedule> =
    Gen.oneof
        [ between 0.01 1.0 |> Gen.map Sdac.Functional.BetaSchedule.Linear
          Gen.constant Sdac.Functional.BetaSchedule.Cosine
          Gen.map2
              (fun low high -> Sdac.Functional.BetaSchedule.VariancePreserving(low, low + high))
              (between 0.01 0.5)
              (between 1.0 20.0) ]
