module Sdac.Tests.DqsTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Testing

let private cpu = Compute.cpu
let private preserving = DqsProcess.Preserving(BetaSchedule.Linear 0.8)

let private small: DqsConfig =
    { DqsConfig.published with
        Hidden = [ 10; 10 ]
        CriticHidden = [ 12; 9 ]
        Networks.Activation = HiddenActivation.Mish // smooth, so that float64 sees the same slopes
        Networks.InitialWeights = InitialWeights.TorchUniform
        Process = DqsProcess.Exploding(0.01, 1.0)
        Timesteps = 6
        MonteCarloDraws = 5
        Temperature = 0.7
        TemperatureEnd = 0.7
        Data.BatchSize = batchSize }

let private configs =
    gen {
        let! diffusion = Gen.elements [ small.Process; preserving ]
        let! draws = Gen.elements [ DqsDraws.Free; DqsDraws.Clipped; DqsDraws.Truncated ]
        let! estimator = Gen.elements [ DqsEstimator.Gradient; DqsEstimator.Noise; DqsEstimator.Blended 0.1 ]
        let! box = Gen.elements [ DqsBox.Tanh; DqsBox.Clip; DqsBox.TanhDensity ]
        let! anchor = Gen.elements [ DqsAnchor.Replay; DqsAnchor.Policy ]
        let! tau = between 0.1 3.0
        let! best = sizes 1 3
        let! normalise = Gen.elements [ true; false ]

        return
            { small with
                Process = diffusion
                Draws =
                    (if box = DqsBox.TanhDensity && diffusion <> preserving then
                         DqsDraws.Free
                     else
                         draws)
                Estimator = estimator
                Box = (if diffusion = preserving && box = DqsBox.TanhDensity then DqsBox.Tanh else box)
                Anchor = anchor
                NormaliseGradient = normalise
                Temperature = tau
                TemperatureEnd = tau
                BestOf = { BehaviourParticles = best; TargetParticles = best; EvaluationParticles = best } }
    }

let private started (config: DqsConfig) (key: Key) : DqsUpdate =
    let model = DqsPolicy.model cpu space config

    Dqs.start
        model
        (Dqs.drawNoise model batchSize (Key.foldIn 1L key))
        (batchOf (Key.foldIn 2L key))
        (DqsPolicy.init model (Key.foldIn 3L key))

let private others (u: DqsUpdate) (key: Key) : TwinCritics =
    let struct (a, b) = Key.split (Key.foldIn 77L key)
    TwinCritics.init u.Model.Critics a b

/// Q = -½·k·|a - c|², of which everything is known.
let private quadratic (k: float) (c: float) : ActionValue =
    let away (actions: Tensor) = actions.sub (Scalars.ofFloat c)
    let values (actions: Tensor) = (away actions).square().sum(2L).mul(Scalars.ofFloat (-0.5 * k))

    { Values = fun _ actions -> values actions
      WithSlopes = fun _ actions -> struct (values actions, (away actions).mul(Scalars.ofFloat -k)) }

let private flat: ActionValue =
    { Values = fun _ actions -> actions.sum(2L).mul(Scalars.ofFloat 0.0)
      WithSlopes = fun _ actions -> struct (actions.sum(2L).mul(Scalars.ofFloat 0.0), torch.zeros_like actions) }

let private oneDim = { ObsDim = 1; ActionDim = 1 }
let private column (values: float list) = Tensors.ofArray cpu [ values.Length; 1 ] [| for v in values -> float32 v |]

/// The score of one noised action by given draws. keep = √ᾱ or 1, deviation = √(1-ᾱ) or √h.
let private scoreOf config value tau keep deviation (noised: float) (draws: Tensor) =
    use _ = torch.NewDisposeScope()
    let model = DqsPolicy.model cpu oneDim config
    let rows = { Times = []; Keep = [| keep |]; Deviation = [| deviation |]; Weight = [| 1.0 |] }

    DqsScore.score model value tau rows (column [ 0.0 ]) (column [ noised ]) draws
    |> values
    |> Array.head

/// The target of a noise network, -√(1-ᾱ) times the score, at ᾱ.
let private noiseOf config value tau (bar: float) noised draws =
    -sqrt(1.0 - bar) * scoreOf config value tau (sqrt bar) (sqrt (1.0 - bar)) noised draws

let private three () = Tensors.ofArray cpu [ 1; 3; 1 ] [| -1f; 0f; 1f |]
let private many key = Key.normal cpu [ 1; 400_000; 1 ] (Key.ofSeed key)

let private preserved estimator draws = { small with Process = preserving; Estimator = estimator; Draws = draws }

let private near tolerance (want: float) (got: float) what =
    Expect.isTrue (abs (got - want) <= tolerance) $"{what}: got {got}, wanted {want}"

// ---- the loss a second time, in float64, from the sheet's equations

let private doubleLoss (u: DqsUpdate) (critics: TwinCritics) (action: Tensor) (policy: Tensor) : Tensor =
    let c, net = u.Model.Config, u.Model.Critics.Net
    let column (xs: float[]) = torch.tensor(xs).unsqueeze 1L
    let tau = c.Temperature

    let keep, deviation, weight, times =
        match c.Process with
        | DqsProcess.Exploding(low, high) ->
            let h = u.Noise.Times |> Array.map (fun x -> low * low * ((high / low) ** (2.0 * x) - 1.0))

            Array.map (fun _ -> 1.0) h,
            Array.map sqrt h,
            Array.map (fun h -> h + 1e-3) h,
            [ u.Noise.Times; Array.map (fun _ -> tau) h ]
        | DqsProcess.Preserving schedule ->
            let bars = (Schedule.create schedule c.Timesteps).AlphaBars
            let t = u.Noise.Times |> Array.map (fun x -> int (x * float c.Timesteps))
            let bar = t |> Array.map (fun t -> bars[t])

            Array.map sqrt bar,
            Array.map (fun b -> sqrt (1.0 - b)) bar,
            Array.map (fun _ -> 1.0) bar,
            [ Array.map float t ]

    let a = Doubles.double action

    let place =
        if c.Box = DqsBox.TanhDensity then
            a.clamp(Scalars.ofFloat -0.999, Scalars.ofFloat 0.999).atanh()
        else
            a

    let noised = (column keep).mul(place).add((column deviation).mul(Doubles.double u.Noise.Forward))
    let leaf = noised.detach().requires_grad_()
    let k = c.MonteCarloDraws
    let wide (t: Tensor) = t.unsqueeze 1L
    let scale, spread = (column keep).reciprocal() |> wide, ((column deviation).div(column keep)) |> wide

    let noise =
        match c.Draws with
        | DqsDraws.Truncated ->
            let struct (noise, _) =
                Rssm.truncatedAround
                    cpu
                    (Array.map (fun k -> 1.0 / k) keep)
                    (Array.map2 (/) deviation keep)
                    (noised.``to`` torch.float32)
                    u.Noise.Draws

            Doubles.double noise
        | _ -> Doubles.double u.Noise.Draws

    let free = scale.mul(wide leaf).sub(spread.mul noise)
    let one = Scalars.ofFloat 1.0

    let x =
        match c.Draws with
        | DqsDraws.Free -> free
        | DqsDraws.Clipped -> free.clamp (Scalars.ofFloat -1.0, one)
        | DqsDraws.Truncated -> free // held where rounding would clip it

    let done_ = if c.Box = DqsBox.TanhDensity then x.tanh () else x
    let rows = (Doubles.double u.Batch.Obs).repeat_interleave(int64 k, Nullable 0L)

    let q p =
        (Doubles.q net (Doubles.double p.Flat) rows (done_.reshape (int64 (batchSize * k), 2L)))
            .view(int64 batchSize, int64 k)

    let q = (q critics.Q1).minimum(q critics.Q2)

    // the mean slope at the actions themselves
    let q =
        if c.NormaliseGradient then
            let at = (Doubles.double (done_.detach().``to`` torch.float32)).requires_grad_()

            let value p = Doubles.q net (Doubles.double p.Flat) rows (at.reshape (int64 (batchSize * k), 2L))

            let sum = (value critics.Q1).minimum(value critics.Q2).sum()
            let slope = torch.autograd.grad([| sum |], [| at |])[0]
            q.div (slope.abs().mean().add(Scalars.ofFloat 1e-6).detach())
        else
            q

    let energy = q.div (Scalars.ofFloat tau)

    let energy =
        if c.Box = DqsBox.TanhDensity then
            energy.add (done_.square().neg().add(one).log().sum 2L)
        else
            energy

    let byGradient () = torch.autograd.grad([| energy.logsumexp(1L).sum() |], [| leaf |])[0]

    let byNoise () = (energy.softmax(1L).unsqueeze(2L).mul(noise).sum 1L).div((column deviation).neg()).detach()

    let score =
        match c.Estimator with
        | DqsEstimator.Gradient -> byGradient ()
        | DqsEstimator.Noise -> byNoise ()
        | DqsEstimator.Blended v ->
            let h = (column deviation).square().div((column keep).square())
            let share = h.div (h.add (Scalars.ofFloat v))
            let gradient, noise = byGradient (), byNoise ()
            (noise.mul share).add(gradient.mul (share.neg().add one))

    let target =
        match c.Process with
        | DqsProcess.Exploding _ -> score.detach ()
        | DqsProcess.Preserving _ -> score.detach().mul((column deviation).neg())

    let output =
        ChainTests.doubleNetwork u.Model.Policy policy (Doubles.double u.Batch.Obs) (noised.detach ()) times

    (output.sub target).square().mul(column weight).mean()

[<Tests>]
let tests =
    testList
        "DQS"
        [ testCase
              "with many draws the noise is the reference sheet's closed form, at three temperatures, by both estimators"
              (fun () ->
                  // 5.10a: k 4, c 0.5, ᾱ 0.5, a_t 0.2
                  for tau, wanted in [ 1.0, -0.173726; 0.5, -0.193029; 2.0, -0.144772 ] do
                      let closed = sqrt 0.5 * (0.2 - sqrt 0.5 * 0.5) / (0.5 / (4.0 / tau) + 0.5)
                      near 1e-5 wanted closed "the closed form"

                      for estimator in [ DqsEstimator.Gradient; DqsEstimator.Noise ] do
                          let got =
                              noiseOf (preserved estimator DqsDraws.Free) (quadratic 4.0 0.5) tau 0.5 0.2 (many 1L)

                          near 6e-3 wanted got $"τ {tau}, {estimator}")

          testCase "forward noise and the estimator's draws are each their own" (fun () ->
              use _ = torch.NewDisposeScope()

              for draws in [ DqsDraws.Free; DqsDraws.Clipped ] do
                  let noise =
                      Dqs.drawNoise (DqsPolicy.model cpu space { small with Draws = draws }) batchSize (Key.ofSeed 5L)

                  let forward = values noise.Forward
                  // a stream of the same key would begin alike
                  Expect.differs (values noise.Draws |> Array.truncate forward.Length) forward $"{draws}")

          testCase "with three draws, free and clipped, the estimators have the reference sheet's numbers" (fun () ->
              let got estimator draws = noiseOf (preserved estimator draws) (quadratic 4.0 0.5) 1.0 0.5 0.2 (three ())
              near 1e-5 -0.192707 (got DqsEstimator.Noise DqsDraws.Free) "noise, free"
              near 1e-5 -0.097800 (got DqsEstimator.Gradient DqsDraws.Free) "gradient, free"
              near 1e-5 -0.353824 (got DqsEstimator.Noise DqsDraws.Clipped) "noise, clipped"
              near 1e-5 -0.664456 (got DqsEstimator.Gradient DqsDraws.Clipped) "gradient, clipped")

          testCase
              "without a Q the walls alone make the score: truncated draws know it, clipped gradients give 0"
              (fun () ->
                  for bar, noised, wanted in [ 0.5, 0.3, 0.301877; 0.9, 0.9, 0.702530; 0.05, 0.3, 0.302433 ] do
                      let uniform = Key.uniform cpu [ 1; 200_000; 1 ] (Key.ofSeed 2L)
                      let got = noiseOf (preserved DqsEstimator.Noise DqsDraws.Truncated) flat 1.0 bar noised uniform
                      near 5e-3 wanted got $"ᾱ {bar}"

                      let clipped =
                          noiseOf (preserved DqsEstimator.Gradient DqsDraws.Clipped) flat 1.0 bar noised (three ())

                      near 0.0 0.0 clipped "the gradient of a constant")

          testCase
              "with the exploding process the score is the reference sheet's: .857143 at τ 1, 2.666667 at τ 0.05"
              (fun () ->
                  for tau, wanted in [ 1.0, 0.857143; 0.05, 2.666667 ] do
                      for estimator in [ DqsEstimator.Gradient; DqsEstimator.Noise ] do
                          let config = { small with Estimator = estimator }
                          let got = scoreOf config (quadratic 4.0 0.5) tau 1.0 (sqrt 0.1) 0.2 (many 3L)
                          near 0.03 wanted got $"τ {tau}, {estimator}")

          testForAll
              "blended at the variance of exp(Q/τ), three draws give the score itself, free and in both processes"
              40
              (Gen.zip (Gen.zip (between 0.05 2.0) (between -1.0 1.0)) (Gen.zip (between 0.02 0.98) keys))
              (fun ((tau, noised), (bar, key)) ->
                  let k, c = 4.0, 0.5
                  let draws = Key.normal cpu [ 1; 3; 1 ] key
                  let blended = { small with Estimator = DqsEstimator.Blended(tau / k) }
                  let h = 1.0 - bar
                  let wanted = -(k / tau) * (noised - c) / (1.0 + (k / tau) * h)
                  let got = scoreOf blended (quadratic k c) tau 1.0 (sqrt h) noised draws
                  near (1e-4 * (1.0 + abs wanted)) wanted got "exploding"

                  let config = { blended with Process = preserving }
                  let wanted = sqrt h * (noised - sqrt bar * c) / (bar * tau / k + h)
                  near 1e-3 wanted (noiseOf config (quadratic k c) tau bar noised draws) "preserving")

          testForAll
              "all estimators of the tanh density find the score of exp(Q(tanh x)/τ)·(1 - tanh²x), noised"
              6
              (Gen.zip (between -1.0 1.0) (between 0.5 2.0))
              (fun (noised, tau) ->
                  let h, k, c = 0.3, 4.0, 0.5
                  let log_ x = -0.5 * k / tau * (tanh x - c) ** 2.0 + log (1.0 - tanh x ** 2.0)
                  let grid = [| for i in -4000 .. 4000 -> float i / 500.0 |]
                  let weight x = exp (log_ x - (x - noised) ** 2.0 / (2.0 * h))
                  let total = grid |> Array.sumBy weight
                  let wanted = (grid |> Array.sumBy (fun x -> weight x * (x - noised) / h)) / total

                  for estimator in [ DqsEstimator.Gradient; DqsEstimator.Noise; DqsEstimator.Blended 0.1 ] do
                      let config = { small with Estimator = estimator; Box = DqsBox.TanhDensity }
                      let got = scoreOf config (quadratic k c) tau 1.0 (sqrt h) noised (many 4L)
                      near 0.03 wanted got $"{estimator} at {noised}")

          testForAll
              "loss and gradient of the policy are those of float64 and autograd, in every form"
              60
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let u = Dqs.reverseSample u
                  let critics = others u key
                  let flat = Doubles.leaf u.State.Policy
                  let wanted = doubleLoss u critics u.Made.Value flat
                  let gradient = torch.autograd.grad([| wanted |], [| flat |])[0]
                  let value = TwinCritics.actionValue u.Model.Critics critics
                  let struct (loss, got) = Dqs.policyGradient u value u.Made.Value
                  let doubles (t: Tensor) = values (t.``to`` torch.float32)
                  closeTo 1e-3 "loss" (doubles wanted) (values loss)
                  let scale = 1.0 + (doubles gradient |> Array.map abs |> Array.max)
                  closeTo (1e-3 * scale) "gradient" (doubles gradient) (values got))

          testForAll
              "a time of exactly 0 gives a finite loss and gradient in every form"
              30
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key

                  let u =
                      Dqs.reverseSample
                          { u with Noise = { u.Noise with Times = Array.map (fun _ -> 0.0) u.Noise.Times } }

                  let value = TwinCritics.actionValue u.Model.Critics u.State.Critics
                  let struct (loss, gradient) = Dqs.policyGradient u value u.Made.Value
                  Expect.all (values loss) Double.IsFinite "loss"
                  Expect.all (values gradient) Double.IsFinite "gradient")

          testForAll
              "many actions' slopes are those of one at a time, in pieces too"
              15
              (Gen.zip (sizes 1 9) keys)
              (fun (k, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started small key
                  let obs = u.Batch.Obs
                  let actions = Key.normal cpu [ batchSize; k; 2 ] (Key.foldIn 8L key)
                  let struct (all, slopes) = TwinCritics.actionGradients u.Model.Critics u.State.Critics obs actions

                  for i in 0 .. k - 1 do
                      let one = (actions.select (1L, int64 i)).contiguous()
                      let struct (value, slope) = TwinCritics.actionGradient u.Model.Critics u.State.Critics obs one
                      closeTo 1e-6 "value" (values value) (values ((all.select (1L, int64 i)).contiguous()))
                      closeTo 1e-5 "slope" (values slope) (values ((slopes.select (1L, int64 i)).contiguous())))

          testCase "slopes of more actions than one pass takes are those of the states one by one" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 4L)
              let obs = u.Batch.Obs
              let k = 3_000 // 16 states: 48,000 rows, several passes
              let actions = Key.normal cpu [ batchSize; k; 2 ] (Key.ofSeed 5L)
              let struct (_, slopes) = TwinCritics.actionGradients u.Model.Critics u.State.Critics obs actions

              for state in [ 0; 7; batchSize - 1 ] do
                  let rows (t: Tensor) = t.narrow (0L, int64 state, 1L)

                  let struct (_, one) =
                      TwinCritics.actionGradients u.Model.Critics u.State.Critics (rows obs) (rows actions)

                  closeTo 1e-5 $"state {state}" (values one) (values ((rows slopes).contiguous())))

          testForAll
              "the policy is matched to the critics after their step or before it, as the settings say"
              15
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()

                  for stepped in [ true; false ] do
                      let u = started { config with SteppedCritics = stepped } key
                      let learned = u |> Dqs.evaluateQ |> Dqs.reverseSample
                      let critics = if stepped then learned.Next.Critics else u.State.Critics
                      let value = TwinCritics.actionValue u.Model.Critics critics
                      let struct (loss, _) = Dqs.policyGradient u value learned.Made.Value

                      closeTo
                          1e-6
                          $"stepped {stepped}"
                          (values loss)
                          [| (Dqs.matchScore learned).Figures["policyLoss"] |])

          testForAll
              "policy, its average and the critics' averages move on every such-th update; λ on its own"
              10
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()

                  let u =
                      started
                          { config with
                              PolicyDelay = 3
                              Exploration.TemperatureLearningRate = 0.01
                              Exploration.TemperatureDelay = 2 }
                          key

                  for updates in 0L .. 6L do
                      let u = { u with State = { u.State with Updates = updates } }
                      let after = Dqs.stages |> List.fold (fun u (_, stage) -> stage u) u
                      let moved (of': DqsState -> Params) = not (obj.ReferenceEquals(of' after.Next, of' u.State))
                      Expect.equal (moved _.Policy) (updates % 3L = 0L) $"policy, update {updates}"
                      Expect.equal (moved _.TargetPolicy) (updates % 3L = 0L) $"average, update {updates}"
                      Expect.equal (moved _.Critics.TargetQ1) (updates % 3L = 0L) $"critic's average, update {updates}"
                      Expect.isTrue (moved _.Critics.Q1) "critic"

                      Expect.equal
                          (after.Next.Exploration <> u.State.Exploration)
                          (updates % 2L = 0L)
                          $"λ, update {updates}")

          testCase "stages that run too early say what is missing" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)

              let first =
                  Expect.raises<RefusedOperationException>(fun () ->
                      u |> Dqs.reverseSample |> Dqs.matchScore |> ignore)

              Expect.stringContains first.Message "put `evaluateQ` before it" "critics"

              let second =
                  Expect.raises<RefusedOperationException>(fun () -> u |> Dqs.evaluateQ |> Dqs.matchScore |> ignore)

              Expect.stringContains second.Message "put `reverseSample` before it" "actions")

          testForAll
              "actions come from the chain written step by step, in the box that the settings say, exploration on top"
              30
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()

                  let config =
                      { config with
                          BestOf = BestOfSettings.off
                          DiffusionScale = 0.8
                          InitialNoiseScale = 0.7
                          NoiseScale = 0.1
                          Exploration.InitialTemperature = 2.0 }

                  let u = started config key
                  let obs = u.Batch.Obs
                  let noise = u.Noise.Next
                  let net x times = ActionNetwork.forward cpu u.Model.Policy u.State.Policy obs x times
                  let all (v: float) = Array.create batchSize v

                  let last =
                      match config.Process with
                      | DqsProcess.Exploding(low, high) ->
                          let r, n = high / low, 6.0
                          let mutable x = noise.Chain.Initial.mul (Scalars.ofFloat (low * sqrt (r * r - 1.0)))

                          for i in 0..5 do
                              let u = 1.0 - float i / n
                              let g = low * r ** u * sqrt (2.0 * log r)
                              let score = net x [ all u; all config.Temperature ]

                              x <-
                                  x
                                      .add(score.mul (Scalars.ofFloat (g * g / n)))
                                      .add(noise.Chain.Steps[i].mul(Scalars.ofFloat (0.8 * g / sqrt n)))

                          if config.Box = DqsBox.Clip then Diffusion.clip x else x.tanh ()
                      | DqsProcess.Preserving schedule ->
                          let s = Schedule.create schedule 6
                          let mutable x = noise.Chain.Initial.mul (Scalars.ofFloat 0.7)

                          for i in 0..5 do
                              x <-
                                  Diffusion.step
                                      s
                                      ReverseStep.Posterior
                                      (5 - i)
                                      x
                                      (net x [ all (float (5 - i)) ])
                                      (Some noise.Chain.Steps[i])

                          Diffusion.clip x

                  let wanted = last.add (noise.Explore.Value.mul (Scalars.ofFloat 0.2))

                  closeTo
                      1e-4
                      "action"
                      (values wanted)
                      (DqsPolicy.sampled u.Model u.State u.State.Policy 1 noise obs |> values))

          testCase "evaluations and training take the policy or its average, noise only in training" (fun () ->
              use _ = torch.NewDisposeScope()

              for average in [ true; false ] do
                  let config = { small with AverageActs = average; NoiseScale = 0.1 }
                  let u = started config (Key.ofSeed 9L)
                  let struct (other, _) = Key.split (Key.ofSeed 10L)
                  let state = { u.State with TargetPolicy = (DqsPolicy.init u.Model other).Policy }
                  let agent = Dqs.agent u.Model

                  let act purpose (state: DqsState) =
                      (agent.Act purpose state (Key.ofSeed 11L) u.Batch.Obs).Action |> values

                  let acting = if average then state.TargetPolicy else state.Policy
                  let same = { state with Policy = acting; TargetPolicy = acting }
                  Expect.equal (act Purpose.Evaluate state) (act Purpose.Evaluate same) $"average {average}"
                  let swapped = { state with Policy = state.TargetPolicy; TargetPolicy = state.Policy }
                  Expect.differs (act Purpose.Evaluate state) (act Purpose.Evaluate swapped) "the two differ"
                  Expect.differs (act Purpose.Explore state) (act Purpose.Evaluate state) "noise")

          testCase "τ goes log-linearly from its start to its end" (fun () ->
              let c = { small with Temperature = 10.0; TemperatureEnd = 0.1; TemperatureUpdates = 100L }

              closeTo
                  1e-12
                  "τ"
                  [| 10.0; 1.0; 0.1; 0.1 |]
                  [| for n in [ 0L; 50L; 100L; 1000L ] -> DqsPolicy.temperature c n |])

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p, s = DqsConfig.published, DqsConfig.sdacPaper

              Expect.equal
                  (p.Hidden, p.CriticHidden, p.MonteCarloDraws, p.Timesteps)
                  ([ 256; 256; 256 ], [ 256; 256 ], 1_000, 20)
                  "authors"

              Expect.equal
                  (p.Process, p.Temperature, p.Adam.LearningRate)
                  (DqsProcess.Exploding(1e-5, 1.0), 0.05, 1e-3)
                  "authors"

              Expect.equal
                  (p.Box, p.Draws, p.Anchor, p.SteppedCritics)
                  (DqsBox.Tanh, DqsDraws.Free, DqsAnchor.Replay, true)
                  "authors"

              Expect.equal
                  (s.MonteCarloDraws, s.Draws, s.Anchor, s.SteppedCritics)
                  (64, DqsDraws.Clipped, DqsAnchor.Policy, false)
                  "port"

              Expect.equal
                  (s.Temperature, s.BestOf.TargetParticles, s.Critics.RewardScale, s.PolicyDelay)
                  (1.0, 32, 0.2, 2)
                  "port"

              for preset in Dqs.algorithm.Presets do
                  Expect.equal (DqsConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = DqsConfig.problems (change small) |> String.concat "; "
              let contains change (sentence: string) = Expect.stringContains (problems change) sentence sentence

              contains
                  (fun c -> { c with MonteCarloDraws = 1 })
                  "monteCarloDraws is 1; it must be at least 2: the weights of one draw"

              contains (fun c -> { c with Temperature = 0.0 }) "temperature is 0; it must be a positive number"

              contains
                  (fun c -> { c with Timesteps = 0; Process = preserving })
                  "timesteps is 0; it must be at least 1"

              contains (fun c -> { c with Process = DqsProcess.Exploding(1.0, 0.1) }) "sigmaMin is 1 and sigmaMax 0.1"
              contains (fun c -> { c with Hidden = [] }) "hidden is empty"

              contains
                  (fun c -> { c with Estimator = DqsEstimator.Blended 0.0 })
                  "estimator's variance is 0; it must be a positive number"

              contains (fun c -> { c with Box = DqsBox.TanhDensity; Draws = DqsDraws.Clipped }) "take free draws"
              contains (fun c -> { c with Box = DqsBox.TanhDensity; Process = preserving }) "take tanh or clip"
              contains (fun c -> { c with DiffusionScale = nan }) "diffusionScale is NaN"
              Expect.equal (problems id) "" "possible") ]
