module Sdac.Tests.OneStateTests

open System
open Expecto
open Sdac.Functional
open Sdac.Sampling
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Testing

let private at (values: float[]) = Tensors.ofArray Compute.cpu [ values.Length ] (Array.map float32 values)

/// Independent draws from a target by its cells, as good as the grid.
let private drawn (target: OneStateTarget) : float32[] =
    let edges = OneState.density target |> Array.scan (+) 0.0
    let u = Key.uniform Compute.cpu [ 20_000 ] (Key.ofSeed 3L) |> Tensors.toArray

    u
    |> Array.map (fun u ->
        let cell = Array.FindLastIndex(edges, (fun edge -> edge <= float u)) |> min (OneState.Cells - 1)
        float32 (-1.0 + 2.0 * (float cell + 0.5) / float OneState.Cells))

[<Tests>]
let tests =
    testList
        "policies for one state"
        [ testCase "the targets' slopes are their values' derivatives" (fun () ->
              use _ = torch.NewDisposeScope()

              for target in OneState.targets do
                  let places = [| for i in -9 .. 9 -> 0.1 * float i |]
                  let value step = target.Value(at (places |> Array.map (fun a -> a + step))) |> values
                  let slope = Array.map2 (fun high low -> (high - low) / 2e-3) (value 1e-3) (value -1e-3)
                  closeTo 2e-3 target.Name slope (target.Slope(at places) |> values))

          testCase "draws from a target are at no distance from it, others are" (fun () ->
              for target in OneState.targets do
                  let measures = OneState.measure target (drawn target)
                  Expect.isLessThan measures.Kl 0.004 target.Name
                  Expect.isGreaterThan (OneState.measure target (Array.create 100 0.2f)).Kl 1.0 "a single action"

              let share = OneState.measure OneState.pair (drawn OneState.pair)
              Expect.isLessThan share.ModeWeightError 0.01 "mode weights"
              let even = Array.init 1000 (fun i -> if i % 2 = 0 then -0.45f else 0.45f)
              closeTo 0.01 "half and half" [| 0.2 |] [| (OneState.measure OneState.pair even).ModeWeightError |])

          testCase "a fitted Q comes near the target's and gives its own slopes" (fun () ->
              use _ = torch.NewDisposeScope()
              let p = OneState.fit OneState.quadratic 2_000 0.3 (Key.ofSeed 5L)
              let fitted, exact = OneState.fitted p, OneState.exact OneState.quadratic
              let obs = Tensors.zeros Compute.cpu [ 1; 1 ]
              let places step = (at [| for i in -8 .. 8 -> 0.1 * float i + step |]).view(1L, -1L, 1L)
              let difference = (fitted.Values obs (places 0.0)).sub(exact.Values obs (places 0.0)).abs().max()
              Expect.isLessThan (Tensors.scalar difference) 0.4 "values"
              let value step = fitted.Values obs (places step) |> values
              let slope = Array.map2 (fun high low -> (high - low) / 2e-2) (value 1e-2) (value -1e-2)
              let struct (_, slopes) = fitted.WithSlopes obs (places 0.0)
              closeTo 0.05 "slopes" slope (values (slopes.view -1L))
              p.Flat.Dispose())

          testCase
              "the optimal noise is -√(1-ᾱ) times the score of the noised density: closed form on the quadratic"
              (fun () ->
                  // exp(Q) = N(c, 1/k) noised has variance ᾱ/k + 1 - ᾱ around √ᾱ·c
                  let k, c = 25.0, 0.2

                  for bar in [ 0.9; 0.5; 0.1 ] do
                      for x in EstimatorBias.points do
                          let struct (noise, _) = EstimatorBias.exact OneState.quadratic bar x
                          let wanted = sqrt (1.0 - bar) * (x - sqrt bar * c) / (bar / k + 1.0 - bar)
                          Expect.floatClose (within 1e-5) noise wanted $"ᾱ {bar}, a_t {x}")

          testCase
              "raw weights are unbiased with any number of draws, one too, and their variance falls as 1/K"
              (fun () ->
                  for target in OneState.targets do
                      let raw = snd EstimatorBias.estimators[0]
                      let errors = EstimatorBias.errors target 0.5 raw (Key.ofSeed 3L)
                      let one = List.head errors

                      for e in errors do
                          Expect.isLessThan e.Bias (2.0 * e.StandardError) $"{target.Name}, K {e.Draws}"
                          let ratio = one.Deviation ** 2.0 / (float e.Draws * e.Deviation ** 2.0)
                          Expect.floatClose (within 0.15) ratio 1.0 $"{target.Name}: variance of K {e.Draws}")

          testCase
              "softmax weights and gradients are biased as 1/K, without and beyond what the sample's error explains"
              (fun () ->
                  for target in OneState.targets do
                      let biases name =
                          let estimator = EstimatorBias.estimators |> List.find (fun (n, _) -> n = name) |> snd
                          EstimatorBias.errors target 0.5 estimator (Key.ofSeed 3L)

                      let at k (errors: EstimateErrors list) = (errors |> List.find (fun e -> e.Draws = k)).Bias
                      let softmax = biases "softmax weights"

                      for name, errors in [ "softmax", softmax; "gradient", biases "gradient of log mean exp Q" ] do
                          let one = List.head errors
                          Expect.isGreaterThan one.Bias (20.0 * one.StandardError) $"{target.Name}, {name}: one draw"
                          // 1/K would be 4; few draws of uneven weights do worse than that, and so fall faster
                          Expect.inRange
                              (at 16 errors / at 64 errors)
                              (3.6, 12.0)
                              $"{target.Name}, {name}: from 16 to 64"

                      let jackknife = biases "softmax weights, jackknife"
                      Expect.isLessThan (at 128 jackknife) (0.6 * at 128 softmax) $"{target.Name}: jackknife")

          testCase "with one draw softmax weights say nothing of Q: the estimate is the draw itself" (fun () ->
              let softmax = EstimatorBias.estimators[1] |> snd
              let one target = EstimatorBias.errors target 0.5 softmax (Key.ofSeed 3L) |> List.head
              Expect.floatClose (within 1e-2) (one OneState.pair).Deviation 1.0 "standard normal")

          testCase "the methods that aim at exp(Q) sample it: KL at most 0.02" (fun () ->
              for m in OneStateMethods.all |> List.filter _.SamplesTarget do
                  let samples = m.Run (OneState.exact OneState.quadratic) 1_500 20_000 (Key.ofSeed 7L)
                  let measures = OneState.measure OneState.quadratic samples
                  Expect.isLessThan measures.Kl 0.02 m.Name)

          testCase "the rows of an update are those that the kernels count" (fun () ->
              // a network of state and action, with or without a time, that gives an action
              let isPolicy (network: Sdac.Kernels.MlpShape) =
                  let widths = network.Widths.ToArray()
                  widths[0] >= 2 && Array.last widths = 1

              let counted (m: OneStateMethod) updates =
                  use tally = Sdac.Kernels.PassTally.Start()
                  m.Run (OneState.exact OneState.quadratic) updates 4 (Key.ofSeed 7L) |> ignore

                  let rows (kind: Sdac.Kernels.PassKind) =
                      tally.Counts
                      |> Seq.filter (fun count -> isPolicy count.Network && count.Kind = kind)
                      |> Seq.sumBy _.Rows

                  rows Sdac.Kernels.PassKind.Forward, rows Sdac.Kernels.PassKind.Recorded

              for m in OneStateMethods.all do
                  // other policies have the shape of a value; the last one clones in the first half of its updates
                  if not (List.contains m.Name [ "sac"; "td3"; "ppo"; "dppo"; "qipo renewed once" ]) then
                      let forward, gradient = counted m 6
                      let before, gradientBefore = counted m 4
                      let found = int (forward - before) / 2, int (gradient - gradientBefore) / 2
                      Expect.equal found m.PolicyRows m.Name)

          testCase "DACER's actions gather at the best one" (fun () ->
              let dacer = OneStateMethods.all |> List.find (fun m -> m.Name = "dacer")
              let actions = dacer.Run (OneState.exact OneState.quadratic) 400 2_000 (Key.ofSeed 7L)
              closeTo 0.03 "mean" [| 0.2 |] [| Array.averageBy float actions |]
              let apart = actions |> Array.averageBy (fun a -> (float a - 0.2) ** 2.0) |> sqrt
              Expect.isLessThan apart 0.08 "deviation")

          testCase "the methods that learn from rewards find the best action" (fun () ->
              for name in [ "ppo"; "dppo" ] do
                  let m = OneStateMethods.all |> List.find (fun m -> m.Name = name)
                  let samples = m.Run (OneState.exact OneState.quadratic) 2_000 4_000 (Key.ofSeed 7L)
                  Expect.isLessThan (abs (Array.averageBy float samples - 0.2)) 0.06 $"{name}: Q is largest at 0.2") ]
