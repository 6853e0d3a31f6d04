module Sdac.Tests.MaxEntDpTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Tests.LogProbabilityTests
open Sdac.Testing

let private cpu = Compute.cpu

let private small: MaxEntDpConfig =
    { MaxEntDpConfig.published with
        Hidden = [ 12; 9 ]
        Networks.Activation = HiddenActivation.Mish // smooth, so that float64 sees the same slopes
        Networks.InitialWeights = InitialWeights.TorchUniform
        Data.BatchSize = batchSize
        Chain.Timesteps = 6
        MonteCarloDraws = 7
        Likelihood.LikelihoodDraws = 3 }

let private forms = [ MaxEntDpForm.Noise; MaxEntDpForm.Gradient; MaxEntDpForm.Slope ]

let private configs =
    gen {
        let! form = Gen.elements forms

        let! schedule =
            Gen.elements [ BetaSchedule.ContinuousCosine; BetaSchedule.Cosine; BetaSchedule.Linear 0.5 ]

        let! reverse =
            Gen.elements [ ReverseNoise.TruncatedNormal; ReverseNoise.Clipped; ReverseNoise.Unbounded ]

        let! temperature = between 0.1 3.0
        let! wide = Gen.elements [ true; false ]

        return
            { small with
                Form = form
                Chain.BetaSchedule = schedule
                ReverseNoise = reverse
                Temperature = temperature
                WideNoise = wide }
    }

let private others (model: MaxEntDpModel) (key: Key) : TwinCritics =
    let struct (a, b) = Key.split (Key.foldIn 77L key)
    TwinCritics.init model.Critics a b

/// An update whose critics' moving averages are not the critics.
let private started (config: MaxEntDpConfig) (key: Key) : MaxEntDpUpdate =
    let model = MaxEntDpPolicy.model cpu space config
    let state = MaxEntDpPolicy.init model (Key.foldIn 3L key)
    let other = others model key

    MaxEntDp.start
        model
        (MaxEntDp.drawNoise model batchSize (Key.foldIn 1L key))
        (batchOf (Key.foldIn 2L key))
        { state with Critics = { state.Critics with TargetQ1 = other.Q1; TargetQ2 = other.Q2 } }

/// Q = -½k(a - c)² of one action.
let private quadratic k c : ActionValue =
    let values (a: Tensor) = a.sub(Scalars.ofFloat c).square().mul(Scalars.ofFloat (-0.5 * k)).squeeze(Nullable 2L)

    { Values = fun _ a -> values a
      WithSlopes = fun _ a -> struct (values a, a.sub(Scalars.ofFloat c).mul(Scalars.ofFloat -k)) }

let private flat: ActionValue =
    { Values = fun _ a -> (torch.zeros_like a).squeeze(Nullable 2L)
      WithSlopes = fun _ a -> struct ((torch.zeros_like a).squeeze(Nullable 2L), torch.zeros_like a) }

/// The target at one noised action of one component, from these draws.
let private targetAt (config: MaxEntDpConfig) value (bar: float) (noised: float) (numbers: float[]) =
    let model = MaxEntDpPolicy.model cpu { ObsDim = 1; ActionDim = 1 } config
    let one (v: float) = Tensors.ofArray cpu [ 1; 1 ] [| float32 v |]
    let draws = Tensors.ofArray cpu [ 1; numbers.Length; 1 ] (Array.map float32 numbers)
    (MaxEntDp.target model value [| bar |] (one 0.0) (one noised) draws |> values)[0]

let private column (values: float[]) = torch.tensor(values).unsqueeze 1L

/// The loss in float64 by its formulas, as a function of the policy's parameters; the critics held constant.
let private doubleLoss (u: MaxEntDpUpdate) (critics: TwinCritics) (policy: Tensor) : Tensor =
    let c, net, model = u.Model.Config, u.Model.Critics.Net, u.Model

    let bars =
        match c.Chain.BetaSchedule with
        | BetaSchedule.ContinuousCosine ->
            let alpha v = cos (Math.PI / 2.0 * (v + 0.008) / 1.008) / cos (Math.PI / 2.0 * 0.008 / 1.008)
            u.Noise.Times |> Array.map (fun r -> (alpha (0.001 + 0.9936 * r)) ** 2.0)
        | _ -> u.Noise.Times |> Array.map (fun r -> model.Schedule.AlphaBars[int (r * 6.0)])

    let per f = column (Array.map f bars)

    let noised =
        (per sqrt)
            .mul(Doubles.double u.Batch.Action)
            .add((per (fun bar -> sqrt (1.0 - bar))).mul(Doubles.double u.Noise.Forward))

    let critic (a: Tensor) =
        let obs = (Doubles.double u.Batch.Obs).repeat_interleave(a.size 1, Nullable 0L)
        let rows = a.reshape (-1L, 2L)
        let q (p: Params) = Doubles.q net (Doubles.double p.Flat) obs rows
        (q critics.Q1).minimum(q critics.Q2).view(int64 batchSize, -1L)

    let sloped (a: Tensor) =
        let at = a.detach().requires_grad_()
        let value = critic at
        let slope = torch.autograd.grad([| value.sum () |], [| at |])[0]
        struct (value.detach (), slope.detach ())

    let scale, spread = per (fun bar -> 1.0 / sqrt bar), per (fun bar -> sqrt (1.0 / bar - 1.0))

    let noise =
        match c.ReverseNoise with
        | ReverseNoise.TruncatedNormal ->
            // the quantiles themselves are tested with `NormalInterval`
            let struct (noise, _) = MaxEntDp.draws model bars (noised.``to`` torch.float32) u.Noise.Draws
            Doubles.double noise
        | _ -> Doubles.double u.Noise.Draws

    let clean = (scale.mul noised).unsqueeze(1L).sub((spread.unsqueeze 1L).mul noise)

    let clean =
        if c.ReverseNoise = ReverseNoise.Unbounded then
            clean
        else
            clean.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)

    let lambda = Scalars.ofFloat c.Temperature
    let weights (q: Tensor) = (q.div(lambda).softmax 1L).unsqueeze 2L

    let target =
        match c.Form with
        | MaxEntDpForm.Noise -> (weights (critic clean)).mul(noise).sum 1L
        | MaxEntDpForm.Gradient ->
            let struct (q, slope) = sloped clean
            (weights q).mul(slope).sum(1L).div(lambda).mul(spread).neg()
        | MaxEntDpForm.Slope ->
            let struct (_, slope) = sloped (noised.unsqueeze 1L)
            slope.squeeze(Nullable 1L).div(lambda).mul(per (fun bar -> -sqrt(1.0 - bar)))

    let times = [ bars |> Array.map (fun bar -> log (bar / (1.0 - bar))) ]
    let output = ChainTests.doubleNetwork model.Policy policy (Doubles.double u.Batch.Obs) noised times
    (output.sub (target.detach ())).square().mean()

[<Tests>]
let tests =
    testList
        "MaxEntDP"
        [ testCase "truncated draws of a flat Q give the reference sheet's noise: +0.301877" (fun () ->
              use _ = torch.NewDisposeScope()
              let uniform = Array.init 20_000 (fun i -> (float i + 0.5) / 20_000.0)
              let at bar a = targetAt { small with ReverseNoise = ReverseNoise.TruncatedNormal } flat bar a uniform

              closeTo 1e-4 "ε*" [| 0.301877; 0.702530; 0.302433 |] [| at 0.5 0.3; at 0.9 0.9; at 0.05 0.3 |])

          testCase
              "noise and gradient forms agree on an unbounded quadratic as K grows, and have its closed form"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let q = quadratic 4.0 0.5

                  for lambda, wanted in [ 1.0, -0.173726; 0.5, -0.193029; 2.0, -0.144772 ] do
                      let at form =
                          let config =
                              { small with Form = form; ReverseNoise = ReverseNoise.Unbounded; Temperature = lambda }

                          targetAt config q 0.5 0.2 (strata 20_001)

                      closeTo 2e-4 $"noise, λ {lambda}" [| wanted |] [| at MaxEntDpForm.Noise |]
                      closeTo 2e-4 $"gradient, λ {lambda}" [| wanted |] [| at MaxEntDpForm.Gradient |])

          testCase "three draws have the reference sheet's numbers, and Q's slope alone" (fun () ->
              use _ = torch.NewDisposeScope()

              let at form reverse =
                  let config = { small with Form = form; ReverseNoise = reverse; Temperature = 1.0 }

                  targetAt config (quadratic 4.0 0.5) 0.5 0.2 [| -1.0; 0.0; 1.0 |]

              closeTo 1e-5 "noise" [| -0.192707 |] [| at MaxEntDpForm.Noise ReverseNoise.Unbounded |]
              closeTo 1e-5 "gradient" [| -0.097800 |] [| at MaxEntDpForm.Gradient ReverseNoise.Unbounded |]
              closeTo 1e-5 "clipped noise" [| -0.353824 |] [| at MaxEntDpForm.Noise ReverseNoise.Clipped |]
              // √(1-ᾱ) = 0.6, ∇Q = 0.4, λ 0.1
              let config = { small with Form = MaxEntDpForm.Slope; Temperature = 0.1 }
              closeTo 1e-5 "slope" [| -2.4 |] [| targetAt config (quadratic 4.0 0.3) 0.64 0.2 [| 0.0; 0.0 |] |])

          testForAll
              "loss and gradient of the policy are those of float64 and autograd, in every form"
              40
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let critics = others u.Model (Key.foldIn 5L key)
                  let flat = Doubles.leaf u.State.Policy
                  let wanted = doubleLoss u critics flat
                  let gradient = torch.autograd.grad([| wanted |], [| flat |])[0]
                  let struct (loss, got) = MaxEntDp.policyGradient u (TwinCritics.actionValue u.Model.Critics critics)
                  let doubles (t: Tensor) = values (t.``to`` torch.float32)
                  closeTo 2e-4 "loss" (doubles wanted) (values loss)
                  let scale = 1.0 + (doubles gradient |> Array.map abs |> Array.max)
                  closeTo (2e-4 * scale) "gradient" (doubles gradient) (values got))

          testCase "very many draws a state are asked in pieces, with the same result" (fun () ->
              use _ = torch.NewDisposeScope()
              let key = Key.ofSeed 8L
              let u = started { small with MonteCarloDraws = 5_000 } key
              let struct (noised, bars) = MaxEntDp.noised u.Model u.Noise u.Batch.Action
              let value = MaxEntDp.averaged u.Model u.State.Critics
              let mutable calls = 0

              let counted =
                  { value with
                      Values =
                          fun obs a ->
                              calls <- calls + 1
                              value.Values obs a }

              let got = MaxEntDp.target u.Model counted bars u.Batch.Obs noised u.Noise.Draws
              Expect.equal calls 6 "three states at once, of sixteen"
              let struct (noise, clean) = MaxEntDp.draws u.Model bars noised u.Noise.Draws
              let q = value.Values u.Batch.Obs clean
              let weights = (q.div(Scalars.ofFloat u.Model.Config.Temperature).softmax 1L).unsqueeze 2L
              closeTo 1e-5 "target" (values (weights.mul(noise).sum 1L)) (values got))

          testForAll
              "draws kept in the box lie inside it, and a_t is the noised replay action"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let struct (noised, bars) = MaxEntDp.noised u.Model u.Noise u.Batch.Action
                  let a, z = values u.Batch.Action, values u.Noise.Forward

                  let wanted = Array.init a.Length (fun i -> sqrt bars[i / 2] * a[i] + sqrt (1.0 - bars[i / 2]) * z[i])

                  closeTo 1e-5 "a_t" wanted (values noised)
                  let struct (noise, clean) = MaxEntDp.draws u.Model bars noised u.Noise.Draws
                  let clean, noise, at = values clean, values noise, values noised

                  for i in 0 .. clean.Length - 1 do
                      let row = i / 14
                      let bar, x = bars[row], at[row * 2 + i % 2]
                      let free = x / sqrt bar - sqrt (1.0 / bar - 1.0) * noise[i]

                      match config.ReverseNoise with
                      | ReverseNoise.Unbounded -> closeTo 1e-3 "free" [| free |] [| clean[i] |]
                      | ReverseNoise.Clipped -> closeTo 1e-3 "clipped" [| max -1.0 (min 1.0 free) |] [| clean[i] |]
                      | ReverseNoise.TruncatedNormal ->
                          Expect.isTrue (abs clean[i] <= 1.0) "in the box"
                          closeTo 1e-3 "inside already" [| free |] [| clean[i] |])

          testForAll
              "the critics' target asks the moving averages about the online policy's action, less λ times its log-probability"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { config with Critics.RewardScale = 0.3 } key
                  let model, obs = u.Model, u.Batch.NextObs
                  let action = MaxEntDpPolicy.sampled model u.State 1 u.Noise.Next obs
                  let value = TwinCritics.targetValue model.Critics u.State.Critics obs action |> values
                  let times = model.Schedule.AlphaBars |> Array.map (fun bar -> log (bar / (1.0 - bar)))
                  let predict = ActionNetwork.along cpu model.Policy u.State.Policy obs [ times ]
                  let noise t = Key.normal cpu [ batchSize; 3; 2 ] (Key.at t u.Noise.LogProbability)
                  let log_ = LogProbability.noiseErrors true model.Schedule predict noise action |> values
                  let reward, ended = values u.Batch.Reward, values u.Batch.Terminated
                  let alive i = 0.99 * (1.0 - ended[i])

                  let wanted soft =
                      Array.init batchSize (fun i ->
                          0.3 * reward[i] + alive i * (value[i] - soft * config.Temperature * log_[i]))

                  let struct (target, entropy) = MaxEntDp.criticTarget u
                  closeTo 1e-5 "soft" (wanted 1.0) (values target)
                  closeTo 1e-5 "entropy" [| -(Array.average log_) |] (values entropy.Value)
                  closeTo 1e-5 "told" (values entropy.Value) [| (MaxEntDp.evaluateQ u).Figures["entropy"] |]

                  let off =
                      { u with
                          Model = { model with Config = { model.Config with Likelihood = LikelihoodSettings.off } } }

                  let struct (target, entropy) = MaxEntDp.criticTarget off
                  closeTo 1e-5 "without the term" (wanted 0.0) (values target)
                  Expect.isNone entropy "no entropy"
                  Expect.isFalse ((MaxEntDp.evaluateQ off).Figures.ContainsKey "entropy") "not told")

          testForAll
              "the policy is regressed by the moving averages after critics and averages have moved, one Adam step at its own rate"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()

                  let config =
                      { config with PolicyRate = LearningRate.CosineDecay(2e-3, 0.0, 100L); Critics.Tau = 0.4 }

                  let u = started config key
                  let evaluated = MaxEntDp.evaluateQ u
                  let after = MaxEntDp.improvePolicy evaluated

                  let struct (learned, _) =
                      let struct (target, _) = MaxEntDp.criticTarget u
                      TwinCritics.learn u.Model.Critics u.Batch target u.State.Critics

                  let followed = TwinCritics.follow u.Model.Critics learned
                  Expect.equal (values evaluated.Next.Critics.TargetQ1.Flat) (values followed.TargetQ1.Flat) "averages"
                  Expect.equal (values evaluated.Next.Critics.Q2.Flat) (values learned.Q2.Flat) "critics"
                  let by critics = TwinCritics.actionValue u.Model.Critics critics
                  let averages = { followed with Q1 = followed.TargetQ1; Q2 = followed.TargetQ2 }
                  let struct (loss, gradient) = MaxEntDp.policyGradient u (by averages)
                  let struct (online, _) = MaxEntDp.policyGradient u (by followed)
                  Expect.differs (values loss) (values online) "not the critics themselves"
                  closeTo 1e-6 "loss" (values loss) [| after.Figures["policyLoss"] |]
                  let adam = AdamSettings.ofSettings config.Adam

                  for count in [ 0L; 60L ] do
                      let state = { u.State.PolicyAdam with Count = count }

                      let struct (policy, _) =
                          Adam.step cpu adam (LearningRate.at count config.PolicyRate) gradient u.State.Policy state

                      let moved =
                          { u with State = { u.State with PolicyAdam = state } }
                          |> MaxEntDp.evaluateQ
                          |> MaxEntDp.improvePolicy

                      Expect.equal (values moved.Next.Policy.Flat) (values policy.Flat) $"after {count} steps")

          testCase "without the critics' step there is no step of the policy" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)
              let failure = Expect.raises<RefusedOperationException>(fun () -> MaxEntDp.improvePolicy u |> ignore)
              Expect.stringContains failure.Message "put `evaluateQ` before it" "sentence")

          testForAll
              "actions come from the chain written step by step, the best of the candidates by the moving averages"
              30
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let config = { config with Chain.InitialNoiseScale = 0.7; Chain.Timesteps = 4 }
                  let u = started config key
                  let model, obs, particles = u.Model, u.Batch.Obs, 3
                  let rows = batchSize * particles
                  let noise = ChainNoise.draw cpu 4 rows 2 (Key.foldIn 5L key)
                  let repeated = obs.repeat_interleave (int64 particles, Nullable 0L)
                  let mutable x = noise.Initial.mul (Scalars.ofFloat 0.7)

                  for i in 0..3 do
                      let t = 3 - i
                      let bar = model.Schedule.AlphaBars[t]
                      let told = [ Array.create rows (log (bar / (1.0 - bar))) ]
                      let predicted = ActionNetwork.forward cpu model.Policy u.State.Policy repeated x told

                      let deviation =
                          if t = 0 then 0.0
                          elif config.WideNoise then sqrt model.Schedule.Betas[t]
                          else sqrt model.Schedule.PosteriorVariance[t]

                      x <-
                          (Diffusion.posteriorMean model.Schedule t x predicted)
                              .add(noise.Steps[i].mul(Scalars.ofFloat deviation))

                  let candidates = (Diffusion.clip x).view(int64 batchSize, int64 particles, 2L)
                  let averages = TwinCritics.averages u.State.Critics
                  let q = values (TwinCritics.values model.Critics averages obs candidates)
                  let all = values candidates

                  let best =
                      [| for b in 0 .. batchSize - 1 do
                             let i = Seq.maxBy (fun i -> q[b * particles + i]) (seq { 0 .. particles - 1 })
                             for d in 0..1 -> all[(b * particles + i) * 2 + d] |]

                  closeTo
                      1e-4
                      "best of three"
                      best
                      (MaxEntDpPolicy.sampled model u.State particles noise obs |> values))

          testCase "it explores by one chain without noise or choice, and is evaluated by the best of ten" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 5L)
              let agent, key = MaxEntDp.agent u.Model, Key.ofSeed 6L
              let act purpose = (agent.Act purpose u.State key u.Batch.Obs).Action |> values

              let chain particles =
                  let noise = ChainNoise.draw cpu 6 (batchSize * particles) 2 key
                  MaxEntDpPolicy.sampled u.Model u.State particles noise u.Batch.Obs |> values

              Expect.equal (act Purpose.Explore) (chain 1) "one chain"
              Expect.equal (act Purpose.Evaluate) (chain 10) "the best of ten")

          testCase
              "each kind of number has a key of its own, uniform ones where the draws are kept in the box"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  let noise reverse =
                      let model =
                          MaxEntDpPolicy.model cpu space { small with ReverseNoise = reverse; MonteCarloDraws = 50 }

                      MaxEntDp.drawNoise model batchSize (Key.ofSeed 9L)

                  let truncated, free = noise ReverseNoise.TruncatedNormal, noise ReverseNoise.Unbounded
                  Expect.equal (values truncated.Forward) (values free.Forward) "other numbers stay"
                  let inside (t: Tensor) = values t |> Array.forall (fun u -> u >= 0.0 && u < 1.0)
                  Expect.isTrue (inside truncated.Draws) "uniform"
                  Expect.isFalse (inside free.Draws) "normal"
                  Expect.all truncated.Times (fun u -> u >= 0.0 && u < 1.0) "times"
                  Expect.equal (Array.distinct truncated.Times).Length batchSize "times of their own"
                  Expect.equal (Tensors.shape truncated.Draws) [ batchSize; 50; 2 ] "draws")

          testCase "times of the continuous cosine lie between its points, others on the chain's" (fun () ->
              let bars kind = Schedule.alphaBarsAt kind (Schedule.create kind 20)
              let ends = bars BetaSchedule.ContinuousCosine [| 0.0; 0.25; 1.0 |]
              let schedule = Schedule.create BetaSchedule.ContinuousCosine 20
              closeTo 1e-6 "ends" [| 0.999959; schedule.AlphaBars[4]; 7.08212e-5 |] ends
              let cosine = Schedule.create BetaSchedule.Cosine 20

              closeTo
                  0.0
                  "grid"
                  [| cosine.AlphaBars[0]; cosine.AlphaBars[19] |]
                  (bars BetaSchedule.Cosine [| 0.04; 0.999 |]))

          testCase "time limits count as terminations only where asked" (fun () ->
              let transitions: Transitions =
                  { Obs = [||]
                    Action = [||]
                    Reward = [||]
                    Terminated = [| false; true; false |]
                    Truncated = [| true; false; false |]
                    NextObs = [||]
                    Current = [||]
                    Extras = [] }

              let stored terminate =
                  use _ = torch.NewDisposeScope()
                  let u = started { small with TimeLimitsTerminate = terminate } (Key.ofSeed 1L)
                  let struct (_, stored) = (MaxEntDp.agent u.Model).Observe transitions u.State
                  stored.Terminated

              Expect.equal (stored false) transitions.Terminated "off"
              Expect.equal (stored true) [| true; true; false |] "on")

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p = MaxEntDpConfig.published

              Expect.equal
                  (p.Hidden, p.Chain.Timesteps, p.Chain.BetaSchedule, p.Chain.InitialNoiseScale, p.WideNoise)
                  ([ 256; 256 ], 20, BetaSchedule.ContinuousCosine, 1.0, true)
                  "chain"

              Expect.equal
                  (p.MonteCarloDraws, p.ReverseNoise, p.Form, p.Temperature)
                  (500, ReverseNoise.TruncatedNormal, MaxEntDpForm.Noise, 0.2)
                  "draws"

              Expect.equal
                  (p.Likelihood.LikelihoodDraws, p.Likelihood.LikelihoodClip, p.Likelihood.LogProbability)
                  (50, true, LogProbabilityForm.NoiseErrors)
                  "log-probability"

              Expect.equal
                  (p.BestOf.BehaviourParticles, p.BestOf.TargetParticles, p.BestOf.EvaluationParticles)
                  (1, 1, 10)
                  "best of"

              Expect.equal
                  (p.Data.WarmUp, p.Data.Environments, p.PolicyRate, p.Adam.LearningRate, p.Critics.Tau)
                  (10_000, 1, LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L), 3e-4, 0.005)
                  "learning"

              Expect.equal
                  (p.Networks.Activation, p.PolicyActivation, p.Networks.InitialWeights, p.Critics.RewardScale)
                  (HiddenActivation.Relu, HiddenActivation.Mish, InitialWeights.XavierUniform, 1.0)
                  "networks"

              for preset in MaxEntDp.algorithm.Presets do
                  Expect.equal (MaxEntDpConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = MaxEntDpConfig.problems (change small) |> String.concat "; "
              let says (text: string) change = Expect.stringContains (problems change) text text
              says "monteCarloDraws is 1: every weight would be 1" (fun c -> { c with MonteCarloDraws = 1 })
              says "monteCarloDraws is 0; it must be at least 1" (fun c -> { c with MonteCarloDraws = 0 })
              says "temperature is 0; it must be a positive number" (fun c -> { c with Temperature = 0.0 })
              says "timesteps is 0; it must be at least 1" (fun c -> { c with Chain.Timesteps = 0 })
              says "likelihoodDraws is 0; it must be at least 1" (fun c -> { c with Likelihood.LikelihoodDraws = 0 })
              says "policyRate stays at -1" (fun c -> { c with PolicyRate = LearningRate.Constant -1.0 })
              let slope = { small with Form = MaxEntDpForm.Slope; MonteCarloDraws = 1 }
              Expect.equal (MaxEntDpConfig.problems slope) [] "the slope needs no draws"
              Expect.equal (problems id) "" "possible") ]
