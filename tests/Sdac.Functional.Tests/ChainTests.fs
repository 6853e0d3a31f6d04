/// What the diffusion policies share beside SDAC's own fast path: reverse steps, Langevin and variance-exploding chains, time
/// embeddings, and the network that takes them.
module Sdac.Tests.ChainTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open Sdac.Kernels
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private cpu = Compute.cpu
let private tensor (values: float list) = Tensors.ofArray cpu [ values.Length ] [| for v in values -> float32 v |]
let private only (t: Tensor) = (values t)[0]

let private stepped kind schedule t x noise z =
    Diffusion.step schedule kind t (tensor [ x ]) (tensor [ noise ]) (Some(tensor [ z ])) |> only

let private near tolerance (want: float) (got: float) what =
    Expect.isTrue (abs (got - want) <= tolerance) $"{what}: got {got}, wanted {want}"

let private variance (values: float[]) =
    let mean = Array.average values
    values |> Array.averageBy (fun v -> (v - mean) * (v - mean))

let private kinds =
    Gen.oneof
        [ Gen.constant ReverseStep.Posterior
          Gen.constant ReverseStep.WideNoise
          between 0.0 2.0 |> Gen.map ReverseStep.ClippedState ]

let private embeddings =
    [ TimeEmbedding.Dacer
      TimeEmbedding.Dipo
      TimeEmbedding.Qsm
      TimeEmbedding.Dppo
      TimeEmbedding.FlowRl
      TimeEmbedding.Bare
      TimeEmbedding.Dqs ]

let private features embedding (x: float) =
    let n = TimeNetwork.create embedding
    TimeNetwork.features cpu n (Tensors.zeros cpu [ n.ParameterCount ]) [| x |] |> values

// ---- the network a second time, in float64

let internal doubleNetwork (n: ActionNetwork) (flat: Tensor) (obs: Tensor) (action: Tensor) (times: float[] list) =
    let mutable at = 0L

    let take count =
        let part = flat.narrow (0L, at, int64 count)
        at <- at + int64 count
        part

    let embedded =
        List.map2
            (fun (time: TimeNetwork) (x: float[]) ->
                let column = torch.tensor(x).unsqueeze 1L
                let turns (w: Tensor) = column.mul(w.unsqueeze 0L).mul(Scalars.ofFloat (2.0 * Math.PI))

                let features =
                    match time.Features with
                    | TimeFeatures.Trained count ->
                        let angles = turns (take count)
                        torch.cat ([| angles.cos (); angles.sin () |], 1L)
                    | TimeFeatures.Waves _ ->
                        Doubles.double (TimeNetwork.features cpu time (Tensors.zeros cpu [ time.ParameterCount ]) x)

                match time.Layers with
                | Some shape -> Doubles.forward shape (take shape.ParameterCount) features
                | None -> features)
            n.Times
            times

    let segment (x: Tensor) (s: Segment) =
        let y = Doubles.activate s.Before x |> Doubles.forward s.Shape (take s.Shape.ParameterCount)
        if s.Skip then x.add y else y

    List.fold segment (torch.cat ([| obs; action; yield! embedded |], 1L)) n.Segments

let private networks =
    gen {
        let! times =
            Gen.elements ([] :: [ TimeEmbedding.Dqs; TimeEmbedding.Qsm ] :: List.map List.singleton embeddings)

        let! activation = Gen.elements [ Activation.Mish; Activation.Gelu ]

        let! layers =
            Gen.elements
                [ ActionLayers.Plain { Widths = [ 13; 8 ]; Activation = activation; LayerNorm = None }
                  ActionLayers.Residual(11, 2, activation)
                  ActionLayers.PreActivated(10, 2, activation) ]

        let! seed = sizes 0 1_000_000
        let! point = between 0.0 20.0
        return ActionNetwork.create 3 2 times layers, Key.ofSeed (int64 seed), point
    }

let private rows = 7

let private drawn (n: ActionNetwork) (key: Key) (point: float) =
    let keys = Key.splitMany 4 key
    let p = ActionNetwork.initWith InitialWeights.TorchUniform cpu n keys[0]
    let obs = Key.normal cpu [ rows; 3 ] keys[1]
    let action = Key.normal cpu [ rows; 2 ] keys[2]
    let times = n.Times |> List.mapi (fun i _ -> Array.init rows (fun r -> point / float (1 + i + r)))
    struct (p, obs, action, times, Key.normal cpu [ rows; 2 ] keys[3])

[<Tests>]
let tests =
    testList
        "chains"
        [ testCase "one step of each kind has the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let cosine = Schedule.create BetaSchedule.Cosine 20
              near 1e-5 0.528842 (stepped ReverseStep.Posterior cosine 10 0.5 0.4 0.2) "posterior"
              let vp = Schedule.create (BetaSchedule.VariancePreserving(0.1, 10.0)) 5
              near 1e-5 -0.648729 (stepped (ReverseStep.ClippedState 1.0) vp 4 0.5 1.0 0.2) "clipped state"
              near 1e-5 -0.831489 (stepped (ReverseStep.ClippedState 0.0) vp 4 0.5 1.0 0.2) "its mean"
              let continuous = Schedule.create BetaSchedule.ContinuousCosine 20
              near 1e-5 0.529249 (stepped ReverseStep.WideNoise continuous 9 0.5 0.4 0.2) "wide noise")

          testCase "the continuous cosine's chain has the reference sheet's numbers, its end included" (fun () ->
              let s = Schedule.create BetaSchedule.ContinuousCosine 20
              near 1e-6 0.999959 s.AlphaBarsPrevious[0] "the chain's end"
              near 1e-6 0.991816 s.AlphaBars[0] "first"
              near 1e-6 0.971907 s.AlphaBars[1] "second"
              near 1e-6 0.574425 s.AlphaBars[8] "ninth"
              near 1e-6 0.497272 s.AlphaBars[9] "tenth"
              near 1e-6 0.026419 s.AlphaBars[17] "last but two"
              near 1e-8 0.00735034 s.AlphaBars[18] "last but one"
              near 1e-9 7.08212e-5 s.AlphaBars[19] "last"
              near 5e-4 0.995 s.PosteriorMeanCoef1[0] "the last step's share of the clean estimate"
              near 5e-4 0.005 s.PosteriorMeanCoef2[0] "and of what it came from")

          testCase "the other schedules have the reference sheet's numbers" (fun () ->
              let last schedule steps = Array.last (Schedule.create schedule steps).AlphaBars
              let vp = (Schedule.create (BetaSchedule.VariancePreserving(0.1, 10.0)) 5).AlphaBars
              closeTo 1e-4 "vp" [| 0.80413; 0.43518; 0.1585; 0.038852; 0.0064093 |] vp
              near 1e-6 0.0064093 (last (BetaSchedule.VariancePreserving(0.1, 10.0)) 20) "vp over 20"
              near 1e-9 6.0596e-6 (last BetaSchedule.Cosine 20) "cosine over 20"
              near 1e-9 2.4092e-5 (last BetaSchedule.Cosine 10) "cosine over 10"
              near 1e-9 2.43e-7 (last BetaSchedule.Cosine 100) "cosine over 100"
              near 1e-6 0.034637 (last (BetaSchedule.Linear 0.3) 20) "linear 0.3 over 20"
              near 1e-9 5.2e-8 (last (BetaSchedule.Linear 0.3) 100) "linear 0.3 over 100"
              near 1e-8 5.27e-6 (last (BetaSchedule.Linear 0.8) 20) "linear 0.8 over 20")

          testForAll
              "where the clean estimate is inside the box, a step's mean is the posterior's by Bayes' rule"
              200
              (Gen.zip kinds (Gen.zip (sizes 2 30) (Gen.zip (between -0.6 0.6) (between -1.0 1.0))))
              (fun (kind, (T, (clean, z))) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create BetaSchedule.Cosine T
                  let t = T / 2
                  let x = s.SqrtAlphaBars[t] * clean + s.SqrtOneMinusAlphaBars[t] * z
                  let before, beta = s.AlphaBarsPrevious[t], s.Betas[t]
                  // p(x_{t-1} | x_0) times p(x_t | x_{t-1}): precisions and the mean that they weigh
                  let prior, likelihood = 1.0 / (1.0 - before), (1.0 - beta) / beta
                  let weighed = prior * sqrt before * clean + likelihood * x / sqrt (1.0 - beta)
                  let mean = weighed / (prior + likelihood)

                  let expected =
                      match kind with
                      | ReverseStep.ClippedState _ -> max -1.0 (min 1.0 mean)
                      | _ -> mean

                  let got = Diffusion.step s kind t (tensor [ x ]) (tensor [ z ]) None |> only
                  near 2e-5 expected got $"{kind}, t {t} of {T}")

          testForAll
              "a step's noise has the deviation of its kind, and t = 0 has none"
              100
              (Gen.zip kinds (sizes 2 30))
              (fun (kind, T) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create BetaSchedule.Cosine T

                  for t in [ 0; T / 2 ] do
                      // so small that no clip is met
                      let at z = stepped kind s t 0.0 0.0 z
                      let deviation = (at 1e-3 - at -1e-3) / 2e-3

                      let wanted =
                          match kind with
                          | _ when t = 0 -> 0.0
                          | ReverseStep.Posterior -> sqrt s.PosteriorVariance[t]
                          | ReverseStep.WideNoise -> sqrt s.Betas[t]
                          | ReverseStep.ClippedState temperature -> temperature * sqrt s.Betas[t]

                      near 1e-5 wanted deviation $"{kind}, t {t} of {T}")

          testCase
              "a network that is M·(x - 0.3) drives the chain as the reference sheet says: M 50 to the corners"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create (BetaSchedule.VariancePreserving(0.1, 10.0)) 5

                  let path (scale: float) =
                      let seen = ResizeArray()

                      let predict _ (x: Tensor) =
                          seen.Add(only x)
                          x.sub(Scalars.ofFloat 0.3).mul(Scalars.ofFloat scale)

                      let last =
                          Diffusion.reverseBy (ReverseStep.ClippedState 1.0) s predict (fun _ -> None) (tensor [ 1.0 ])

                      [| yield! Seq.tail seen; only last |]

                  closeTo 1e-5 "M 1" [| 1.0; 0.931152; 0.818080; 0.682108; 0.572073 |] (path 1.0)
                  closeTo 1e-5 "M 50" [| -1.0; 1.0; -1.0; 1.0; -1.0 |] (path 50.0))

          testCase "Langevin dynamics have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()

              let run steps (start: float) (noise: float) =
                  let seen = ResizeArray()

                  let score (x: Tensor) =
                      seen.Add(only x)
                      x.sub(Scalars.ofFloat 0.3).neg()

                  let last = Diffusion.langevin steps score (fun _ -> tensor [ noise ]) (tensor [ start ])
                  [| yield! Seq.tail seen; only last |]

              near 1e-6 0.301068 (Array.last (run 20 1.0 0.0)) "20 steps without noise"
              let noisy = run 20 0.0 0.1
              closeTo 1e-5 "with noise" [| 0.25; 0.371218; 0.434038 |] noisy[..2]

              // x' = (1 - δk/2)·x + √δ·ξ: at rest the variance is δ/(1 - (1 - δk/2)²) = 1/(k·(1 - kδ/4))
              let k, width = 20.0, 0.1
              let kept = Diffusion.langevinStep width (tensor [ -k ]) (tensor [ 0.0 ]) (tensor [ 1.0 ]) |> only
              let added = Diffusion.langevinStep width (tensor [ 0.0 ]) (tensor [ 1.0 ]) (tensor [ 0.0 ]) |> only
              near 1e-5 0.1 (added * added / (1.0 - kept * kept)) "the variance at rest")

          testCase
              "the variance-exploding process has the reference sheet's variances, and g² is their slope"
              (fun () ->
                  let p: VarianceExploding = { SigmaMin = 1e-5; SigmaMax = 1.0 }

                  for u, h in [ 0.5, 1e-5; 0.8, 0.01; 0.9, 0.1; 1.0, 1.0 ] do
                      near (1e-3 * h) h (VarianceExploding.variance p u) $"h({u})"

                  for u in [ 0.1; 0.5; 0.9 ] do
                      let slope =
                          (VarianceExploding.variance p (u + 1e-6) - VarianceExploding.variance p (u - 1e-6)) / 2e-6

                      let g = VarianceExploding.diffusion p u
                      near (1e-4 * slope) slope (g * g) $"g²({u})")

          testCase
              "the variance-exploding chain goes back to a Gaussian by its score, with noise and without"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let p: VarianceExploding = { SigmaMin = 0.01; SigmaMax = 3.0 }
                  let steps, n, mean, spread = 400, 4_000, 0.4, 0.25

                  let score i (x: Tensor) =
                      let h = VarianceExploding.variance p (1.0 - float i / float steps)
                      x.sub(Scalars.ofFloat mean).mul(Scalars.ofFloat (-1.0 / (spread + h)))

                  let start =
                      (Key.normal cpu [ n ] (Key.ofSeed 5L))
                          .mul(Scalars.ofFloat (sqrt (VarianceExploding.variance p 1.0)))

                  let noise i = Key.normal cpu [ n ] (Key.foldIn (int64 i) (Key.ofSeed 6L))
                  let last = VarianceExploding.reverse p steps 1.0 score noise start |> values
                  near 0.05 mean (Array.average last) "mean"
                  near 0.05 spread (variance last) "variance"

                  // ζ = 0 asks for no number, and g²·score moves twice as fast as the flow of probability would
                  let still =
                      VarianceExploding.reverse p steps 0.0 score (fun _ -> failwith "a number was drawn") start

                  Expect.isLessThan (variance (values still)) (0.2 * spread) "without noise it gathers")

          testCase "the embeddings' features have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let f = features TimeEmbedding.Dacer 3.0
              closeTo 1e-5 "Dacer, sin" [| 0.035280; 0.203162; 0.073880 |] [| f[0]; f[1]; f[2] |]
              closeTo 1e-5 "Dacer, cos" [| -0.247498; 0.145688 |] [| f[8]; f[9] |]
              closeTo 1e-5 "Dipo" [| 0.141120; 0.998611; 0.769842 |] (Array.take 3 (features TimeEmbedding.Dipo 3.0))
              closeTo 1e-5 "Dppo" [| 0.141120; 0.720698; 0.214232 |] (Array.take 3 (features TimeEmbedding.Dppo 3.0))
              closeTo 1e-5 "Dqs" [| 0.479426; 0.433232; 0.390839 |] (Array.take 3 (features TimeEmbedding.Dqs 0.5))
              let bare = features TimeEmbedding.Bare 3.0
              let angle = 3.0 * 10000.0 ** (-1.0 / 16.0)
              closeTo 1e-5 "Bare" [| sin 3.0; sin angle; cos 3.0 |] [| for i in [ 0; 1; 16 ] -> bare[i] * sqrt 32.0 |]

              // trained: cos of 2π·w·x, then sin
              let n = TimeNetwork.create TimeEmbedding.Qsm
              let w = Array.init n.ParameterCount (fun i -> if i < 32 then 0.01f * float32 i else 0f)
              let f = TimeNetwork.features cpu n (Tensors.ofArray cpu [ w.Length ] w) [| 3.0 |] |> values
              let turn = 2.0 * Math.PI * 0.05 * 3.0
              closeTo 1e-5 "Qsm" [| cos turn; sin turn |] [| f[5]; f[37] |])

          testCase "the embeddings have the published widths" (fun () ->
              let facts =
                  [ for e in embeddings do
                        let n = TimeNetwork.create e
                        n.Width, n.ParameterCount ]

              let layer a b = a * b + b

              Expect.equal
                  facts
                  [ 16, layer 16 32 + layer 32 16
                    32, layer 32 256 + layer 256 32
                    128, 32 + layer 64 128 + layer 128 128
                    16, layer 16 32 + layer 32 16
                    64, 32 + layer 64 64 + layer 64 64
                    32, 0
                    128, 0 ]
                  "width and parameters")

          testForAll
              "output and pullbacks of the network are those of float64 and autograd"
              60
              networks
              (fun (n, key, point) ->
                  use _ = torch.NewDisposeScope()
                  let struct (p, obs, action, times, slope) = drawn n key point
                  let flat = Doubles.leaf p
                  let place = (Doubles.double action).requires_grad_()
                  let output = doubleNetwork n flat (Doubles.double obs) place times
                  let wanted = torch.autograd.grad ([| output.mul(Doubles.double slope).sum() |], [| flat; place |])
                  use vjp = ActionNetwork.vjp cpu n p obs action times
                  let struct (gradient, dAction) = vjp.Pullback slope
                  let doubles (t: Tensor) = values (t.``to`` torch.float32)
                  closeTo 2e-5 "output" (doubles output) (values vjp.Output)
                  closeTo 2e-5 "forward" (doubles output) (ActionNetwork.forward cpu n p obs action times |> values)
                  closeTo 2e-4 "parameters" (doubles wanted[0]) (values gradient)
                  closeTo 2e-4 "action" (doubles wanted[1]) (values dAction)
                  closeTo 0.0 "parameters alone" (values gradient) (values (vjp.PullbackParameters slope))
                  closeTo 1e-6 "action alone" (values dAction) (values (vjp.PullbackInput slope)))

          testForAll "along a chain the network gives what it gives row by row" 40 networks (fun (n, key, point) ->
              use _ = torch.NewDisposeScope()
              let struct (p, obs, _, _, _) = drawn n key point
              let particles = 3
              let action = Key.normal cpu [ rows * particles; 2 ] (Key.foldIn 9L key)
              let points = n.Times |> List.map (fun _ -> [| 0.5; point; 7.0 |])

              for compute in [ cpu; Compute.libtorch ] do
                  let along = ActionNetwork.along compute n p obs points

                  for i in 0..2 do
                      let times = points |> List.map (fun x -> Array.create (rows * particles) x[i])
                      let repeated = obs.repeat_interleave (int64 particles, Nullable 0L)

                      closeTo
                          2e-5
                          $"point {i}"
                          (ActionNetwork.forward cpu n p repeated action times |> values)
                          (along i action |> values))

          testCase "a network refuses another number of times than it takes" (fun () ->
              use _ = torch.NewDisposeScope()
              let n = ActionNetwork.create 3 2 [ TimeEmbedding.Dqs ] (ActionLayers.Residual(8, 1, Activation.Gelu))
              let p = ActionNetwork.initWith InitialWeights.TorchUniform cpu n (Key.ofSeed 1L)
              let x = Tensors.zeros cpu [ 1; 3 ]

              let failure =
                  Expect.raises<RefusedArgumentException>(fun () -> ActionNetwork.along cpu n p x [] |> ignore)

              Expect.stringContains failure.Message "0 times were given to a network that takes 1" "sentence")

          testForAll
              "initial weights have the deviation of their kind"
              20
              (Gen.zip
                  (Gen.elements [ InitialWeights.HalfNormal; InitialWeights.XavierUniform; InitialWeights.Orthogonal ])
                  (sizes 0 1000))
              (fun (initial, seed) ->
                  let inputs, outputs = 60, 90
                  let shape = HiddenLayers.shape inputs (HiddenLayers.mish []) outputs
                  let all = InitialWeights.draw initial shape (Key.ofSeed (int64 seed))
                  let weights = all[.. inputs * outputs - 1] |> Array.map float
                  Expect.all all[inputs * outputs ..] (fun b -> b = 0f) "biases"

                  let deviation =
                      match initial with
                      | InitialWeights.HalfNormal -> 0.5 / sqrt (float inputs)
                      | InitialWeights.XavierUniform -> sqrt (2.0 / float (inputs + outputs))
                      | _ -> sqrt (2.0 / float (max inputs outputs))

                  near (0.06 * deviation) deviation (sqrt (variance weights)) $"{initial}"

                  if initial = InitialWeights.Orthogonal then
                      for i in [ 0; 17; 59 ] do
                          for j in [ 0; 17; 59 ] do
                              let dot =
                                  Seq.sum (
                                      seq {
                                          for y in 0 .. outputs - 1 ->
                                              weights[i * outputs + y] * weights[j * outputs + y]
                                      }
                                  )

                              near 1e-5 (if i = j then 2.0 else 0.0) dot $"rows {i} and {j}")

          testCase "a rate falls along half a cosine, and impossible ones are refused in a sentence" (fun () ->
              let rate = LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L)
              near 1e-9 3e-4 (LearningRate.at 0L rate) "start"
              near 1e-9 1.5e-4 (LearningRate.at 1_000_000L rate) "half-way"
              near 1e-12 0.0 (LearningRate.at 3_000_000L rate) "end"

              let sentence rate = LearningRate.problems "PolicyRate" rate |> String.concat "; "
              Expect.equal (sentence rate) "" "possible"
              Expect.stringContains (sentence (LearningRate.Constant nan)) "policyRate stays at NaN" "not a number"
              Expect.stringContains (sentence (LearningRate.CosineDecay(1e-3, -1.0, 5L))) "ends at -1" "negative"
              Expect.stringContains (sentence (LearningRate.CosineDecay(1e-3, 0.0, 0L))) "takes 0 updates" "length"

              Expect.stringContains
                  (sentence (LearningRate.LinearDecay(1e-3, 0.0, -1L, 5L)))
                  "after -1 updates"
                  "begin") ]
