module Sdac.Tests.SamplingTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Sampling
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private cpu = Compute.cpu

let private key seed = Key.ofSeed (int64 seed)

let private scale (c: float) (t: Tensor) = t.mul (Scalars.ofFloat c)

let private seeds = sizes 0 1_000_000

/// A random two-dimensional mixture inside the box of half-width 1.
let mixtures =
    Gen.zip (sizes 1 4) seeds
    |> Gen.map (fun (n, seed) ->
        let u = values (Key.uniform cpu [ n; 5 ] (key seed))

        [ for i in 0 .. n - 1 ->
              let v j = u[5 * i + j]

              { Weight = 0.1 + v 0
                Mean = [| v 1 - 0.5; v 2 - 0.5 |]
                Deviation = [| 0.1 + 0.2 * v 3; 0.1 + 0.2 * v 4 |] } ])

/// A random normalised mixture in so many dimensions, inside the box of half-width 1.
let private normalised (dim: int) =
    Gen.zip (sizes 1 4) seeds
    |> Gen.map (fun (n, seed) ->
        let u = values (Key.uniform cpu [ n; 1 + 2 * dim ] (key seed))
        let at i j = u[(1 + 2 * dim) * i + j]
        let total = Seq.init n (fun i -> 0.1 + at i 0) |> Seq.sum

        [| for i in 0 .. n - 1 ->
               { Weight = (0.1 + at i 0) / total
                 Mean = Array.init dim (fun j -> at i (1 + j) - 0.5)
                 Deviation = Array.init dim (fun j -> 0.1 + 0.2 * at i (1 + dim + j)) } |])

let private variancePreserving = Schedule.create (BetaSchedule.VariancePreserving(0.1, 10.0)) 20

/// ln of the share of the standard normal in [low, high], and the share of that which lies below x, by a sum over the densest part.
let private normalShare (low: float) (high: float) : float * (float -> float) =
    let nearest = Math.Clamp(0.0, low, high)
    let reach = min 9.0 (40.0 / max 1e-9 (abs nearest))
    let first, last = max low (nearest - reach), min high (nearest + reach)
    let n = 4000
    let step = (last - first) / float n
    let density x = exp (-0.5 * (x * x - nearest * nearest))
    let parts = Array.init n (fun i -> step * density (first + (float i + 0.5) * step))
    let sums = Array.scan (+) 0.0 parts
    let total = sums[n]

    let below x =
        let place = Math.Clamp((x - first) / step, 0.0, float n)
        let i = min (n - 1) (int place)
        (sums[i] + (place - float i) * parts[i]) / total

    log total - 0.5 * nearest * nearest - 0.5 * log (2.0 * Math.PI), below

/// One dimension: a mixture of two, for which the last integral is done on a grid.
let private line =
    Mixture.target
        "line"
        1.0
        [ { Weight = 0.7; Mean = [| 0.4 |]; Deviation = [| 0.15 |] }
          { Weight = 0.3; Mean = [| -0.5 |]; Deviation = [| 0.1 |] } ]

let private independent = { SamplerConfig.standard with Points = DrawPoints.Independent }

/// Squared deviation of the regression target Σ w·ε over states that are all the same.
let private targetVariance config t k =
    use _ = torch.NewDisposeScope()
    let n = 2000
    let model = RssmTrainer.create cpu { config with Draws = k } Targets.pair
    let noisy = Tensors.ofArray cpu [ 1; 2 ] [| 0.3f; 0.2f |] |> Tensors.expand [ n; 2 ]
    let struct (noise, weights, _) = RssmTrainer.regression model 0.0 (Array.create n t) noisy (key 11)
    let target = noise.mul(weights.unsqueeze 2L).sum(1L)

    let target =
        if config.Weights = RssmWeights.Raw then
            target |> scale (1.0 / float k)
        else
            target

    let mean = target.mean ([| 0L |], true)
    Tensors.scalar (target.sub(mean).square().mean()), values mean

[<Tests>]
let tests =
    testList
        "sampling"
        [ testCase "the distribution function has the known values" (fun () ->
              closeTo 1e-12 "Φ" [| 0.5; 0.15865525393145707 |] [| NormalInterval.phi 0.0; NormalInterval.phi -1.0 |]
              Expect.floatClose (within 1e-31) (NormalInterval.phi -10.0) 7.61985302416052e-24 "phi")

          testForAll "the distribution function and its inverse agree with each other" 200 (between -8.0 5.0) (fun x ->
              Expect.floatClose
                  (within (1e-7 * (1.0 + exp (0.5 * max 0.0 x ** 2.0))))
                  (NormalInterval.inversePhi (NormalInterval.phi x))
                  x
                  "inverse phi")

          testForAll
              "quantiles of a restricted normal lie inside it and rise, however far out it is"
              300
              (Gen.zip (between -300.0 300.0) (between 1e-3 50.0))
              (fun (low, width) ->
                  let interval = NormalInterval.create low (low + width)
                  let x = [ for i in 0..20 -> NormalInterval.quantile (float i / 21.0) interval ]

                  for x in x do
                      Expect.inRange x (low, low + width) "quantile"

                  Expect.isTrue (List.pairwise x |> List.forall (fun (a, b) -> a <= b)) $"{low}, {width}: {x}"

                  Expect.isTrue
                      (Double.IsFinite(NormalInterval.logShare interval) && NormalInterval.logShare interval <= 1e-12)
                      "log share")

          let density z = exp (-0.5 * z * z) / sqrt (2.0 * Math.PI)

          testForAll
              "the mean of a restricted normal is what calculus says"
              60
              (Gen.zip (between -6.0 6.0) (between 0.1 5.0))
              (fun (low, width) ->
                  let high = low + width
                  let interval = NormalInterval.create low high
                  let n = 20_000

                  let mean =
                      Seq.init n (fun i -> NormalInterval.quantile ((float i + 0.5) / float n) interval) |> Seq.average

                  let share = exp (NormalInterval.logShare interval)
                  Expect.floatClose (within 2e-3) mean ((density low - density high) / share) "mean")

          testCase
              "all targets are finite in their boxes, and their gradients are the slopes of their log-densities"
              (fun () ->
                  for target in Targets.all do
                      for result in
                          [ DensityProperties.finite target (key 1); DensityProperties.gradient target (key 1) ] do
                          Expect.isTrue result.Holds $"{target.Name}, {result.Name}: {result.Place}")

          testCase "exact samples of all targets stay in the box and fall into modes by their weights" (fun () ->
              for target in Targets.all do
                  use _ = torch.NewDisposeScope()
                  let n = 20_000
                  let x = Target.sample n (key 2) target
                  let outside = values x |> Seq.filter (fun v -> abs v > target.HalfWidth) |> Seq.length
                  Expect.isTrue (outside < n / 1000) $"{target.Name}: {outside} coordinates outside"
                  let rows = values (Target.seen target x)

                  for mode in target.Modes do
                      let inside =
                          Seq.init (rows.Length / 2) (fun i ->
                              let d j = rows[2 * i + j] - mode.Centre[j]
                              if sqrt (d 0 * d 0 + d 1 * d 1) < mode.Radius then 1.0 else 0.0)
                          |> Seq.average

                      // Three deviations hold 98.9 % of a round normal; neighbours of the 40 modes may overlap.
                      Expect.isTrue
                          (inside > 0.85 * mode.Weight)
                          $"{target.Name}: {inside} in a mode of weight {mode.Weight}")

          testForAll
              "the score of a noised mixture is that of the mean over its clean points"
              20
              (Gen.zip mixtures (between 0.05 0.95))
              (fun (parts, alphaBar) ->
                  use _ = torch.NewDisposeScope()
                  let target = Mixture.target "mixture" 1.0 parts
                  let at = values ((Key.normal cpu [ 3; 2 ] (key 5)) |> scale 0.7)

                  let score =
                      values (target.NoisedScore.Value alphaBar (Tensors.ofArray cpu [ 3; 2 ] (Array.map float32 at)))
                  // ∇ ln p_t(y) = E[-(y - √ᾱ·x)/(1-ᾱ) | y], on a grid of clean points.
                  let side = 161

                  let grid =
                      [| for i in 0 .. side * side - 1 do
                             float32 (i / side) / 40.0f - 2.0f
                             float32 (i % side) / 40.0f - 2.0f |]

                  let density = values (target.LogDensity(Tensors.ofArray cpu [ side * side; 2 ] grid))

                  for row in 0..2 do
                      let y j = at[2 * row + j]
                      let away i j = y j - sqrt alphaBar * float grid[2 * i + j]

                      let weights =
                          Array.init (side * side) (fun i ->
                              exp (density[i] - (away i 0 ** 2.0 + away i 1 ** 2.0) / (2.0 * (1.0 - alphaBar))))

                      let total = Array.sum weights

                      for j in 0..1 do
                          let mean = Seq.sum (Seq.mapi (fun i w -> w * -(away i j) / (1.0 - alphaBar)) weights) / total

                          Expect.isTrue
                              (abs (mean - score[2 * row + j]) < 1e-2 * (1.0 + abs mean))
                              $"{mean} {score[2 * row + j]}")

          testForAll
              "weighted by any function of the noised action, the regression on the noise is the weighted distance to the score but for a constant"
              20
              (Gen.zip (normalised 1) (Gen.zip (sizes 1 19) seeds))
              (fun (parts, (t, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let s, side = variancePreserving, 400
                  // integrals as sums: a_0 in [-2, 2], ε in [-6, 6], a_t in [-8, 8]
                  let clean = Array.init side (fun i -> (float i + 0.5) * 0.01 - 2.0)
                  let noise = Array.init side (fun i -> (float i + 0.5) * 0.03 - 6.0)
                  let column (x: float[]) = Tensors.ofArray cpu [ x.Length; 1 ] (Array.map float32 x)
                  let p = values (Mixture.logDensity parts (column clean)) |> Array.map (fun l -> exp l * 0.01)
                  let q = noise |> Array.map (fun e -> exp (-0.5 * e * e) / sqrt (2.0 * Math.PI) * 0.03)
                  let pairs = Array.init (side * side) (fun i -> clean[i / side], noise[i % side])

                  let noisy =
                      Diffusion.noised
                          cpu
                          s
                          (Array.create pairs.Length t)
                          (column (Array.map fst pairs))
                          (column (Array.map snd pairs))
                      |> values

                  let parts = Mixture.noised 1.0 s.AlphaBars[t] parts
                  let grid = Array.init 8000 (fun i -> (float i + 0.5) * 0.002 - 8.0)
                  let pt = values (Mixture.logDensity parts (column grid)) |> Array.map (fun l -> exp l * 0.002)
                  let score = values (Mixture.score parts (column grid))
                  let u = values (Key.normal cpu [ 8 ] (key seed))
                  let network k a = u[3 * k] * a + u[3 * k + 1] + u[3 * k + 2] * sin (2.0 * a)

                  for g in [ (fun _ -> 1.0); (fun a -> 1.1 + sin (3.0 * a + u[6])); (fun a -> exp (0.3 * u[7] * a)) ] do
                      let loss k =
                          Seq.init pairs.Length (fun i ->
                              p[i / side] * q[i % side] * g noisy[i] * (network k noisy[i] - snd pairs[i]) ** 2.0)
                          |> Seq.sum

                      let distance k =
                          Seq.init grid.Length (fun i ->
                              let best = -s.SqrtOneMinusAlphaBars[t] * score[i]
                              pt[i] * g grid[i] * (network k grid[i] - best) ** 2.0)
                          |> Seq.sum

                      let left, right = loss 0 - loss 1, distance 0 - distance 1

                      Expect.floatClose
                          (within (1e-3 * (1.0 + distance 0 + distance 1)))
                          left
                          right
                          "difference of two networks")

          testForAll
              "the noised density is the mean of exp(Q) over reverse draws, and its score their weighted noise"
              30
              (sizes 1 3 |> Gen.bind (fun dim -> Gen.zip (normalised dim) (Gen.zip (sizes 1 11) seeds)))
              (fun (parts, (t, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let s, n, dim = variancePreserving, 40_000, parts[0].Mean.Length
                  let alphaBar = s.AlphaBars[t]
                  let keys = Key.splitMany 2 (key seed)

                  let at =
                      Key.normal cpu [ 3; dim ] keys[0] |> scale (0.5 * sqrt alphaBar + 0.3 * sqrt (1.0 - alphaBar))

                  let noise = Key.normal cpu [ 3; n; dim ] keys[1]
                  let draws = Rssm.cleanDraws ReverseNoise.Unbounded cpu s (Array.create 3 t) at noise

                  let e = values (Mixture.logDensity parts (draws |> Tensors.view [ 3 * n; dim ])) |> Array.map exp

                  let noise, noised = values noise, Mixture.noised 1.0 alphaBar parts
                  let density = values (Mixture.logDensity noised at) |> Array.map exp
                  let score = values (Mixture.score noised at)

                  for row in 0..2 do
                      let e = e[row * n .. (row + 1) * n - 1]
                      let sum, squares = Array.sum e, e |> Array.sumBy (fun w -> w * w)
                      let effective = sum * sum / squares

                      if effective >= 200.0 then
                          let error = 5.0 / sqrt effective
                          let mean = sum / float n / alphaBar ** (float dim / 2.0)
                          Expect.floatClose (within (density[row] * (error + 1e-3))) mean density[row] "p_t"

                          for j in 0 .. dim - 1 do
                              let epsilon k = noise[(row * n + k) * dim + j]
                              let mean = (Seq.init n (fun k -> e[k] * epsilon k) |> Seq.sum) / sum

                              let variance =
                                  (Seq.init n (fun k -> (e[k] * (epsilon k - mean)) ** 2.0) |> Seq.sum) / (sum * sum)

                              Expect.floatClose
                                  (within (5.0 * sqrt variance + 1e-3))
                                  mean
                                  (-s.SqrtOneMinusAlphaBars[t] * score[row * dim + j])
                                  "ε*"
                      else
                          Expect.isGreaterThan dim 1 "one dimension has enough draws")

          testForAll
              "the reverse sampling distribution and the forward kernel have the same gradient in a_t"
              60
              (Gen.zip (Gen.zip schedules (sizes 1 30)) seeds)
              (fun ((kind, T), seed) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create kind T
                  let keys = Key.splitMany 3 (key seed)
                  let t = Key.integers T 1 keys[0] |> Array.head
                  let clean = Key.uniform cpu [ 4; 3 ] keys[1]
                  let noisy = Diffusion.noised cpu s (Array.create 4 t) clean (Key.normal cpu [ 4; 3 ] keys[2])
                  let logNormal (x: Tensor) (mean: Tensor) variance = (x.sub(mean).square()) |> scale (-0.5 / variance)

                  let gradient (f: Tensor -> Tensor) =
                      let at = noisy.detach().requires_grad_()
                      values (torch.autograd.grad([| (f at).sum() |], [| at |]).[0])

                  let a = s.AlphaBars[t]
                  let reverse = gradient (fun at -> logNormal clean (at |> scale (1.0 / sqrt a)) ((1.0 - a) / a))
                  let forward = gradient (fun at -> logNormal at (clean |> scale (sqrt a)) (1.0 - a))
                  closeTo (2e-4 / sqrt (1.0 - a)) "gradient" forward reverse)

          testForAll
              "forward noising of reverse draws returns a_t in the mean"
              10
              (Gen.zip (sizes 0 19) seeds)
              (fun (t, seed) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create (BetaSchedule.VariancePreserving(0.1, 10.0)) 20
                  let keys = Key.splitMany 3 (key seed)
                  let n = 40_000
                  let noisy = Key.normal cpu [ 1; 2 ] keys[0]

                  let draws =
                      Rssm.cleanDraws ReverseNoise.Unbounded cpu s [| t |] noisy (Key.normal cpu [ 1; n; 2 ] keys[1])

                  let again =
                      Diffusion.noised
                          cpu
                          s
                          (Array.create n t)
                          (draws |> Tensors.view [ n; 2 ])
                          (Key.normal cpu [ n; 2 ] keys[2])

                  let error = 4.5 * sqrt (2.0 * (1.0 - s.AlphaBars[t]) / float n)
                  let mean = values (again.mean [| 0L |])

                  for (got, want) in Array.zip mean (values noisy) do
                      Expect.inRange got (want - error, want + error) "coordinate of the mean")

          let kinds =
              Gen.oneof
                  [ schedules
                    Gen.map2 (fun a b -> BetaSchedule.Geometric(a, b)) (between 1e-3 0.1) (between 1.0 50.0) ]

          testForAll "posterior coefficients reproduce the marginals" 100 (Gen.zip kinds (sizes 1 60)) (fun (kind, T) ->
              let s = Schedule.create kind T

              for t in 0 .. T - 1 do
                  let before, now = s.AlphaBarsPrevious[t], s.AlphaBars[t]
                  let mean = s.PosteriorMeanCoef1[t] + s.PosteriorMeanCoef2[t] * sqrt now
                  Expect.floatClose (within 1e-9) mean (sqrt before) "mean"
                  let variance = s.PosteriorMeanCoef2[t] ** 2.0 * (1.0 - now) + s.PosteriorVariance[t]
                  Expect.floatClose (within 1e-9) variance (1.0 - before) "variance")

          testCase "ancestral sampling with the exact score has the mean and covariance of a Gaussian" (fun () ->
              use _ = torch.NewDisposeScope()

              let target =
                  Mixture.target "normal" 1.0 [ { Weight = 1.0; Mean = [| 0.2; -0.1 |]; Deviation = [| 0.2; 0.1 |] } ]

              let s = Schedule.create (BetaSchedule.Geometric(0.005, 20.0)) 400
              let n = 20_000
              let keys = Key.splitMany 2 (key 3)

              let predict t (x: Tensor) =
                  target.NoisedScore.Value s.AlphaBars[t] x |> scale -s.SqrtOneMinusAlphaBars[t]

              let step i = Key.normal cpu [ n; 2 ] (Key.foldIn (int64 i) keys[0])
              let x = Diffusion.reverse s predict step (Key.normal cpu [ n; 2 ] keys[1])
              let mean = x.mean [| 0L |]
              closeTo 0.006 "mean" [| 0.2; -0.1 |] (values mean)
              let centred = x.sub mean
              let covariance = values (centred.t().mm(centred) |> scale (1.0 / float n))
              // 400 steps leave the variance about 3 % low.
              closeTo 0.002 "covariance" [| 0.04; 0.0; 0.0; 0.01 |] covariance
              Expect.inRange (covariance[0] / 0.04) (0.93, 1.04) "covariance"
              Expect.inRange (covariance[3] / 0.01) (0.93, 1.04) "covariance")

          testForAll
              "truncated draws lie inside the box and their shares are those of the normal distribution"
              40
              (Gen.zip (Gen.zip schedules (sizes 1 30)) seeds)
              (fun ((kind, T), seed) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create kind T
                  let keys = Key.splitMany 3 (key seed)
                  let t = Key.integers T 5 keys[0]
                  let noisy = Key.normal cpu [ 5; 2 ] keys[1]

                  let uniform = Key.uniform cpu [ 5; 7; 2 ] keys[2]
                  let struct (noise, logShare) = Rssm.truncatedNoise cpu s t noisy uniform

                  let draws = values (Rssm.cleanDraws ReverseNoise.Unbounded cpu s t noisy noise)
                  // float32 rounds a large noise by as much as the slack
                  let slack = 1e-5 * (2.0 + (t |> Array.map (fun t -> s.SqrtRecipAlphaBars[t]) |> Array.max) * 4.0)

                  for x in draws do
                      Expect.inRange x (-1.0 - slack, 1.0 + slack) "draw"

                  // ã_0 = a_t/√ᾱ - √(1/ᾱ - 1)·ε is in the box where ε is between these
                  let shares =
                      Array.init 10 (fun i ->
                          let t, at = t[i / 2], (values noisy)[i]
                          let end' x = (s.SqrtRecipAlphaBars[t] * at + x) / s.SqrtRecipM1AlphaBars[t]
                          normalShare (end' -1.0) (end' 1.0))

                  // far out the library's own normal is exact to a thousandth
                  for row, got in Array.indexed (values logShare) do
                      let want = fst shares[2 * row] + fst shares[2 * row + 1]
                      Expect.floatClose (within (3e-3 + 1e-5 * abs want)) got want "share's logarithm"

                  let noise, uniform = values noise, values uniform

                  for i in 0 .. noise.Length - 1 do
                      let row, j = i / 14, i % 2
                      let below = snd shares[2 * row + j] noise[i]
                      Expect.floatClose (within 5e-3) below uniform[i] "share below the drawn noise")

          testCase
              "the Monte-Carlo gradient is unbiased for the weighted score-matching gradient whatever the sampling distribution"
              (fun () ->
                  let s = Schedule.create (BetaSchedule.Geometric(0.01, 20.0)) 32
                  let normal deviation x = exp (-0.5 * (x / deviation) ** 2.0) / (deviation * sqrt (2.0 * Math.PI))

                  // ε_θ(a) = a + 0.3: the gradient with respect to slope and offset is E[2·(ε_θ·Σw - Σw·ε)·(a, 1)].
                  let kinds =
                      [ GaussianStates 0.8, (fun _ x -> normal 0.8 x)
                        CauchyStates 0.5, (fun _ x -> 1.0 / (Math.PI * 0.5 * (1.0 + (x / 0.5) ** 2.0)))
                        UniformStates 3.0, (fun _ x -> if abs x < 3.0 then 1.0 / 6.0 else 0.0)
                        NoisedUniform 1.0,
                        (fun t x ->
                            let keep, spread = s.SqrtAlphaBars[t], s.SqrtOneMinusAlphaBars[t]

                            (NormalInterval.phi ((x + keep) / spread) - NormalInterval.phi ((x - keep) / spread))
                            / (2.0 * keep)) ]

                  for states, density in kinds do
                      for t, points in
                          [ 14, DrawPoints.Independent
                            18, DrawPoints.Lattice
                            22, DrawPoints.Independent
                            22, DrawPoints.Lattice ] do
                          use _ = torch.NewDisposeScope()
                          let n, k = 100_000, 2

                          let config =
                              { SamplerConfig.standard with
                                  Schedule = BetaSchedule.Geometric(0.01, 20.0)
                                  Timesteps = 32
                                  Weights = RssmWeights.Raw
                                  Draws = k
                                  Points = points
                                  States = states }

                          let model = RssmTrainer.create cpu config line
                          let struct (first, second) = Key.split (key t)
                          let times = Array.create n t
                          let noisy = NoisyStates.draw cpu s (Tensors.zeros cpu [ 1; 1 ]) 1 states times first
                          // Raw weights relative to energy 5, above the top of this density.
                          let struct (noise, weights, top) = RssmTrainer.regression model 5.0 times noisy second
                          Expect.equal top 5.0 "top"
                          let prediction = noisy.add (Scalars.ofFloat 0.3)
                          let g = values (Rssm.gradient prediction noise weights |> scale (float (n * k) / float k))
                          let a = values noisy

                          // Closed form: Σw → K^-1-mean weight is √(1/ᾱ)·p_t(a)·e^-5, and Σwε/Σw → -√(1-ᾱ)·∇ ln p_t(a).
                          let alphaBar = s.AlphaBars[t]

                          let parts =
                              Mixture.noised
                                  1.0
                                  alphaBar
                                  [| { Weight = 0.7; Mean = [| 0.4 |]; Deviation = [| 0.15 |] }
                                     { Weight = 0.3; Mean = [| -0.5 |]; Deviation = [| 0.1 |] } |]

                          let points = Array.init 24_001 (fun i -> float32 (i - 12_000) * 1e-3f)
                          let grid = Tensors.ofArray cpu [ points.Length; 1 ] points
                          let logP, score = values (Mixture.logDensity parts grid), values (Mixture.score parts grid)

                          for name, feature in [ "slope", id; "offset", (fun _ -> 1.0) ] do
                              let want =
                                  Seq.init points.Length (fun i ->
                                      let x = float points[i]
                                      let epsilon = -(sqrt (1.0 - alphaBar)) * score[i]

                                      density t x
                                      * exp (logP[i] - 5.0)
                                      * sqrt alphaBar
                                      * 2.0
                                      * (x + 0.3 - epsilon)
                                      * feature x
                                      * 1e-3)
                                  |> Seq.sum

                              let samples = Array.map2 (fun g a -> g * feature a) g a
                              let mean = Array.average samples
                              let error = sqrt ((samples |> Array.averageBy (fun v -> (v - mean) ** 2.0)) / float n)

                              Expect.isTrue
                                  (abs (mean - want) < 4.0 * error + 1e-9)
                                  $"{states}, {points}, t {t}, {name}: {mean} ± {error}, not {want}")

          testCase "the variance of the estimated score falls as one over the number of draws" (fun () ->
              for weights, jackknife, least in
                  [ RssmWeights.Raw, false, 16
                    RssmWeights.SelfNormalised, false, 256
                    RssmWeights.SelfNormalised, true, 256 ] do
                  let config = { independent with Weights = weights; Jackknife = jackknife }

                  for t in [ 60; 80 ] do
                      let few, _ = targetVariance config t least
                      let many, _ = targetVariance config t (4 * least)
                      Expect.inRange (few / many) (3.3, 4.8) "ratio of the variances")

          testForAll
              "lattice points are uniform each, and fill boxes as no independent draws do"
              30
              (Gen.zip (Gen.zip (sizes 1 3) seeds) (Gen.zip (between 0.05 0.4) (between 0.55 0.95)))
              (fun ((dim, seed), (low, high)) ->
                  use _ = torch.NewDisposeScope()
                  let batch, draws = 200, 256
                  let u = values (DrawPoints.uniform cpu DrawPoints.Lattice batch draws dim (key seed))

                  for v in u do
                      Expect.inRange v (0.0, 1.0 - 1e-9) "lattice point"

                  let inside v = v >= low && v < high

                  let share row =
                      Seq.init draws (fun k ->
                          Seq.forall (fun j -> inside u[(row * draws + k) * dim + j]) (seq { 0 .. dim - 1 }))
                      |> Seq.averageBy (fun hit -> if hit then 1.0 else 0.0)

                  let volume = (high - low) ** float dim
                  let spread = sqrt (Array.init batch share |> Array.averageBy (fun s -> (s - volume) ** 2.0))
                  let independent = sqrt (volume * (1.0 - volume) / float draws)
                  Expect.isTrue (spread < 0.5 * independent) $"D {dim}: {spread}, {independent} for independent draws"

                  // one draw alone, over states with shifts of their own
                  for k in [ 0; draws - 1 ] do
                      let mean = Seq.init batch (fun row -> u[(row * draws + k) * dim]) |> Seq.average

                      Expect.inRange
                          mean
                          (0.5 - 5.0 / sqrt (12.0 * float batch), 0.5 + 5.0 / sqrt (12.0 * float batch))
                          "mean")

          testCase "normal lattice points have the normal distribution's moments" (fun () ->
              let z = values (DrawPoints.normal cpu DrawPoints.Lattice 50 400 2 (key 3))
              let moment n = z |> Array.averageBy (fun v -> v ** n)
              Expect.inRange (moment 1.0) (-0.01, 0.01) "moment"
              Expect.inRange (moment 2.0) (0.98, 1.02) "moment"
              Expect.inRange (moment 4.0) (2.9, 3.1) "moment")

          testCase "lattice draws estimate the same score with less variance" (fun () ->
              for t in [ 60; 80 ] do
                  let config = { independent with Jackknife = false }
                  let plain, wanted = targetVariance config t 256
                  let even, got = targetVariance { config with Points = DrawPoints.Lattice } t 256

                  Expect.isTrue
                      (even < 0.3 * plain)
                      $"t {t}: variance {even} on the lattice, {plain} for independent draws"

                  for j in 0..1 do
                      Expect.inRange
                          (got[j] - wanted[j])
                          (-6.0 * sqrt (plain / 2000.0), 6.0 * sqrt (plain / 2000.0))
                          "difference of the means")

          testCase "the jackknife removes most of the bias of self-normalised weights" (fun () ->
              let mean jackknife k = targetVariance { independent with Jackknife = jackknife } 80 k |> snd

              let exact = mean false 4096
              let distance (a: float[]) = Array.fold2 (fun sum x y -> sum + (x - y) ** 2.0) 0.0 a exact |> sqrt
              let plain, corrected = distance (mean false 16), distance (mean true 16)
              Expect.isTrue (corrected < 0.6 * plain) $"{corrected} with the jackknife, {plain} without")

          testCase
              "the score trained from the energy alone is within 5 percent of the closed form, and both samplers give the density"
              (fun () ->
                  for target, updates in [ Targets.gaussian, 4000; Targets.pair, 4000 ] do
                      let config = { SamplerConfig.standard with Updates = updates }
                      let model = RssmTrainer.create cpu config target
                      let state = RssmTrainer.train model (key 1) ignore

                      let errors =
                          Measures.scoreErrors model.Schedule target (RssmTrainer.score model state) 2000 (key 5)

                      let drawn sampler = (sampler model state 40_000 (key 6): Tensor) |> values |> Array.map float32
                      let ancestral, flow = drawn RssmTrainer.sample, drawn RssmTrainer.flow
                      RssmTrainer.dispose state

                      // what is left of the bias of the estimate is 0.003
                      for name, samples, furthest in [ "ancestral", ancestral, 0.02; "flow", flow, 0.03 ] do
                          let kl = (Measures.divergence target samples).Value
                          let weight = Measures.modeWeightError target samples

                          Expect.isTrue
                              (kl < furthest && weight < furthest)
                              $"{target.Name}, {name}: KL {kl}, mode weights {weight}"

                      Expect.inRange errors.Length (60, 90) "number of errors"
                      let worst = errors |> List.maxBy _.Error

                      Expect.isTrue
                          (worst.Error < 0.05)
                          $"{target.Name}: relative error {worst.Error} at timestep {worst.Timestep}")

          testCase "the same key trains the same sampler and leaves no tensor behind" (fun () ->
              let config = { SamplerConfig.standard with Updates = 20; Batch = 32; Hidden = [ 16 ] }
              let before = liveTensors ()

              let train states =
                  let model = RssmTrainer.create cpu { config with States = states } Targets.rings
                  let state = RssmTrainer.train model (key 4) ignore
                  let flat = values state.Average.Flat
                  RssmTrainer.dispose state
                  flat

              for states in
                  [ NoisedUniform 1.0; GaussianStates 1.0; CauchyStates 0.5; UniformStates 2.0; OwnSamples(5, 0.5) ] do
                  Expect.equal (train states) (train states) "train"

              Expect.equal (liveTensors ()) before "live tensors")

          testForAll
              "the share of states from anywhere is what the setting says and falls to nothing by half of the training"
              40
              (Gen.zip (Gen.zip (sizes 1 200) (between 0.0 1.0)) (between 0.0 1.0))
              (fun ((batch, share), progress) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create (BetaSchedule.Geometric(0.01, 20.0)) 8
                  // all of the model's samples lie at 5, where no point of the box comes near
                  let own = Tensors.ofArray cpu [ 1; 2 ] [| 5.0f; 5.0f |]
                  let kind = NoisyStates.during progress (OwnSamples(10, share))
                  let left = share * max 0.0 (1.0 - 2.0 * progress)
                  Expect.equal kind (OwnSamples(10, left)) "kind"
                  let points = values (NoisyStates.draw cpu s own 2 kind (Array.zeroCreate batch) (key batch))

                  let anywhere =
                      Seq.init batch (fun row -> points[2 * row]) |> Seq.filter (fun x -> x < 3.0) |> Seq.length

                  Expect.equal anywhere (int (floor (float batch * left))) "anywhere")

          testCase "states with heavy tails stay what they are during the whole training" (fun () ->
              Expect.equal (NoisyStates.during 0.9 (CauchyStates 0.5)) (CauchyStates 0.5) "states by the end")

          testForAll
              "the learning rate holds for half of the updates and falls to a hundredth, the averaging forgets the start"
              60
              (Gen.zip (sizes 2 5000) (between 1e-4 1e-2))
              (fun (updates, rate) ->
                  let at update = Training.learningRate rate updates (int64 update)
                  Expect.equal (at 0) rate "learning rate at the start"
                  Expect.equal (at (updates / 2)) rate "learning rate half way"
                  Expect.floatClose (within 5e-13) (at updates) (0.01 * rate) "learning rate at the end"

                  Expect.floatClose
                      (within (4.0 * rate / float updates))
                      (at (updates - updates / 4))
                      (0.505 * rate)
                      "learning rate after three quarters"
                  // a plain mean of the last tenth or so at first, the rate itself in the end
                  Expect.equal (Training.averaging rate 0L) 1.0 "averaging"
                  Expect.floatClose (within 5e-13) (Training.averaging rate 90L) (max rate 0.1) "averaging"
                  Expect.equal (Training.averaging rate 10_000_000L) rate "averaging")

          testForAll
              "rows taken several at a time give what single rows give, however many there are"
              60
              (Gen.zip (sizes 1 2100) (sizes 1 4))
              (fun (rows, dim) ->
                  use _ = torch.NewDisposeScope()
                  let x = Key.normal cpu [ rows; dim ] (key rows)

                  let single (v: float32[]) start =
                      let mutable sum = 0.0f

                      for j in 0 .. dim - 1 do
                          sum <- sum * 3.0f + v[start + j]

                      float sum

                  let several () (point: Numerics.Vector<float32>[]) =
                      let mutable sum = Numerics.Vector<float32>.Zero

                      for j in 0 .. dim - 1 do
                          sum <- sum * Numerics.Vector<float32> 3.0f + point[j]

                      sum

                  Expect.equal
                      (values (Rows.mapLanes several x))
                      (values (Rows.map single x))
                      "rows taken several at a time")

          testCase "settings that cannot work are refused by name" (fun () ->
              let refused words change =
                  failsWith words (fun () ->
                      RssmTrainer.create cpu (change SamplerConfig.standard) Targets.pair |> ignore)

              refused [ "draws (K) is 0" ] (fun c -> { c with Draws = 0 })
              refused [ "draws (K) is 1"; "at least 2" ] (fun c -> { c with Draws = 1; Jackknife = false })
              refused [ "draws (K) is 5"; "even" ] (fun c -> { c with Draws = 5; Jackknife = true })
              refused [ "timesteps (T) is 0" ] (fun c -> { c with Timesteps = 0 })
              refused [ "batch is 0" ] (fun c -> { c with Batch = 0 })
              refused [ "sharpness is 0" ] (fun c -> { c with Sharpness = 0.0 })
              refused [ "temperature is 0" ] (fun c -> { c with Temperature = 0.0 })
              refused [ "temperature is -1" ] (fun c -> { c with Temperature = -1.0 })
              refused [ "OwnSamples"; "share -0.1" ] (fun c -> { c with States = OwnSamples(10, -0.1) })
              refused [ "GaussianStates"; "positive" ] (fun c -> { c with States = GaussianStates 0.0 }))

          testCase "an energy that is not finite or of a wrong shape is named with its value and timestep" (fun () ->
              let step energy () =
                  let model =
                      RssmTrainer.create
                          cpu
                          { SamplerConfig.standard with Batch = 8; Draws = 4; Hidden = [ 8 ] }
                          (Target.create "mine" 2 3.0 energy)

                  let state = RssmTrainer.init model (key 1)
                  RssmTrainer.step model (key 2) state |> ignore

              let first (x: Tensor) : Tensor = x.select (1L, 0L)
              failsWith [ "'mine'"; "NaN"; "timestep"; "finite" ] (step (fun x -> (first x).log()))
              failsWith [ "'mine'"; "Infinity"; "timestep" ] (step (fun x -> (first x).div(Scalars.ofFloat 0.0)))
              failsWith [ "'mine'"; "shape" ] (step (fun x -> x))
              // A huge but finite energy is no error.
              step (fun x -> (first x).mul(Scalars.ofFloat 1e4)) ()

              failsWith [ "0 samples" ] (fun () ->
                  let model = RssmTrainer.create cpu SamplerConfig.standard Targets.pair
                  RssmTrainer.sampleBox model (NoiseNetwork.init cpu model.Noise (key 1)) 0 (key 2) |> ignore))

          let rec permutations items =
              match items with
              | [] -> [ [] ]
              | _ ->
                  [ for x in items do
                        for rest in permutations (List.filter ((<>) x) items) -> x :: rest ]

          testForAll "Wasserstein-2 is the best of all pairings" 40 (Gen.zip (sizes 1 5) seeds) (fun (n, seed) ->
              let struct (first, second) = Key.split (key seed)

              let a, b =
                  Tensors.toArray (Key.normal cpu [ n; 2 ] first), Tensors.toArray (Key.normal cpu [ n; 2 ] second)

              let cost pairing =
                  pairing
                  |> List.mapi (fun i j ->
                      Seq.sum (seq { for d in 0..1 -> (float a[2 * i + d] - float b[2 * j + d]) ** 2.0 }))
                  |> List.average

              let best = permutations [ 0 .. n - 1 ] |> List.map cost |> List.min |> sqrt
              Expect.floatClose (within 1e-6) (Measures.wasserstein2 2 a b) best "wasserstein2")

          testCase
              "measures of exact samples are near zero and those of naive Langevin see its wrong mode weights"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let exact seed = Tensors.toArray (Targets.pair.Sample.Value 20_000 (key seed))
                  let kl = Measures.divergence Targets.pair (exact 1)
                  Expect.isTrue (abs kl.Value < 0.01 && Measures.modeWeightError Targets.pair (exact 1) < 0.01) $"{kl}"

                  Expect.inRange
                      (Measures.energyDistance 2 (Array.sub (exact 1) 0 4000) (Array.sub (exact 2) 0 4000))
                      (-0.02, 0.02)
                      "energy distance"

                  Expect.equal (Measures.modesFound Targets.pair (exact 1)) 2 "modes found"
                  let wrong = Tensors.toArray (Langevin.sample Langevin.naive Targets.pair 2000 (key 3))
                  Expect.inRange (Measures.modeWeightError Targets.pair wrong) (0.2, 0.4) "mode weight error"
                  Expect.inRange ((Measures.divergence Targets.pair wrong).Value) (0.1, 0.5) "divergence")

          testCase "the score's error is the relative error itself" (fun () ->
              use _ = torch.NewDisposeScope()
              let schedule = Schedule.create (BetaSchedule.Geometric(0.01, 20.0)) 32

              for target in [ Targets.gaussian; Targets.eight ] do
                  let errors factor =
                      let score t y = (target.NoisedScore.Value schedule.AlphaBars[t] y).mul(Scalars.ofFloat factor)
                      Measures.scoreErrors schedule target score 500 (key 5)

                  for e in errors 1.0 do
                      Expect.equal e.Error 0.0 "error"

                  for e in errors 1.1 do
                      Expect.floatClose (within 1e-5) e.Error 0.1 "error"

                  for e in errors 0.75 do
                      Expect.floatClose (within 1e-5) e.Error 0.25 "error")

          testCase "the energy distance is its sums, and grows with a shift" (fun () ->
              let points n seed = values (Key.normal cpu [ n; 2 ] (key seed)) |> Array.map float32
              let a, b = points 7 1, points 5 2

              let distance (x: float32[]) i (y: float32[]) j =
                  sqrt ((float x[2 * i] - float y[2 * j]) ** 2.0 + (float x[2 * i + 1] - float y[2 * j + 1]) ** 2.0)

              // within a set over pairs of different points
              let apart (x: float32[]) =
                  let n = x.Length / 2

                  List.sum
                      [ for i in 0 .. n - 1 do
                            for j in 0 .. n - 1 do
                                distance x i x j ]
                  / float (n * (n - 1))

              let between =
                  List.sum
                      [ for i in 0..6 do
                            for j in 0..4 do
                                distance a i b j ]
                  / 35.0

              Expect.floatClose
                  (within 1e-9)
                  (Measures.energyDistance 2 a b)
                  (2.0 * between - apart a - apart b)
                  "energy distance"

              let many, shifted = points 2000 3, points 2000 4 |> Array.map ((+) 1.0f)
              // of N(0, I) and N((1, 1), I), whose difference is N(·, 2I): about 0.7
              Expect.inRange (Measures.energyDistance 2 many shifted) (0.5, 0.9) "energy distance")

          testCase "a mode without samples of its own is not found, however near its neighbours" (fun () ->
              use _ = torch.NewDisposeScope()

              for target in [ Targets.eight; Targets.forty ] do
                  let samples = values (target.Sample.Value 20_000 (key 1)) |> Array.map float32
                  let modes = List.toArray target.Modes

                  let nearest i =
                      modes
                      |> Array.indexed
                      |> Array.minBy (fun (_, m) ->
                          (float samples[2 * i] - m.Centre[0]) ** 2.0
                          + (float samples[2 * i + 1] - m.Centre[1]) ** 2.0)
                      |> fst

                  let owners = Array.init 20_000 nearest
                  Expect.equal (Measures.modesFound target samples) modes.Length "modes found"

                  for missed in 0 .. modes.Length - 1 do
                      let kept =
                          [| for i in 0..19_999 do
                                 if owners[i] <> missed then
                                     samples[2 * i]
                                     samples[2 * i + 1] |]

                      Expect.equal (Measures.modesFound target kept) (modes.Length - 1) "modes found")

          testCase "the error stated with a divergence is its spread over independent draws" (fun () ->
              use _ = torch.NewDisposeScope()
              let wrong = Targets.eight
              // draws of another density, where the error is that of the mean logarithm and not of the counts' squares
              let drawn seed = values (Targets.pair.Sample.Value 4000 (key seed)) |> Array.map float32
              let found = [ for seed in 1..30 -> Measures.divergence wrong (drawn seed) ]
              let mean = found |> List.averageBy _.Value
              let spread = sqrt ((found |> List.sumBy (fun d -> (d.Value - mean) ** 2.0)) / 29.0)
              let stated = found |> List.averageBy _.Error
              Expect.inRange (stated / spread) (0.6, 1.6) "stated error over the spread")

          testCase "measures refuse what is not a set of points in the plane" (fun () ->
              let some = [| 0.0f; 1.0f; 2.0f; 3.0f |]
              let holed = [| 0.0f; 1.0f; nanf; 3.0f |]

              let measures: (float32[] -> unit) list =
                  [ fun x -> Measures.divergence Targets.pair x |> ignore
                    fun x -> Measures.wasserstein2 2 x some |> ignore
                    fun x -> Measures.energyDistance 2 some x |> ignore
                    fun x -> Measures.modeWeightError Targets.pair x |> ignore
                    fun x -> Measures.modesFound Targets.pair x |> ignore ]

              for measure in measures do
                  failsWith [ "no rows" ] (fun () -> measure [||])
                  failsWith [ "NaN in row 1" ] (fun () -> measure holed)
                  failsWith [ "row 1" ] (fun () -> measure [| 0.0f; 1.0f; 2.0f |])

              let line = Target.create "line" 1 1.0 (fun x -> x.sum 1L)
              failsWith [ "'line'"; "dimension 1" ] (fun () -> Measures.divergence line some |> ignore))

          testCase "known normalisers make densities integrate to one" (fun () ->
              use _ = torch.NewDisposeScope()

              for target in Targets.all do
                  match target.LogNormaliser with
                  | Some normaliser when target.Dim = 2 ->
                      let n = 500
                      let cell = 2.0 * target.HalfWidth / float n
                      let at i = float32 ((float i + 0.5) * cell - target.HalfWidth)

                      let grid =
                          Tensors.ofArray
                              cpu
                              [ n * n; 2 ]
                              [| for i in 0 .. n * n - 1 do
                                     at (i % n)
                                     at (i / n) |]

                      let total =
                          values (target.LogDensity grid) |> Array.sumBy (fun l -> exp (l - normaliser) * cell * cell)

                      Expect.floatClose (within 5e-3) total 1.0 "integral of the density"
                  | _ -> ())

          testCase
              "annealed Langevin settles at the target's own temperature, and a cooling that never ends is refused"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  let deviation config =
                      let x = values (Langevin.sample config Targets.gaussian 4000 (key 5))
                      let along = [| for i in 0..2 .. x.Length - 1 -> x[i] |]
                      let mean = Array.average along
                      sqrt (along |> Array.averageBy (fun v -> (v - mean) ** 2.0))

                  Expect.inRange (deviation Langevin.annealed) (1.1, 1.3) "annealed"
                  // without rest the last steps are too few to lose the heat
                  Expect.inRange (deviation { Langevin.annealed with Cooling = 1.0 }) (1.35, 5.0) "deviation"

                  failsWith [ "cooling is 0" ] (fun () ->
                      Langevin.sample { Langevin.annealed with Cooling = 0.0 } Targets.pair 10 (key 1) |> ignore)) ]
