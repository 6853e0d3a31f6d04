module Sdac.Tests.QsmTests

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

let private small: QsmConfig =
    { QsmConfig.published with
        Hidden = [ 12; 9 ]
        Networks.Activation = HiddenActivation.Mish // smooth, so that float64 sees the same slopes
        Networks.InitialWeights = InitialWeights.TorchUniform
        Data.BatchSize = batchSize }

let private configs =
    gen {
        let! form = Gen.elements [ QsmForm.Scaled; QsmForm.Consistent; QsmForm.Langevin ]
        let! critic = reductions
        let! normalise = Gen.elements [ true; false ]
        let! temperature = between 0.1 3.0

        return
            { small with
                Form = form
                GradientCritic = critic
                NormaliseGradient = normalise
                GradientScale = 7.0
                Temperature = temperature }
    }

let private started (config: QsmConfig) (key: Key) : QsmUpdate =
    let model = Qsm.model cpu space config

    Qsm.start
        model
        (Qsm.drawNoise model batchSize (Key.foldIn 1L key))
        (batchOf (Key.foldIn 2L key))
        (Qsm.init model (Key.foldIn 3L key))

/// Critics that differ from the update's, so that a test sees which ones were asked.
let private others (u: QsmUpdate) (key: Key) : TwinCritics =
    let struct (a, b) = Key.split (Key.foldIn 77L key)
    TwinCritics.init u.Model.Critics a b

/// The loss in float64, as a function of the policy's parameters; g held constant.
let private doubleLoss (u: QsmUpdate) (critics: TwinCritics) (policy: Tensor) : Tensor =
    let c, net = u.Model.Config, u.Model.Critics.Net
    let obs, t = Doubles.double u.Batch.Obs, u.Noise.Timesteps
    let bars = [| for t in t -> u.Model.Schedule.AlphaBars[t] |]
    let column (f: float -> float) = torch.tensor(Array.map f bars).unsqueeze 1L

    let place =
        if c.Form = QsmForm.Langevin then
            Doubles.double u.Batch.Action
        else
            (column sqrt)
                .mul(Doubles.double u.Batch.Action)
                .add((column (fun bar -> sqrt (1.0 - bar))).mul(Doubles.double u.Noise.Forward))

    let at = place.detach().requires_grad_()
    let q1 = Doubles.q net (Doubles.double critics.Q1.Flat) obs at
    let q2 = Doubles.q net (Doubles.double critics.Q2.Flat) obs at

    let value =
        match c.GradientCritic with
        | QReduction.Minimum -> q1.minimum q2
        | QReduction.Mean -> q1.add(q2).mul(Scalars.ofFloat 0.5)

    let slope = (torch.autograd.grad([| value.sum () |], [| at |])[0]).detach()

    let slope =
        if c.NormaliseGradient then
            slope.div (slope.abs().mean().add(Scalars.ofFloat 1e-6))
        else
            slope

    let target =
        match c.Form with
        | QsmForm.Langevin -> slope
        | QsmForm.Scaled -> slope.mul (Scalars.ofFloat -7.0)
        | QsmForm.Consistent -> (column (fun bar -> -sqrt(1.0 - bar))).mul(slope).div(Scalars.ofFloat c.Temperature)

    let times = if c.Form = QsmForm.Langevin then [] else [ Array.map float t ]
    let output = ChainTests.doubleNetwork u.Model.Policy policy obs place times
    (output.sub target).square().mean()

[<Tests>]
let tests =
    testList
        "QSM"
        [ testCase
              "the target has the reference sheet's numbers: ε -13.012745 at M 50, and the consistent form"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  let at form =
                      { (Qsm.model cpu { ObsDim = 2; ActionDim = 1 } small) with Config = { small with Form = form } }

                  let one (v: float) = Tensors.ofArray cpu [ 1; 1 ] [| float32 v |]

                  let noise =
                      { Qsm.drawNoise (at QsmForm.Scaled) 1 (Key.ofSeed 1L) with
                          Timesteps = [| 2 |]
                          Forward = one -0.5 }

                  let place = Qsm.places (at QsmForm.Scaled) noise (one 0.8) |> values
                  closeTo 1e-5 "a_t" [| -0.140170 |] place
                  // Q1 = -½(a - 0.3)², Q2 = -(a + 0.1)²
                  let slope = 0.5 * (-(place[0] - 0.3) - 2.0 * (place[0] + 0.1))
                  closeTo 1e-5 "g" [| 0.260255 |] [| slope |]
                  let target form = Qsm.target (at form) [| 2 |] (one slope) |> values
                  closeTo 1e-5 "scaled" [| -13.012745 |] (target QsmForm.Scaled)
                  closeTo 1e-5 "consistent, λ 1" [| -sqrt(1.0 - 0.1585) * slope |] (target QsmForm.Consistent)
                  closeTo 1e-6 "Langevin" [| slope |] (target QsmForm.Langevin)
                  closeTo 1e-6 "its place" [| 0.8 |] (Qsm.places (at QsmForm.Langevin) noise (one 0.8) |> values))

          testForAll
              "loss and gradient of the policy are those of float64 and autograd, in every form"
              40
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let critics = others u key
                  let flat = Doubles.leaf u.State.Policy
                  let wanted = doubleLoss u critics flat
                  let gradient = torch.autograd.grad([| wanted |], [| flat |])[0]
                  let struct (loss, got) = Qsm.policyGradient u (Qsm.climbed u.Model critics)
                  let doubles (t: Tensor) = values (t.``to`` torch.float32)
                  closeTo 1e-4 "loss" (doubles wanted) (values loss)
                  let scale = 1.0 + (doubles gradient |> Array.map abs |> Array.max)
                  closeTo (1e-4 * scale) "gradient" (doubles gradient) (values got))

          testForAll
              "the policy is matched to the critics after their step, by one Adam step at its own rate"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let config = { config with PolicyRate = LearningRate.CosineDecay(2e-3, 0.0, 100L) }
                  let u = started config key
                  let after = u |> Qsm.evaluateQ |> Qsm.matchScore
                  let stepped = (Qsm.evaluateQ u).Next.Critics
                  let struct (loss, gradient) = Qsm.policyGradient u (Qsm.climbed u.Model stepped)
                  let struct (before, _) = Qsm.policyGradient u (Qsm.climbed u.Model u.State.Critics)
                  Expect.differs (values loss) (values before) "the step changes the target"
                  closeTo 1e-6 "loss" (values loss) [| after.Figures["policyLoss"] |]
                  let adam = AdamSettings.ofSettings config.Adam

                  let rate count =
                      let state = { u.State.PolicyAdam with Count = count }

                      let struct (policy, _) =
                          Adam.step cpu adam (LearningRate.at count config.PolicyRate) gradient u.State.Policy state

                      let moved =
                          { u with State = { u.State with PolicyAdam = state } } |> Qsm.evaluateQ |> Qsm.matchScore

                      Expect.equal (values moved.Next.Policy.Flat) (values policy.Flat) $"after {count} steps"

                  rate 0L
                  rate 60L)

          testForAll
              "the policy moves on every such-th update, the critics on each"
              10
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { config with PolicyDelay = 3 } key

                  for updates, moves in [ 0L, true; 1L, false; 2L, false; 3L, true ] do
                      let after =
                          { u with State = { u.State with Updates = updates } } |> Qsm.evaluateQ |> Qsm.matchScore

                      Expect.equal
                          (not (obj.ReferenceEquals(after.Next.Policy, u.State.Policy)))
                          moves
                          $"update {updates}"

                      Expect.isFalse (obj.ReferenceEquals(after.Next.Critics.Q1, u.State.Critics.Q1)) "critic")

          testCase "without the critics' step there is no match" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)
              let failure = Expect.raises<RefusedOperationException>(fun () -> Qsm.matchScore u |> ignore)
              Expect.stringContains failure.Message "put `evaluateQ` before it" "sentence")

          testForAll
              "actions come from the chain written step by step, the best of the candidates by the online critics"
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
                  let net (x: Tensor) times = ActionNetwork.forward cpu model.Policy u.State.Policy repeated x times
                  let mutable x = noise.Initial.mul (Scalars.ofFloat 0.7)

                  for i in 0..3 do
                      let t = 3 - i

                      x <-
                          if config.Form = QsmForm.Langevin then
                              let width = 1.0 - float i / 4.0

                              x
                                  .add((net x []).mul(Scalars.ofFloat (width / 2.0)))
                                  .add(noise.Steps[i].mul(Scalars.ofFloat (sqrt width)))
                                  .clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
                          else
                              let predicted = net x [ Array.create rows (float t) ]

                              Diffusion.step
                                  model.Schedule
                                  (ReverseStep.ClippedState 1.0)
                                  t
                                  x
                                  predicted
                                  (Some noise.Steps[i])

                  let candidates = x.view (int64 batchSize, int64 particles, 2L)
                  let q = values (TwinCritics.values model.Critics u.State.Critics obs candidates)
                  let all = values candidates

                  let best =
                      [| for b in 0 .. batchSize - 1 do
                             let i = Seq.maxBy (fun i -> q[b * particles + i]) (seq { 0 .. particles - 1 })
                             for d in 0..1 -> all[(b * particles + i) * 2 + d] |]

                  closeTo 5e-5 "best of three" best (Qsm.sampled model u.State particles noise obs |> values)

                  let first =
                      { noise with
                          Initial = noise.Initial.narrow (0L, 0L, int64 batchSize)
                          Steps = noise.Steps |> Array.map _.narrow(0L, 0L, int64 batchSize) }

                  let one = Qsm.sampled model u.State 1 first obs |> values
                  Expect.all one (fun a -> abs a <= 1.0) "in the box")

          testForAll
              "the training action is an action with clipped noise on it, an evaluation's has none"
              10
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let agent = Qsm.agent u.Model
                  let quiet = Qsm.agent { u.Model with Config = { config with ExplorationNoise = 0.0 } }
                  let act (agent: Agent<_, _>) purpose = (agent.Act purpose u.State key u.Batch.Obs).Action |> values
                  let evaluated = act agent Purpose.Evaluate
                  Expect.equal (act quiet Purpose.Explore) evaluated "no noise"
                  let struct (_, exploreKey) = Key.split key
                  let z = Key.normal cpu [ batchSize; 2 ] exploreKey |> values
                  let noisy = Array.map2 (fun a z -> max -1.0 (min 1.0 (a + 0.1 * z))) evaluated z
                  closeTo 1e-6 "noise 0.1" noisy (act agent Purpose.Explore))

          testForAll
              "the critics' target asks the moving averages about the online policy's action with noise on it"
              15
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key

                  let u =
                      { u with
                          State =
                              { u.State with
                                  Critics =
                                      { u.State.Critics with
                                          TargetQ1 = (others u key).Q1
                                          TargetQ2 = (others u key).Q2 } } }

                  let action = Qsm.sampled u.Model u.State 1 u.Noise.Next u.Batch.NextObs
                  let noisy = action.add (u.Noise.Smoothing.Value.mul (Scalars.ofFloat 0.1)) |> Diffusion.clip
                  let value = TwinCritics.targetValue u.Model.Critics u.State.Critics u.Batch.NextObs noisy |> values
                  let reward, ended = values u.Batch.Reward, values u.Batch.Terminated
                  let wanted = Array.init batchSize (fun i -> reward[i] + 0.99 * (1.0 - ended[i]) * value[i])
                  closeTo 1e-5 "target" wanted (Qsm.criticTarget u |> values))

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
                  let struct (_, stored) = (Qsm.agent u.Model).Observe transitions u.State
                  stored.Terminated, stored.Truncated

              Expect.equal (stored false) (transitions.Terminated, transitions.Truncated) "off"
              Expect.equal (stored true) ([| true; true; false |], transitions.Truncated) "on")

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p, s = QsmConfig.published, QsmConfig.sdacPaper

              Expect.equal
                  (p.Hidden, p.Chain.Timesteps, p.GradientScale, p.ExplorationNoise)
                  ([ 512; 512 ], 5, 50.0, 0.1)
                  "authors"

              Expect.equal
                  (p.Form, p.GradientCritic, p.PolicyActivation)
                  (QsmForm.Scaled, QReduction.Mean, HiddenActivation.Mish)
                  "authors"

              Expect.equal
                  (p.Data.WarmUp, p.Data.Environments, p.PolicyRate)
                  (10_000, 1, LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L))
                  "authors"

              Expect.equal (s.Hidden, s.Chain.Timesteps, s.BestOf.TargetParticles) ([ 256; 256; 256 ], 20, 32) "port"

              Expect.equal
                  (s.Form, s.GradientCritic, s.PolicyActivation)
                  (QsmForm.Langevin, QReduction.Minimum, HiddenActivation.Relu)
                  "port"

              Expect.equal
                  (s.Critics.RewardScale, s.PolicyRate)
                  (1.0, LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L))
                  "port"

              for preset in Qsm.algorithm.Presets do
                  Expect.equal (QsmConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = QsmConfig.problems (change small) |> String.concat "; "

              Expect.stringContains
                  (problems (fun c -> { c with GradientScale = 0.0 }))
                  "gradientScale is 0; it must be a positive number"
                  "M"

              Expect.stringContains (problems (fun c -> { c with Temperature = nan })) "temperature is NaN" "λ"

              Expect.stringContains
                  (problems (fun c -> { c with Chain.Timesteps = 0 }))
                  "timesteps is 0; it must be at least 1"
                  "T"

              Expect.stringContains
                  (problems (fun c -> { c with ExplorationNoise = -1.0 }))
                  "explorationNoise is -1"
                  "noise"

              Expect.stringContains (problems (fun c -> { c with PolicyDelay = 0 })) "policyDelay is 0" "delay"

              Expect.stringContains
                  (problems (fun c -> { c with PolicyRate = LearningRate.Constant -1.0 }))
                  "policyRate stays at -1"
                  "rate"

              Expect.equal (problems id) "" "possible") ]
