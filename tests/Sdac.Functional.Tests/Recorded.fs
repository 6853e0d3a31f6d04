/// The recorded numerics of an SDAC update (float64, from the formulas that `semantics` in the record spells out),
/// reproduced within 1e-5 in float32, by the kernels and by libtorch.
module Sdac.Tests.Recorded

open System
open System.Text.Json
open Expecto
open Sdac.Functional
open Sdac.Tests.Figures

let private obsDim, actionDim, batchSize, particles, draws = 3, 2, 5, 3, 4

let private computes = [ Compute.cpu; Compute.libtorch ]

let private config =
    { SdacConfig.published with
        Hidden = [ 8; 8; 8 ]
        Data.BatchSize = batchSize
        Particles.Particles = particles
        Draws.MonteCarloDraws = draws }

let private tensor compute shape f =
    let n = List.fold (*) 1 shape
    Tensors.ofArray compute shape (Array.init n (fun k -> float32 (f (float k))))

/// Formula weights: `first` is the index of the network's first layer in the record's numbering.
let private fill (p: Params) (first: int) =
    let values =
        p.Layout
        |> List.mapi (fun i slice ->
            let layer = float (first + i / 2)

            Array.init (List.fold (*) 1 slice.Shape) (fun k ->
                if i % 2 = 0 then
                    0.8 * sin (1.3 * float k + layer)
                else
                    0.3 * cos (0.7 * float k + layer)))
        |> Array.concat

    Params.withFlat (Tensors.ofArray Compute.cpu [ values.Length ] (Array.map float32 values)) p

let private modelOf compute config = Sdac.model compute { ObsDim = obsDim; ActionDim = actionDim } config

let private stateOf (model: ActorCriticModel) =
    let s = ActorCriticState.init model (Key.ofSeed 0L)

    { s with
        Policy = fill s.Policy 0
        Critics.Q1 = fill s.Critics.Q1 13
        Critics.Q2 = fill s.Critics.Q2 24
        Critics.TargetQ1 = fill s.Critics.TargetQ1 30
        Critics.TargetQ2 = fill s.Critics.TargetQ2 40
        TargetPolicy = fill s.TargetPolicy 50 }

let private noise compute shape phase =
    tensor compute shape (fun k -> 1.3 * sin (1.7 * k + phase) + 0.5 * cos (0.61 * k + 2.0 * phase))

/// Recorded noise lies as (particle, state, action); ours as (state, particle, action).
let private samplerNoise compute x z explore =
    let T = config.Diffusion.Timesteps

    SamplerNoise.Given(
        (noise compute [ particles; batchSize; actionDim ] x).transpose(0L, 1L).contiguous(),
        (noise compute [ T; particles; batchSize; actionDim ] z).transpose(1L, 2L).contiguous(),
        noise compute [ batchSize; actionDim ] explore
    )

let private updateNoise compute (t: int[]) shift =
    { Next = samplerNoise compute (0.1 + shift) (0.2 + shift) (0.3 + shift)
      Smoothing = None
      LogProbability = Key.ofSeed 0L
      New = samplerNoise compute (1.1 + shift) (1.2 + shift) (1.3 + shift)
      Timesteps = t
      Forward = noise compute [ batchSize; actionDim ] (2.1 + shift)
      Reverse = noise compute [ batchSize; draws; actionDim ] (2.2 + shift)
      Actions = None }

let private batchOf compute : Batch =
    { Obs = tensor compute [ batchSize; obsDim ] (fun k -> sin (0.5 * k + 0.2))
      NextObs = tensor compute [ batchSize; obsDim ] (fun k -> cos (0.4 * k + 0.1))
      Action = tensor compute [ batchSize; actionDim ] (fun k -> 0.9 * sin (0.8 * k + 0.5))
      Reward = tensor compute [ batchSize ] (fun k -> cos (0.9 * k))
      Terminated = tensor compute [ batchSize ] (fun k -> if k = 2.0 then 1.0 else 0.0) }

/// Runs a comparison against every record that is there, on both ways of computing.
let private against (check: JsonElement -> Compute -> unit) =
    for source in sources do
        let record = load source

        for compute in computes do
            check record compute

let private close = closeTo 1e-5

let private ints (e: JsonElement) = items e |> Array.map _.GetInt32()

[<Tests>]
let tests =
    testList
        "recorded figures"
        [ testCase "schedules equal the recorded ones in double" (fun () ->
              for source in sources do
                  for recorded in items (load source /. "schedules") do
                      let kind =
                          match (recorded /. "kind").GetString() with
                          | "linear" -> BetaSchedule.Linear(number (recorded /. "scale"))
                          | "cosine" -> BetaSchedule.Cosine
                          | other -> failwith $"unknown schedule {other}"

                      let s = Schedule.create kind ((recorded /. "T").GetInt32())

                      let fields =
                          [ "betas", s.Betas
                            "alphas", s.Alphas
                            "alphas_cumprod", s.AlphaBars
                            "alphas_cumprod_prev", s.AlphaBarsPrevious
                            "sqrt_alphas_cumprod", s.SqrtAlphaBars
                            "sqrt_one_minus_alphas_cumprod", s.SqrtOneMinusAlphaBars
                            "sqrt_recip_alphas_cumprod", s.SqrtRecipAlphaBars
                            "sqrt_recipm1_alphas_cumprod", s.SqrtRecipM1AlphaBars
                            "posterior_variance", s.PosteriorVariance
                            "posterior_log_variance_clipped", s.PosteriorLogVarianceClipped
                            "posterior_mean_coef1", s.PosteriorMeanCoef1
                            "posterior_mean_coef2", s.PosteriorMeanCoef2 ]
                          |> Map.ofList

                      for recordedField in (recorded /. "float64").EnumerateObject() do
                          match fields.TryFind recordedField.Name with
                          | Some ours -> closeTo 1e-12 recordedField.Name (numbers recordedField.Value) ours
                          | None ->
                              Expect.equal recordedField.Name "log_one_minus_alphas_cumprod" "name of recorded field")

          testCase "the time encoding equals the recorded one" (fun () ->
              against (fun record compute ->
                  let rows = items (record /. "time_encoding")
                  let encoded = NoiseNetwork.encodeTime compute 16 [| 0 .. rows.Length - 1 |]
                  close "time encoding" (rows |> Array.collect numbers) (values encoded)))

          testCase "networks with recorded weights give the recorded outputs" (fun () ->
              against (fun record compute ->
                  let model = modelOf compute config
                  let s, b = stateOf model, batchOf compute
                  let f = record /. "forward"
                  let predicted = NoiseNetwork.forward compute model.Noise s.Policy b.Obs b.Action (ints (f /. "t"))
                  close "policy" (numbers (f /. "policy")) (values predicted)

                  close
                      "q1"
                      (numbers (f /. "q1"))
                      (values (QNetwork.forward compute model.Critics.Net s.Critics.Q1 b.Obs b.Action))

                  close
                      "q2"
                      (numbers (f /. "q2"))
                      (values (QNetwork.forward compute model.Critics.Net s.Critics.Q2 b.Obs b.Action))))

          testCase "reverse sampling with given noise gives the recorded particles, choice and action" (fun () ->
              against (fun record compute ->
                  let model = modelOf compute config
                  let s, b = stateOf model, batchOf compute
                  let given = samplerNoise compute 0.1 0.2 0.3
                  let r = record /. "sampling"

                  let actions =
                      Diffusion.sample compute model.Schedule model.Noise s.Policy 0.5 particles given b.NextObs

                  let stateMajor (e: JsonElement) =
                      let byParticle = items e |> Array.map items

                      [| for state in 0 .. batchSize - 1 do
                             for p in byParticle do
                                 yield! numbers p[state] |]

                  close "particles" (stateMajor (r /. "particles")) (values actions)
                  let q = Critic.minQ compute model.Critics.Net s.Critics.Q1 s.Critics.Q2 b.NextObs actions
                  close "min_q" (stateMajor (r /. "min_q")) (values q)
                  let chosen = Diffusion.bestOf actions q
                  Expect.equal (chosen.Index.data<int64>().ToArray()) (ints (r /. "best") |> Array.map int64) "data"
                  close "action" (numbers (r /. "action")) (values (ActorCritic.sampleAction model s given b.NextObs))))

          testCase "one reverse step with recorded noise follows the recorded trace" (fun () ->
              for source in sources do
                  let trace = items (load source /. "sampling" /. "trace_particle0")
                  let model = modelOf Compute.cpu config
                  let s, b = stateOf model, batchOf Compute.cpu
                  let z = noise Compute.cpu [ 20; particles; batchSize; actionDim ] 0.2
                  let initial = noise Compute.cpu [ particles; batchSize; actionDim ] 0.1
                  let mutable x = (initial.select (0L, 0L)).mul(Scalars.ofFloat 0.5)

                  for t in 19..-1..0 do
                      let predicted =
                          NoiseNetwork.forward Compute.cpu model.Noise s.Policy b.NextObs x (Array.create batchSize t)

                      let mean = Diffusion.posteriorMean model.Schedule t x predicted
                      let step = z.select(0L, int64 (19 - t)).select(0L, 0L)
                      x <- mean.add (step.mul (Scalars.ofFloat (Schedule.sigma model.Schedule t)))

                      match trace |> Array.tryFind (fun e -> (e /. "t").GetInt32() = t) with
                      | Some recorded -> close $"x after the step at t = {t}" (numbers (recorded /. "x")) (values x)
                      | None -> ())

          testCase "critic targets, losses and gradients equal the recorded ones" (fun () ->
              against (fun record compute ->
                  let model = modelOf compute config
                  let s, b = stateOf model, batchOf compute
                  let c = record /. "critic"
                  let next = ActorCritic.sampleAction model s (samplerNoise compute 0.1 0.2 0.3) b.NextObs
                  let target = ActorCritic.criticTarget model s b next
                  close "backup" (numbers (c /. "backup")) (values target)

                  for name, q in [ "q1", s.Critics.Q1; "q2", s.Critics.Q2 ] do
                      let struct (loss, _, gradient) = TwinCritics.gradient model.Critics q b target
                      close $"{name} loss" (numbers (c /. $"{name}_loss")) (values loss)

                      match c.TryGetProperty $"{name}_grad" with
                      | true, layers ->
                          let want =
                              items layers
                              |> Array.collect (fun l -> Array.append (numbers (l /. "w")) (numbers (l /. "b")))

                          close $"{name} gradient" want (values gradient)
                      | _ -> ()))

          testCase "RSSM draws, weights, loss and gradient equal the recorded ones" (fun () ->
              against (fun record compute ->
                  let model = modelOf compute config
                  let s, b = stateOf model, batchOf compute
                  let r = record /. "rssm"
                  let t = ints (r /. "t")
                  let n = updateNoise compute t 0.0
                  let action = tensor compute [ batchSize; actionDim ] (fun k -> 0.8 * sin (0.9 * k + 0.4))
                  close "new action" (numbers (r /. "new_action")) (values action)
                  let noisy = Diffusion.noised compute model.Schedule t action n.Forward
                  close "a_t" (numbers (r /. "tilde_at")) (values noisy)
                  let reconstructed = Rssm.draws compute model.Schedule t noisy n.Reverse
                  close "draws" (numbers (r /. "recon")) (values reconstructed)

                  let check (recorded: JsonElement) lambda =
                      let s = { s with Temperature = Temperature.init lambda }
                      let found = Sdac.rssmGradient model s n b.Obs action
                      close "weights" (numbers (recorded /. "weights")) (values found.Weights)
                      close "loss" (numbers (recorded /. "loss")) (values found.Loss)
                      struct (found.Weights, found.Gradient)

                  let struct (weights, gradient) = check r 5.0
                  check (r /. "at_log_alpha_0") 1.0 |> ignore
                  let predicted = NoiseNetwork.forward compute model.Noise s.Policy b.Obs noisy t
                  close "prediction" (numbers (r /. "pred")) (values predicted)

                  close
                      "gradient of the prediction"
                      (numbers (r /. "dpred_summed_over_mc"))
                      (values (Rssm.gradient predicted n.Reverse weights))

                  let flat = values gradient

                  for i, layer in items (r /. "grad") |> Array.indexed do
                      if layer.ValueKind <> JsonValueKind.Null then
                          let at (slice: Slice) = flat[slice.Offset .. slice.Offset + List.fold (*) 1 slice.Shape - 1]
                          close $"gradient of layer {i}" (numbers (layer /. "w")) (at s.Policy.Layout[2 * i])
                          close $"gradient of bias {i}" (numbers (layer /. "b")) (at s.Policy.Layout[2 * i + 1])))

          testCase "temperature gradients and trajectories equal the recorded ones" (fun () ->
              for source in sources do
                  let a = load source /. "alpha"

                  for g in items (a /. "grad") do
                      let t = Temperature.init (exp (number (g /. "log_alpha")))

                      close
                          "gradient"
                          [| number (g /. "grad") |]
                          [| Temperature.gradient -0.9 ((g /. "act_dim").GetInt32()) t |]

                  for trajectory in items (a /. "adam_trajectory") do
                      let d = (trajectory /. "act_dim").GetInt32()
                      let adam = AdamSettings.ofSettings config.Adam
                      let mutable t = Temperature.init 5.0

                      for p in (trajectory /. "log_alpha_after").EnumerateObject() do
                          while t.Count < int64 p.Name do
                              t <- Temperature.step adam 7e-3 -0.9 d t

                          close $"log λ after {p.Name}" [| p.Value.GetDouble() |] [| t.LogLambda |])

          testCase "Adam follows the recorded trajectory" (fun () ->
              against (fun record compute ->
                  let a = record /. "adam"
                  let p0 = numbers (a /. "p0") |> Array.map float32
                  let layout = [ { Name = "p"; Offset = 0; Shape = [ p0.Length ] } ]
                  let mutable p = { Layout = layout; Flat = Tensors.ofArray compute [ p0.Length ] p0 }
                  let mutable s = Adam.init p
                  let adam = { Beta1 = 0.9; Beta2 = 0.999; Epsilon = 1e-8 }

                  for recorded in items (a /. "steps") do
                      let g =
                          Tensors.ofArray compute [ p0.Length ] (numbers (recorded /. "grad") |> Array.map float32)

                      let struct (p', s') = Adam.step compute adam (number (a /. "lr")) g p s
                      p <- p'
                      s <- s'
                      close "parameters" (numbers (recorded /. "param")) (values p.Flat)
                      close "m" (numbers (recorded /. "m")) (values s.M)
                      close "v" (numbers (recorded /. "v")) (values s.V)))

          testCase "the policy's learning rate falls as recorded" (fun () ->
              for source in sources do
                  for p in items (load source /. "policy_lr") do
                      let rate =
                          LearningRate.at
                              ((p /. "policy_updates_done").GetInt64())
                              (PolicySettings.rate config.Adam config.Policy)

                      closeTo 1e-9 "rate" [| number (p /. "lr") |] [| rate |])

          testCase "a Polyak step gives the recorded last layer" (fun () ->
              against (fun record compute ->
                  let model = modelOf compute config
                  let s = stateOf model
                  let moved = Polyak.step compute 0.005 s.Critics.TargetQ1 s.Critics.Q1
                  let last = record /. "polyak" /. "last_layer"
                  close "weights" (numbers (last /. "w")) (values (Params.slice "layer3.weight" moved))
                  close "bias" (numbers (last /. "b")) (values (Params.slice "layer3.bias" moved))))

          testCase "whole updates give the recorded losses, weights and parameters" (fun () ->
              against (fun record compute ->
                  let config =
                      { config with Adam.LearningRate = 0.01; Policy.PolicyLearningRateEnd = 0.01; Critics.Tau = 0.1 }

                  let model = modelOf compute config
                  let mutable s = stateOf model

                  for recorded in items (record /. "full_update" /. "steps") do
                      let step = (recorded /. "step").GetInt32()
                      Expect.equal s.Updates (int64 step) "updates"
                      let t = ints (recorded /. "t")
                      Expect.equal t (Array.init batchSize (fun b -> (7 * b + 3 + 5 * step) % 20)) "timesteps"
                      let n = updateNoise compute t (0.37 * float step)
                      let b = batchOf compute
                      let next = ActorCritic.sampleAction model s n.Next b.NextObs
                      close "next action" (numbers (recorded /. "next_action")) (values next)

                      close
                          "backup"
                          (numbers (recorded /. "backup"))
                          (values (ActorCritic.criticTarget model s b next))

                      let struct (after, metrics) = Sdac.updateWith model n b s
                      close "q1 loss" (numbers (recorded /. "q1_loss")) [| metrics["q1Loss"] |]
                      close "q2 loss" (numbers (recorded /. "q2_loss")) [| metrics["q2Loss"] |]
                      close "q1 mean" (numbers (recorded /. "q1_mean")) [| metrics["q1Mean"] |]

                      match Map.tryFind "policyLoss" metrics, recorded.TryGetProperty "policy_loss" with
                      | Some loss, (true, want) -> close "policy loss" [| number want |] [| loss |]
                      | loss, _ -> Expect.isTrue loss.IsNone $"step {step} moved the policy"

                      close "log λ" (numbers (recorded /. "log_alpha_after")) [| after.Temperature.LogLambda |]

                      let networks =
                          Map.ofList
                              [ "policy", after.Policy
                                "q1", after.Critics.Q1
                                "q2", after.Critics.Q2
                                "target_q1", after.Critics.TargetQ1
                                "target_q2", after.Critics.TargetQ2
                                "target_policy", after.TargetPolicy ]

                      for sums in (recorded /. "params_sum").EnumerateObject() do
                          let flat = values networks[sums.Name].Flat
                          close $"sum of {sums.Name}" [| sums.Value.GetDouble() |] [| Array.sum flat |]

                          close
                              $"squares of {sums.Name}"
                              (numbers (recorded /. "params_sumsq" /. sums.Name))
                              [| Array.sumBy (fun x -> x * x) flat |]

                      s <- after)) ]
