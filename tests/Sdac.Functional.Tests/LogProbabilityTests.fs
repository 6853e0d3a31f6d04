module Sdac.Tests.LogProbabilityTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private cpu = Compute.cpu
let private column (numbers: float[]) = Tensors.ofArray cpu [ numbers.Length; 1 ] (Array.map float32 numbers)

/// n equally likely values of a standard normal in order, of variance one: means over them have no sampling error.
let internal strata (n: int) : float[] =
    let z = Array.init n (fun i -> NormalInterval.inversePhi ((float i + 0.5) / float n))
    let deviation = sqrt (z |> Array.averageBy (fun z -> z * z))
    z |> Array.map (fun z -> z / deviation)

let private authors = Schedule.create BetaSchedule.ContinuousCosine 20

/// A Gaussian policy of mean m and covariance R diag(v) Rᵀ in two dimensions, R a turn by this angle, and its exact network:
/// ε = √(1-ᾱ)·(ᾱΣ + (1-ᾱ)I)⁻¹(x - √ᾱ m).
type private Gaussian = { Mean: float[]; Variance: float[]; Turn: float }

let private rotation (g: Gaussian) =
    let c, s = cos g.Turn, sin g.Turn
    Tensors.ofArray cpu [ 2; 2 ] (Array.map float32 [| c; -s; s; c |])

let private inverse (g: Gaussian) (bar: float) =
    let r = rotation g
    let each = g.Variance |> Array.map (fun v -> float32 (1.0 / (bar * v + 1.0 - bar)))
    r.mm(torch.diag (Tensors.ofArray cpu [ 2 ] each)).mm(r.t ())

let private row (numbers: float[]) = Tensors.ofArray cpu [ 1; numbers.Length ] (Array.map float32 numbers)

let private exact (s: Schedule) (g: Gaussian) (t: int) (x: Tensor) : Tensor =
    x
        .sub((row g.Mean).mul(Scalars.ofFloat s.SqrtAlphaBars[t]))
        .mm(inverse g s.AlphaBars[t])
        .mul(Scalars.ofFloat s.SqrtOneMinusAlphaBars[t])

let private differentiate (s: Schedule) (g: Gaussian) (t: int) (x: Tensor) : Vjp<Tensor> =
    let back (d: Tensor) = (d.mm (inverse g s.AlphaBars[t])).mul(Scalars.ofFloat s.SqrtOneMinusAlphaBars[t])
    new Vjp<Tensor>(exact s g t x, (fun d -> struct (d, back d)), id, back, ignore)

let private drawn (g: Gaussian) (n: int) (key: Key) : Tensor =
    let z = (Key.normal cpu [ n; 2 ] key).mul(row (Array.map sqrt g.Variance))
    z.mm((rotation g).t()).add(row g.Mean)

let private logDensity (g: Gaussian) (a: Tensor) =
    let apart = a.sub (row g.Mean)
    let r = rotation g

    let precision =
        r.mm(torch.diag (Tensors.ofArray cpu [ 2 ] (g.Variance |> Array.map (fun v -> float32 (1.0 / v))))).mm(r.t ())

    let constant = log (2.0 * Math.PI) + 0.5 * Array.sumBy log g.Variance
    apart.mm(precision).mul(apart).sum(1L).mul(Scalars.ofFloat -0.5).sub(Scalars.ofFloat constant)

let private entropyOf (g: Gaussian) = log (2.0 * Math.PI * Math.E) + 0.5 * Array.sumBy log g.Variance
let private mean (t: Tensor) = Tensors.scalar (t.mean ())

/// What the sum over timesteps gives for the entropy of an exact Gaussian network with endless draws: the errors are known.
let private summedEntropy (s: Schedule) (g: Gaussian) =
    let weights = LogProbability.weights s

    let cell t v =
        let bar = s.AlphaBars[t]
        // the mean over a and ε of (ε̂ - ε)²: the posterior variance of x_0, times ᾱ/(1-ᾱ)
        weights[t] * (bar - bar * v / (bar * v + 1.0 - bar))

    let gained =
        Seq.sum (
            seq {
                for t in 0 .. s.Timesteps - 1 do
                    for v in g.Variance -> cell t v
            }
        )

    log (2.0 * Math.PI * Math.E) - gained

let private gaussians =
    gen {
        let! m = Gen.arrayOfLength 2 (between -0.4 0.4)
        let! v = Gen.arrayOfLength 2 (between 0.03 1.0)
        let! turn = between 0.0 3.0
        let! seed = sizes 0 100_000
        return { Mean = m; Variance = v; Turn = turn }, Key.ofSeed (int64 seed)
    }

let private zero (_: int) (x: Tensor) = torch.zeros_like x

let private estimate clips predict (actions: float[]) (draws: float[]) =
    let noise _ =
        (Tensors.ofArray cpu [ 1; draws.Length; 1 ] (Array.map float32 draws)).expand(actions.LongLength, -1L, -1L)

    LogProbability.noiseErrors clips authors predict noise (column actions) |> values

/// A random network for one state and an action of one component, and the trapezoid rule over its density.
let private mass clips (form: LogProbabilityForm) (key: Key) =
    let schedule = Schedule.create (BetaSchedule.Geometric(0.02, 60.0)) 100
    let net = NoiseNetwork.create 1 1 8 16 [ 24; 24 ]
    let p = NoiseNetwork.init cpu net key
    let n, width = 1201, 12.0
    let places = Array.init n (fun i -> width * (float i / float (n - 1) - 0.5))
    let obs = Tensors.zeros cpu [ n; 1 ]
    let policy = PolicyNoise.ofNoiseNetwork cpu net p 100 obs

    let settings = { LikelihoodSettings.off with LogProbability = form; LikelihoodClip = clips }

    let log_ = (LogProbability.ofActions settings cpu schedule policy key (column places)).Value
    Tensors.scalar (log_.exp().sum()) * width / float (n - 1)

[<Tests>]
let tests =
    testList
        "log-probability"
        [ testCase "the weights of the timesteps have the reference sheet's numbers" (fun () ->
              let w = LogProbability.weights authors
              closeTo 1e-4 "w" [| 0.50158; 0.36458; 1.3067; 51.397 |] [| w[0]; w[1]; w[18]; w[19] |]
              closeTo 1e-6 "Σ w·ᾱ" [| 2.345699 |] [| Array.sum (Array.map2 (*) w authors.AlphaBars) |])

          testCase "with the exact network of N(0, 1) it is the reference sheet's closed form" (fun () ->
              use _ = torch.NewDisposeScope()
              let predict t (x: Tensor) = x.mul (Scalars.ofFloat authors.SqrtOneMinusAlphaBars[t])

              closeTo
                  2e-4
                  "at 0, 0.5, 1"
                  [| -0.918995; -1.043981; -1.418939 |]
                  (estimate false predict [| 0.0; 0.5; 1.0 |] (strata 4001)))

          testCase "an untrained network is endlessly wide without the clip, a density of the box with it" (fun () ->
              use _ = torch.NewDisposeScope()
              let at = [| 0.0; 0.5; 1.0 |]
              closeTo 1e-2 "no clip" [| -56.361 |] (estimate false zero [| 0.0 |] (strata 4001))
              closeTo 1e-3 "clip" [| -1.536; -1.407; -0.672 |] (estimate true zero at (strata 4001)))

          testForAll
              "the flow's log-probability is a Gaussian policy's, its mean the exact entropy, by all of the divergence or by probes"
              12
              gaussians
              (fun (g, key) ->
                  use _ = torch.NewDisposeScope()
                  let schedule = Schedule.create (BetaSchedule.Geometric(0.005, 200.0)) 200
                  let a = drawn g 2_000 (Key.foldIn 1L key)
                  let got = LogProbability.flow false schedule (differentiate schedule g) [] a
                  closeTo 0.01 "log π" (values (logDensity g a)) (values got)
                  Expect.isLessThan (abs (-(mean got) - entropyOf g)) 0.05 "entropy" // 2,000 actions: deviation 0.022

                  let probe i =
                      (Key.uniform cpu [ 2_000; 2 ] (Key.foldIn i key)).ge(Scalars.ofFloat 0.5).``to``(torch.float32)

                  let probes = [ for i in 2L .. 9L -> (probe i).mul(Scalars.ofFloat 2.0).sub(Scalars.ofFloat 1.0) ]
                  let probed = LogProbability.flow false schedule (differentiate schedule g) probes a
                  Expect.isLessThan (abs (mean probed - mean got)) 0.03 "probes")

          testForAll
              "the errors' sum has a Gaussian policy's entropy but for its steps, which it comes near with many"
              12
              gaussians
              (fun (g, key) ->
                  use _ = torch.NewDisposeScope()

                  let entropy timesteps =
                      let schedule = Schedule.create (BetaSchedule.Geometric(0.01, 100.0)) timesteps
                      let a = drawn g 4_000 (Key.foldIn 1L key)
                      let noise t = Key.normal cpu [ 4_000; 4; 2 ] (Key.at t (Key.foldIn 2L key))
                      let got = LogProbability.noiseErrors false schedule (exact schedule g) noise a
                      struct (-(mean got), summedEntropy schedule g)

                  let struct (few, fewWanted) = entropy 20
                  let struct (many, manyWanted) = entropy 200
                  Expect.isLessThan (abs (few - fewWanted)) 0.15 "20 steps"
                  Expect.isLessThan (abs (many - manyWanted)) 0.08 "200 steps"
                  Expect.isLessThan (abs (manyWanted - entropyOf g)) 0.12 "towards the exact entropy"
                  Expect.isGreaterThan fewWanted manyWanted "from above")

          testForAll
              "whatever the network, the flow's density has mass 1, clipped or not"
              4
              (Gen.zip (Gen.elements [ true; false ]) (sizes 0 1000))
              (fun (clips, seed) ->
                  use _ = torch.NewDisposeScope()
                  let found = mass clips LogProbabilityForm.Flow (Key.ofSeed (int64 seed))
                  // with the clip a layer at the walls, as thin as the first timestep's noise, is crossed in one step
                  Expect.isLessThan (abs (found - 1.0)) (if clips then 0.16 else 0.02) $"mass {found}")

          testForAll
              "both networks are asked what they predict row by row, on kernels and in libtorch"
              10
              (sizes 0 1000 |> Gen.map (int64 >> Key.ofSeed))
              (fun key ->
                  use _ = torch.NewDisposeScope()
                  let n, batch, times = 3, 4, [| -2.0; 0.5; 3.0 |]
                  let obs, x = Key.normal cpu [ batch; 5 ] key, Key.normal cpu [ batch * n; 2 ] (Key.foldIn 1L key)
                  let repeated = obs.repeat_interleave (int64 n, Nullable 0L)
                  let noiseNet = NoiseNetwork.create 5 2 8 16 [ 12; 9 ]

                  let actionNet =
                      ActionNetwork.create 5 2 [ TimeEmbedding.Qsm ] (ActionLayers.Plain(HiddenLayers.mish [ 12 ]))

                  let p = NoiseNetwork.init cpu noiseNet key
                  let q = ActionNetwork.initWith InitialWeights.TorchUniform cpu actionNet key

                  for compute in [ cpu; Compute.libtorch ] do
                      let noise = PolicyNoise.ofNoiseNetwork compute noiseNet p 3 obs
                      let action = PolicyNoise.ofActionNetwork compute actionNet q times obs

                      for t in 0..2 do
                          let wanted = NoiseNetwork.forward cpu noiseNet p repeated x (Array.create (batch * n) t)
                          let told = [ Array.create (batch * n) times[t] ]
                          let other = ActionNetwork.forward cpu actionNet q repeated x told
                          closeTo 2e-5 "noise network" (values wanted) (noise.Predict t x |> values)
                          closeTo 2e-5 "action network" (values other) (action.Predict t x |> values)
                          let one = x.narrow (0L, 0L, int64 batch)
                          let single = PolicyNoise.ofNoiseNetwork compute noiseNet p 3 obs
                          use first = single.Differentiate t one
                          use second = action.Differentiate t one
                          let alone = NoiseNetwork.forward cpu noiseNet p obs one (Array.create batch t)
                          closeTo 2e-5 "noise network" (values alone) (values first.Output)
                          let told = [ Array.create batch times[t] ]

                          closeTo
                              2e-5
                              "action network"
                              (ActionNetwork.forward cpu actionNet q obs one told |> values)
                              (values second.Output))

          testCase
              "the settings choose the form, its clip, draws and probes; each timestep has noise of its own"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let key, schedule = Key.ofSeed 4L, Schedule.create BetaSchedule.Cosine 6
                  let net = NoiseNetwork.create 3 2 8 16 [ 12 ]
                  let p = NoiseNetwork.init cpu net key
                  let obs, a = Key.normal cpu [ 5; 3 ] key, (Key.normal cpu [ 5; 2 ] (Key.foldIn 1L key)).tanh()
                  let policy = PolicyNoise.ofNoiseNetwork cpu net p 6 obs
                  let ask settings = LogProbability.ofActions settings cpu schedule policy key a
                  let settings = { LikelihoodSettings.maxEntDp with LikelihoodDraws = 3 }
                  let noise t = Key.normal cpu [ 5; 3; 2 ] (Key.at t key)

                  for clips in [ true; false ] do
                      closeTo
                          1e-6
                          "errors"
                          (LogProbability.noiseErrors clips schedule policy.Predict noise a |> values)
                          ((ask { settings with LikelihoodClip = clips }).Value |> values)

                      let flow = { settings with LogProbability = LogProbabilityForm.Flow; LikelihoodClip = clips }
                      let whole = LogProbability.flow clips schedule policy.Differentiate [] a |> values
                      closeTo 1e-6 "flow" whole ((ask flow).Value |> values)
                      let probed = (ask { flow with FlowProbes = 400 }).Value |> values
                      closeTo 0.15 "many probes" whole probed
                      Expect.differs probed whole "random directions"

                  let struct (none, uses) = KeyTrace.during (fun () -> ask LikelihoodSettings.off)
                  Expect.isNone none "off"
                  Expect.isEmpty uses "off draws nothing"

                  let struct (_, uses) = KeyTrace.during (fun () -> ask settings)

                  let drawn =
                      uses
                      |> List.choose (function
                          | Numbers key -> Some key
                          | Keys _ -> None)

                  Expect.equal drawn.Length 6 "a key for each timestep"
                  Expect.equal (List.distinct drawn) drawn "another key for each")

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = LikelihoodSettings.problems (change LikelihoodSettings.maxEntDp)
              Expect.equal (problems id) [] "possible"

              Expect.equal
                  (problems (fun l -> { l with LikelihoodDraws = 0 }))
                  [ "likelihoodDraws is 0; it must be at least 1" ]
                  "draws"

              Expect.equal
                  (problems (fun l -> { l with FlowProbes = -1 }))
                  [ "flowProbes is -1; it must be at least 0" ]
                  "probes") ]
