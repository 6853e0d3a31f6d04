/// What lies between the functions of the diffusion actor-critics: what their settings count and scale.
module Sdac.Tests.ActorCriticTests

open System
open Expecto
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private space = { ObsDim = 4; ActionDim = 2 }

let private agentOf config = Sdac.algorithm.Agent Compute.cpu space { Iterations = 1L } config

/// Mean and deviation of what exploring adds to the action that is taken in evaluations, over many states.
let private exploration (config: SdacConfig) (lambda: float) : float * float =
    use _ = torch.NewDisposeScope()
    let agent = agentOf config
    let fresh = agent.Init(Key.ofSeed 1L)
    let state = { fresh with Temperature = Temperature.init lambda }
    let obs = Key.normal Compute.cpu [ 4000; space.ObsDim ] (Key.ofSeed 2L)
    let act purpose = values (agent.Act purpose state (Key.ofSeed 3L) obs).Action
    let added = Array.map2 (-) (act Purpose.Explore) (act Purpose.Evaluate)
    Parts.dispose agent.Parts fresh
    let mean = Array.average added
    mean, added |> Array.averageBy (fun a -> (a - mean) ** 2.0) |> sqrt

/// Adam's step of rate 1 from the moments after `count` steps (Kingma & Ba 2015, algorithm 1), in double.
let private direction (a: AdamSettings) (s: AdamState) : float[] =
    let unbiased beta = 1.0 - beta ** float s.Count

    Array.map2
        (fun m v -> m / unbiased a.AdamBeta1 / (sqrt (v / unbiased a.AdamBeta2) + a.AdamEpsilon))
        (values s.M)
        (values s.V)

[<Tests>]
let tests =
    testList
        "Actor-critics"
        [ test "exploration is normal noise of deviation NoiseScale·λ" {
              for scale, lambda in [ 0.1, 1.0; 0.1, 3.0; 0.4, 0.5 ] do
                  let config =
                      { small with
                          Particles.NoiseScale = scale
                          Particles.BehaviourParticles = Some 1
                          Particles.EvaluationParticles = Some 1 }

                  let mean, deviation = exploration config lambda
                  let expected = scale * lambda
                  Expect.floatClose (within (0.05 * expected)) mean 0.0 "mean"
                  Expect.floatClose (within (0.03 * expected)) deviation expected "deviation"
          }

          test "the policy's rate falls with its own updates, not with those of the critics" {
              let config =
                  { small with
                      Adam.LearningRate = 1e-2
                      Policy.PolicyDelay = 2
                      Policy.PolicyLearningRateEnd = 1e-3
                      Policy.PolicyDecayBegin = 1L
                      Policy.PolicyDecayLength = 2L }

              let model = Sdac.model Compute.cpu space config
              let mutable state = ActorCriticState.init model (Key.ofSeed 1L)
              let rates = ResizeArray()

              for i in 0L .. 7L do
                  use _ = torch.NewDisposeScope()
                  let keys = Key.splitMany 5 (Key.foldIn i (Key.ofSeed 2L))
                  let n = small.Data.BatchSize

                  let batch =
                      { Obs = Key.normal Compute.cpu [ n; 4 ] keys[0]
                        NextObs = Key.normal Compute.cpu [ n; 4 ] keys[1]
                        Action = (Key.normal Compute.cpu [ n; 2 ] keys[2]).tanh()
                        Reward = Key.normal Compute.cpu [ n ] keys[3]
                        Terminated = Tensors.zeros Compute.cpu [ n ] }

                  let struct (next, _) = Sdac.update model keys[4] batch state

                  if next.PolicyAdam.Count > state.PolicyAdam.Count then
                      let moved = Array.map2 (-) (values state.Policy.Flat) (values next.Policy.Flat)
                      let unit = direction config.Adam next.PolicyAdam
                      let largest = unit |> Array.indexed |> Array.maxBy (fun (_, u) -> abs u) |> fst
                      rates.Add(moved[largest] / unit[largest])

                  Parts.disposeReplaced ActorCriticState.parts next state
                  state <- next

              Parts.dispose ActorCriticState.parts state

              closeTo
                  2e-3
                  "rates of the four policy updates"
                  [| 1.0; 1.0; 0.55; 0.1 |]
                  (Array.map ((*) 100.0) (rates.ToArray()))
          } ]
