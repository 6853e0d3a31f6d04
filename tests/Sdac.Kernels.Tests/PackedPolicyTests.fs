/// Acting with networks laid out once gives the bits of the sampler and of the critics.
module Sdac.Kernels.Tests.PackedPolicyTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

let private initialKey, private stepKey = PhiloxKey(1u, 2u, 3u, 4u), PhiloxKey(5u, 6u, 7u, 8u)

type private Sizes =
    { Obs: int
      Action: int
      Hidden: int list
      CriticHidden: int list
      Activation: Activation
      Particles: int
      Timesteps: int
      Threads: int }

let private genSizes =
    // 48 outputs are a band, 16 a vector of the widest path
    let layers =
        Gen.choose (1, 3)
        |> Gen.bind (fun n -> Gen.listOfLength n (Gen.elements [ 1; 8; 13; 32; 48; 50; 100 ]))

    gen {
        let! obs = Gen.elements [ 1; 3; 17; 40 ]
        let! action = Gen.elements [ 1; 2; 6; 17 ]
        let! hidden = layers
        let! criticHidden = layers
        let! activation = genActivation
        let! particles = Gen.elements [ 1; 2; 7; 8; 9; 32; 33; 70 ]
        let! timesteps = Gen.choose (1, 5)
        let! threads = Gen.choose (1, 4)

        return
            { Obs = obs
              Action = action
              Hidden = hidden
              CriticHidden = criticHidden
              Activation = activation
              Particles = particles
              Timesteps = timesteps
              Threads = threads }
    }

let private networks (s: Sizes) =
    let hidden, random = List.toArray s.Hidden, random (s.Obs + 100 * s.Action + s.Particles)
    let shape = NoiseNetworkShape(s.Obs, s.Action, 8, 12, ReadOnlySpan hidden, s.Activation)
    let critic = shapeOf (s.Obs + s.Action :: s.CriticHidden @ [ 1 ]) s.Activation Activation.Identity
    let weights = SamplerTests.parametersOf random shape
    let first, second = parametersFor random critic, parametersFor random critic
    shape, weights, critic, first, second, numbers random s.Obs 1.0

/// What the packed policy gives: actions and both critics' values, one behind the other.
let private packed (s: Sizes) =
    let shape, weights, critic, first, second, obs = networks s
    let c = SamplerTests.coefficients s.Timesteps
    let actions, v, w = zeros (s.Particles * s.Action), zeros s.Particles, zeros s.Particles
    use policy = new PackedPolicy(shape, weights, c, 0.5f, critic, first, second)

    // what a call leaves behind must not reach the next one
    for _ in 1..2 do
        policy.Act(obs, s.Particles, initialKey, stepKey, actions, v, w)

    Array.concat [ actions; v; w ]

/// The same by the kernels that take any batch.
let private plain (s: Sizes) =
    let shape, weights, critic, first, second, obs = networks s
    let actions = zeros (s.Particles * s.Action)
    let c = SamplerTests.coefficients s.Timesteps
    ReverseSampler.Sample(shape, weights, c, obs, 1, s.Particles, 0.5f, initialKey, stepKey, actions)

    let values (parameters: float32[]) =
        let values = zeros s.Particles
        Mlp.Forward(critic, parameters, obs, s.Particles, actions, s.Particles, values)
        values

    Array.concat [ actions; values first; values second ]

let private two =
    { Obs = 5
      Action = 3
      Hidden = [ 10; 9 ]
      CriticHidden = [ 7 ]
      Activation = Activation.Mish
      Particles = 11
      Timesteps = 4
      Threads = 2 }

[<Tests>]
let tests =
    testList
        "packed policies"
        [ for path in paths do
              testForAll $"acting gives the bits of sampling and of both critics: {path}" 60 genSizes (fun s ->
                  let want = onThreads 1 (fun () -> plain s)
                  let got = onPath path (fun () -> onThreads s.Threads (fun () -> packed s))
                  equalBits "actions and values" want got)

          testCase "without critics the actions are the same" (fun () ->
              let shape, weights, _, _, _, obs = networks two
              let actions = zeros (two.Particles * two.Action)
              use policy = new PackedPolicy(shape, weights, SamplerTests.coefficients two.Timesteps, 0.5f)
              policy.Act(obs, two.Particles, initialKey, stepKey, actions, Span.Empty, Span.Empty)
              equalBits "actions" (Array.take actions.Length (plain two)) actions)

          testCase "more threads than there were when it was packed share its copies" (fun () ->
              let many = { two with Particles = 40 }
              let shape, weights, _, _, _, obs = networks many
              let c = SamplerTests.coefficients two.Timesteps
              use policy = onThreads 1 (fun () -> new PackedPolicy(shape, weights, c, 0.5f))
              let actions = zeros (40 * two.Action)

              onThreads 4 (fun () -> policy.Act(obs, 40, initialKey, stepKey, actions, Span.Empty, Span.Empty))

              equalBits "actions" (Array.take actions.Length (plain many)) actions)

          testCase "the weights are copied" (fun () ->
              let shape, weights, _, _, _, obs = networks two
              let actions = zeros (two.Particles * two.Action)
              use policy = new PackedPolicy(shape, weights, SamplerTests.coefficients two.Timesteps, 0.5f)
              Array.fill weights 0 weights.Length nanf
              policy.Act(obs, two.Particles, initialKey, stepKey, actions, Span.Empty, Span.Empty)
              equalBits "actions" (Array.take actions.Length (plain two)) actions)

          testCase "what cannot be packed, lengths and a policy that is gone are refused" (fun () ->
              let shape, weights, critic, first, second, obs = networks two
              let c = SamplerTests.coefficients two.Timesteps

              let refused (words: string list) (action: unit -> unit) =
                  let thrown = Expect.throwsC action id

                  for word in words do
                      Expect.stringContains thrown.Message word "the sentence"

              let normed = normedShapeOf [ 8; 7; 1 ] Activation.Mish Activation.Identity 1e-5f
              let wide = NoiseNetworkShape(5, 3, 8, 12, ReadOnlySpan [| 1025 |])
              Expect.isFalse (PackedPolicy.CanPack normed) "layer norm"
              Expect.isFalse (PackedPolicy.CanPack wide.Main) "a wide layer"
              Expect.isTrue (PackedPolicy.CanPack critic) "plain layers"

              refused [ "layer norm"; "1,024" ] (fun () ->
                  new PackedPolicy(wide, zeros wide.ParameterCount, c, 1.0f) |> ignore)

              refused [ "parameters"; "3" ] (fun () -> new PackedPolicy(shape, zeros 3, c, 1.0f) |> ignore)

              let other = shapeOf [ 9; 7; 1 ] Activation.Mish Activation.Identity

              refused [ "9"; "5 and 3" ] (fun () ->
                  new PackedPolicy(
                      shape,
                      weights,
                      c,
                      1.0f,
                      other,
                      zeros other.ParameterCount,
                      zeros other.ParameterCount
                  )
                  |> ignore)

              let policy = new PackedPolicy(shape, weights, c, 1.0f, critic, first, second)

              let act (obs: float32[]) particles (actions: float32[]) (v: float32[]) () =
                  policy.Act(obs, particles, initialKey, stepKey, actions, v, v)

              refused [ "obs"; "4"; "5" ] (act (zeros 4) 2 (zeros 6) (zeros 2))
              refused [ "particles"; "0" ] (act obs 0 (zeros 0) (zeros 0))
              refused [ "actions"; "7"; "6" ] (act obs 2 (zeros 7) (zeros 2))
              refused [ "firstValues"; "1"; "2" ] (act obs 2 (zeros 6) (zeros 1))
              policy.Dispose()
              policy.Dispose()

              Expect.throwsT<ObjectDisposedException> (act obs 2 (zeros 6) (zeros 2)) "after disposal") ]
