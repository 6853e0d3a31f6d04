/// How this project states properties: FsCheck with a fixed seed, always on the same inputs.
module Sdac.Tests.Properties

open FsCheck
open FsCheck.FSharp
open Sdac.Testing

let schedules: Gen<Sdac.BetaSchedule> =
    Gen.oneof
        [ between 0.01 1.0 |> Gen.map Sdac.BetaSchedule.Linear
          Gen.constant Sdac.BetaSchedule.Cosine
          Gen.map2
              (fun low high -> Sdac.BetaSchedule.VariancePreserving(low, low + high))
              (between 0.01 0.5)
              (between 1.0 20.0) ]
