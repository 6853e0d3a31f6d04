/// The pullback of a whole reverse chain, against autograd and central differences of the same chain in float64.
module Sdac.Tests.ReverseChainTests

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

/// The action of a chain in float64. initial: x_T; steps: z of the chain's steps in their order.
let internal doubleChain
    (schedule: Schedule)
    (net: NoiseNetwork)
    (flat: Tensor)
    (initial: Tensor)
    (steps: Tensor[])
    (obs: Tensor)
    : Tensor =
    let time, main = net.Shape.Time, net.Shape.Main
    let timeFlat = flat.narrow (0L, 0L, int64 time.ParameterCount)
    let mainFlat = flat.narrow (0L, int64 time.ParameterCount, int64 main.ParameterCount)
    let unit (t: Tensor) = t.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
    let mutable x = initial

    for t in schedule.Timesteps - 1 .. -1 .. 0 do
        let encoded = NoiseNetwork.encodeTime Compute.cpu net.Shape.TimeDim [| t |] |> Doubles.double
        let told = (Doubles.forward time timeFlat encoded).expand(obs.size 0, -1L)
        let noise = Doubles.forward main mainFlat (torch.cat ([| obs; x; told |], 1L))

        let estimate =
            x
                .mul(Scalars.ofFloat schedule.SqrtRecipAlphaBars[t])
                .sub(noise.mul (Scalars.ofFloat schedule.SqrtRecipM1AlphaBars[t]))

        let mean =
            (unit estimate)
                .mul(Scalars.ofFloat schedule.PosteriorMeanCoef1[t])
                .add(x.mul (Scalars.ofFloat schedule.PosteriorMeanCoef2[t]))

        let z = Doubles.double steps[schedule.Timesteps - 1 - t]

        x <-
            if t = 0 then
                mean
            else
                mean.add (z.mul (Scalars.ofFloat (Schedule.sigma schedule t)))

    unit x

type private Case =
    {
        Schedule: Schedule
        Net: NoiseNetwork
        Scale: float
        /// A layer norm, or none
        Norm: float option
        Key: Key
    }

let private cases =
    gen {
        let! timesteps = sizes 1 6
        let! schedule = Gen.oneof [ schedules; Gen.constant BetaSchedule.ContinuousCosine ]
        let! norm = Gen.elements [ None; None; Some 1e-5 ]
        let! widths = Gen.elements [ [ 12; 9 ]; [ 33 ]; [ 8; 40; 7 ] ]
        let! scale = between 0.2 1.5
        let! key = keys

        return
            { Schedule = Schedule.create schedule timesteps
              Net = NoiseNetwork.createWith 4 2 6 5 { HiddenLayers.mish widths with LayerNorm = norm }
              Scale = scale
              Norm = norm
              Key = key }
    }

let private policyOf (c: Case) = NoiseNetwork.initWith InitialWeights.TorchUniform Compute.cpu c.Net c.Key

let private rows = 37
let private obsOf (c: Case) = Key.normal Compute.cpu [ rows; 4 ] (Key.foldIn 1L c.Key)
let private noiseKey (c: Case) = Key.foldIn 2L c.Key
let private noiseOf (c: Case) = ChainNoise.draw Compute.cpu c.Schedule.Timesteps rows 2 (noiseKey c)
/// dA, as a loss would give it.
let private gradientOf (c: Case) = Key.normal Compute.cpu [ rows; 2 ] (Key.foldIn 3L c.Key)

let private vjp compute activations (c: Case) =
    ReverseChain.vjp compute c.Schedule c.Net (policyOf c) activations c.Scale (noiseOf c) (obsOf c)

let private single (t: Tensor) = values (t.detach().``to`` torch.float32)

let private kept = [ ChainActivations.Recorded; ChainActivations.Recomputed ]

/// A network of one linear map with ε = θ·x, told the state and the time in vain.
let private proportional (theta: float) : struct (NoiseNetwork * Params) =
    let net = NoiseNetwork.create 1 1 2 2 []
    let flat = Array.zeroCreate<float32> net.Shape.ParameterCount
    flat[net.Shape.Time.ParameterCount + 1] <- float32 theta
    struct (net, { Layout = []; Flat = Tensors.ofArray Compute.cpu [ flat.Length ] flat })

[<Tests>]
let tests =
    testList
        "reverse chain's pullback"
        [ testCase "two steps of ε = θx have the reference sheet's action and gradient" (fun () ->
              use _ = torch.NewDisposeScope()
              let struct (net, policy) = proportional 0.3
              let schedule = Schedule.create (BetaSchedule.VariancePreserving(0.1, 10.0)) 2
              closeTo 1e-6 "β" [| 0.724040; 0.976774 |] schedule.Betas
              let one (x: float) = Tensors.ofArray Compute.cpu [ 1; 1 ] [| float32 x |]
              let noise = { Initial = one 0.1; Steps = [| one 0.0; one 0.0 |] }

              for activations in kept do
                  use chain = ReverseChain.vjp Compute.cpu schedule net policy activations 1.0 noise (one 0.7)

                  let action = (values chain.Output)[0]
                  closeTo 1e-5 "action" [| 0.656766 |] [| action |]
                  let slope d = (values (chain.PullbackParameters(one d)))[net.Shape.Time.ParameterCount + 1]
                  closeTo 1e-5 "da/dθ" [| -1.661956 |] [| slope 1.0 |]
                  // the loss -Q of Q = -(a - 0.4)²
                  closeTo 1e-5 "dLoss/dθ" [| -0.853469 |] [| slope (2.0 * (action - 0.4)) |])

          testForAll
              "the action is the sampler's, and all gradients are autograd's in float64, kept or computed again"
              60
              cases
              (fun c ->
                  use _ = torch.NewDisposeScope()
                  let noise, d = noiseOf c, gradientOf c
                  let flat = Doubles.leaf (policyOf c)
                  let initial = (Doubles.double noise.Initial).mul(Scalars.ofFloat c.Scale).detach().requires_grad_()
                  let action = doubleChain c.Schedule c.Net flat initial noise.Steps (Doubles.double (obsOf c))

                  let gradients =
                      torch.autograd.grad ([| (action.mul (Doubles.double d)).sum() |], [| flat; initial |])

                  let sampled =
                      Diffusion.sample
                          Compute.cpu
                          c.Schedule
                          c.Net
                          (policyOf c)
                          c.Scale
                          1
                          (SamplerNoise.Drawn(noiseKey c))
                          (obsOf c)

                  let close what (wanted: Tensor) (got: Tensor) =
                      let wanted = single wanted
                      let scale = 1e-3 + (wanted |> Array.map abs |> Array.max)
                      closeTo (2e-4 * scale) what wanted (values got)

                  for compute in [ Compute.cpu; Compute.libtorch ] do
                      for activations in kept do
                          use chain = vjp compute activations c
                          closeTo 2e-5 "action" (single action) (values chain.Output)
                          closeTo 2e-5 "sampler" (values sampled) (values chain.Output)
                          let struct (parameters, toInitial) = chain.Pullback d
                          close "parameters" gradients[0] parameters
                          close "x_T" gradients[1] toInitial
                          Expect.equal (values (chain.PullbackParameters d)) (values parameters) "parameters alone"
                          close "x_T alone" gradients[1] (chain.PullbackInput d))

          testForAll
              "the gradient is the slope of the float64 chain along any direction, by central differences"
              30
              cases
              (fun c ->
                  use _ = torch.NewDisposeScope()
                  let noise, d, policy = noiseOf c, gradientOf c, policyOf c
                  let direction = Key.normal Compute.cpu [ Tensors.size 0 policy.Flat ] (Key.foldIn 4L c.Key)

                  let value step =
                      let flat = (Doubles.double policy.Flat).add(Doubles.double direction, Scalars.ofFloat step)
                      let initial = (Doubles.double noise.Initial).mul(Scalars.ofFloat c.Scale)

                      let action = doubleChain c.Schedule c.Net flat initial noise.Steps (Doubles.double (obsOf c))

                      (Doubles.numbers ((action.mul (Doubles.double d)).sum()))[0]

                  let slope = (value 1e-6 - value -1e-6) / 2e-6
                  use chain = vjp Compute.cpu ChainActivations.Recorded c
                  let gradient = values (chain.PullbackParameters d)
                  let got = Array.map2 (*) gradient (values direction) |> Array.sum
                  closeTo 1e-3 "slope" [| slope |] [| got |])

          testForAll "what is computed again has the bits of what is kept" 20 cases (fun c ->
              use _ = torch.NewDisposeScope()

              let bits activations =
                  use chain = vjp Compute.cpu activations c
                  let struct (parameters, initial) = chain.Pullback(gradientOf c)
                  values chain.Output, values parameters, values initial

              Expect.equal (bits ChainActivations.Recomputed) (bits ChainActivations.Recorded) "bits")

          testForAll "a pullback can be asked twice" 10 cases (fun c ->
              use _ = torch.NewDisposeScope()

              for activations in kept do
                  use chain = vjp Compute.cpu activations c
                  let asked () = values (chain.PullbackParameters(gradientOf c))
                  let first = asked ()
                  Expect.equal (asked ()) first "bits")

          testCase "a clip passes the gradient in the box and on its walls" (fun () ->
              use _ = torch.NewDisposeScope()
              let t = Tensors.ofArray Compute.cpu [ 6 ] [| -1.5f; -1f; -0.2f; 0f; 1f; 1.0001f |]
              Expect.equal (values (ReverseChain.inside t)) [| 0.0; 1.0; 1.0; 1.0; 1.0; 0.0 |] "inside")

          testCase "observations of another width are refused" (fun () ->
              use _ = torch.NewDisposeScope()
              let struct (net, policy) = proportional 0.3
              let schedule = Schedule.create BetaSchedule.Cosine 2
              let noise = ChainNoise.draw Compute.cpu 2 3 1 (Key.ofSeed 1L)

              let failure =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      ReverseChain.vjp
                          Compute.cpu
                          schedule
                          net
                          policy
                          ChainActivations.Recorded
                          1.0
                          noise
                          (Tensors.zeros Compute.cpu [ 3; 2 ])
                      |> ignore)

              Expect.stringContains failure.Message "obs has shape" "sentence") ]
