/// What samplers, peers and targets refuse: each value is named, with what it must be.
module Sdac.Tests.RefusalTests

open System
open Expecto
open Sdac.Functional
open Sdac.Sampling
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Testing

let private cpu = Compute.cpu

[<Tests>]
let tests =
    testList
        "refusals of the samplers"
        [ testCase "Langevin refuses temperatures, step sizes and counts that make no sampler" (fun () ->
              let refused words config =
                  failsWith words (fun () -> Langevin.sample config Targets.pair 10 (Key.ofSeed 1L) |> ignore)

              Expect.isEmpty (Langevin.problems Langevin.naive) "naive"
              Expect.isEmpty (Langevin.problems Langevin.annealed) "annealed"
              refused [ "the last Temperature is 0" ] { Langevin.naive with Temperature = 1.0, 0.0 }

              refused
                  [ "the first Temperature is -1"; "the last Temperature is -1" ]
                  { Langevin.naive with Temperature = -1.0, -1.0 }

              refused [ "the first StepSize is NaN" ] { Langevin.naive with StepSize = nan, 1e-4 }
              refused [ "the last StepSize is -1" ] { Langevin.naive with StepSize = 1e-3, -1.0 }
              refused [ "steps is 0" ] { Langevin.naive with Steps = 0 }
              refused [ "cooling is 0" ] { Langevin.naive with Cooling = 0.0 }

              failsWith [ "0 samples" ] (fun () ->
                  Langevin.sample Langevin.naive Targets.pair 0 (Key.ofSeed 1L) |> ignore))

          testCase "a target whose density ignores its argument is refused by name" (fun () ->
              let flat = Target.create "flat" 2 1.0 (fun x -> torch.zeros (x.size 0))
              use x = Tensors.zeros cpu [ 3; 2 ]
              failsWith [ "target 'flat'"; "does not depend" ] (fun () -> flat.Gradient x |> ignore))

          testCase "the samplers' networks need no hidden layer" (fun () ->
              let rssm = RssmTrainer.create cpu { SamplerConfig.standard with Hidden = [] } Targets.pair
              Expect.equal rssm.Noise.Shape.Main.LayerCount 1 "layers")

          testCase "a density of the user's with a wrong shape is refused where only its gradient is used" (fun () ->
              use _ = torch.NewDisposeScope()
              // [N, D] instead of [N]: its sum has a gradient too, of another density
              let wrong = Target.create "wrong" 2 3.0 (fun x -> x.square().neg())
              failsWith [ "energy of target 'wrong'" ] (fun () -> wrong.Gradient(Tensors.zeros cpu [ 5; 2 ]) |> ignore)

              failsWith [ "energy of target 'wrong'" ] (fun () ->
                  Langevin.sample Langevin.naive wrong 10 (Key.ofSeed 1L) |> ignore))

          testCase "a target without an exact sampler says so" (fun () ->
              let own = Target.create "own" 2 3.0 (fun x -> x.square().sum(1L).neg())
              failsWith [ "'own'"; "no exact sampler" ] (fun () -> Target.sample 3 (Key.ofSeed 1L) own |> ignore))

          testCase "a mixture refuses weights and deviations that are no positive numbers" (fun () ->
              let mixture weight deviation =
                  Mixture.target
                      "m"
                      3.0
                      [ { Weight = weight; Mean = [| 0.0; 0.0 |]; Deviation = [| 1.0; deviation |] } ]
                  |> ignore

              for weight, deviation in [ infinity, 1.0; nan, 1.0; 0.0, 1.0; 1.0, infinity; 1.0, -1.0 ] do
                  failsWith [ "component 0 of mixture 'm'"; "positive numbers" ] (fun () -> mixture weight deviation))

          testCase "averaging beyond the new parameters is refused by every trainer" (fun () ->
              for rate in [ 1.5; 0.0; nan ] do
                  for problems in
                      [ SamplerConfig.problems { SamplerConfig.standard with Averaging = rate }
                        IdemConfig.problems { IdemConfig.standard with Averaging = rate }
                        FabConfig.problems { FabConfig.standard with Averaging = rate } ] do
                      Expect.stringContains
                          (Expect.single problems "problems")
                          $"averaging is {string rate}"
                          "problems")

          testCase "options that would silently do nothing are refused" (fun () ->
              let raw = { SamplerConfig.standard with Jackknife = true; Weights = RssmWeights.Raw }

              Expect.stringContains
                  (Expect.single (SamplerConfig.problems raw) "problems")
                  "jackknife is on with raw weights"
                  "problems"

              for knee in [ 0.0; -1.0; nan ] do
                  let problems = IdemConfig.problems { IdemConfig.standard with Knee = knee }
                  Expect.stringContains (Expect.single problems "problems") $"knee is {string knee}" "problems"

              // iDEM's own weight
              Expect.isEmpty (IdemConfig.problems { IdemConfig.standard with Knee = infinity }) "problems")

          testCase "no samples at all are refused by both samplers" (fun () ->
              let model = RssmTrainer.create cpu { SamplerConfig.standard with Hidden = [ 4 ] } Targets.pair
              use _ = torch.NewDisposeScope()
              let policy = NoiseNetwork.initSharper cpu model.Noise 1.0 (Key.ofSeed 2L)

              for draw in [ RssmTrainer.sampleBox; RssmTrainer.flowBox ] do
                  failsWith [ "0 samples" ] (fun () -> draw model policy 0 (Key.ofSeed 3L) |> ignore)) ]
