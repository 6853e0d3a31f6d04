module Sdac.Tests.DensityPropertyTests

open Expecto
open Sdac.Functional
open Sdac.Sampling
open TorchSharp
open Sdac.Testing

let private checkedBy (target: Target) (states: NoisyStates) = DensityProperties.all target states (Key.ofSeed 3L)

let private failing (results: PropertyResult list) =
    results |> List.filter (fun result -> not result.Holds) |> List.map _.Name

let private unchecked (results: PropertyResult list) = results |> List.filter _.Worst.IsNone |> List.map _.Name

let private anywhere = OwnSamples(500, 0.5)

/// exp(-|x - c|²/2σ²)
let private hill dim centre deviation =
    Target.create "hill" dim 1.0 (fun x -> num (-0.5 / (deviation * deviation)) * (x - num centre).square().sum(1L))

[<Tests>]
let tests =
    testList
        "properties of a density"
        [ testCase "all hold for this library's targets" (fun () ->
              for target in [ Targets.pair; Targets.rings; hill 1 0.2 0.15 ] do
                  let results = checkedBy target anywhere
                  Expect.equal (failing results) [] target.Name
                  Expect.equal (unchecked results) [] $"{target.Name}: all were checked")

          testCase "they hold whatever p̃_t with full support" (fun () ->
              for states in [ CauchyStates 0.5; GaussianStates 1.0; NoisedUniform 1.0 ] do
                  Expect.equal (failing (checkedBy (hill 1 0.1 0.3) states)) [] (string states))

          testCase "a gradient of another density is noticed by itself and by the score" (fun () ->
              let target = hill 2 0.0 0.3
              let wrong = { target with Gradient = (hill 2 0.1 0.3).Gradient }
              Expect.equal (failing (checkedBy wrong anywhere)) [ "gradient"; "score identity" ] "properties")

          testCase "a jump has no slope: the score by slopes misses it" (fun () ->
              let disc =
                  Target.create "disc" 2 1.0 (fun x ->
                      let outside = x.square().sum(1L).gt(num 0.25).``to`` torch.float32
                      num -6.0 * outside - num 0.5 * x.square().sum(1L))

              Expect.contains (failing (checkedBy disc anywhere)) "score identity" "properties")

          testCase "a p̃_t that is too narrow is noticed, and nothing else" (fun () ->
              Expect.equal (failing (checkedBy (hill 2 0.3 0.2) (UniformStates 0.2))) [ "reach" ] "properties")

          testCase "a density that is no number somewhere gets no further, and the point is named" (fun () ->
              let target = Target.create "logarithm" 2 1.0 (fun x -> (x.select (1L, 0L) + num 0.5).log())

              match checkedBy target anywhere with
              | [ only ] ->
                  Expect.equal only.Name "finite" "property"
                  Expect.isFalse only.Holds "holds"
                  Expect.stringContains only.Place "ln p is NaN at (-" "point"
              | results -> failtest $"{results.Length} properties were checked")

          testCase "in many dimensions what needs a grid is left out, and said so" (fun () ->
              let results = checkedBy (hill 6 0.1 0.4) anywhere
              Expect.equal (failing results) [] "properties"
              Expect.equal (unchecked results) [ "minimiser"; "marginal"; "reach" ] "left out"

              for result in results |> List.filter _.Worst.IsNone do
                  Expect.stringContains result.Place "two dimensions" result.Name)

          testCase "an impossible p̃_t is refused" (fun () ->
              let error =
                  Expect.raises<Sdac.Environments.RefusedArgumentException>(fun () ->
                      checkedBy (hill 2 0.0 0.3) (CauchyStates 0.0) |> ignore)

              Expect.stringContains error.Message "must be a positive number" "sentence") ]
