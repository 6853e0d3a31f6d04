module Sdac.Kernels.Tests.SamplerTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

/// The linear schedule of the published experiments, in double, then rounded.
let coefficients timesteps =
    let beta t = 0.8 * (1e-4 + (0.999 - 1e-4) * float t / float (max 1 (timesteps - 1)))
    let alphaBar = Array.scan (fun product t -> product * (1.0 - beta t)) 1.0 [| 0 .. timesteps - 1 |]
    let each f = Array.init timesteps (fun t -> float32 (f t alphaBar[t + 1] alphaBar[t]))

    ReverseCoefficients(
        each (fun _ bar _ -> sqrt (1.0 / bar)),
        each (fun _ bar _ -> sqrt (1.0 / bar - 1.0)),
        each (fun t bar before -> beta t * sqrt before / (1.0 - bar)),
        each (fun t bar before -> (1.0 - before) * sqrt (1.0 - beta t) / (1.0 - bar)),
        // The last step adds no noise: a deviation that would show.
        each (fun t bar before -> if t = 0 then 7.0 else sqrt (beta t * (1.0 - before) / (1.0 - bar)))
    )

let parametersOf random (shape: NoiseNetworkShape) =
    Array.append (parametersFor random shape.Time) (parametersFor random shape.Main)

/// The sampler as the design states it: the whole network on whole rows, one timestep after the other.
let private straightforward
    (shape: NoiseNetworkShape)
    (parameters: float32[])
    (c: ReverseCoefficients)
    (obs: float32[])
    states
    particles
    scale
    (initial: float32[])
    (noise: float32[])
    =
    let rows, A = states * particles, shape.ActionDim
    let timeParameters = Array.take shape.Time.ParameterCount parameters
    let mainParameters = Array.skip shape.Time.ParameterCount parameters
    let mutable x = initial |> Array.map (fun z -> z * scale)

    for t in c.Timesteps - 1 .. -1 .. 0 do
        let encoded, time = zeros shape.TimeDim, zeros shape.TimeDim
        let timestep = [| float32 t |]
        TimeEncoding.Encode(timestep, shape.TimeDim, encoded)
        Mlp.Forward(shape.Time, timeParameters, ReadOnlySpan.Empty, 1, encoded, 1, time)

        let input =
            Array.concat
                [ for r in 0 .. rows - 1 do
                      Array.sub obs (r / particles * shape.ObsDim) shape.ObsDim
                      Array.sub x (r * A) A
                      time ]

        let epsilon = zeros (rows * A)
        Mlp.Forward(shape.Main, mainParameters, ReadOnlySpan.Empty, 1, input, rows, epsilon)
        let drawn = Array.sub noise ((c.Timesteps - 1 - t) * rows * A) (rows * A)

        x <-
            Array.init (rows * A) (fun i ->
                let clean = max -1.0f (min 1.0f (x[i] * c.SqrtRecip[t] - epsilon[i] * c.SqrtRecipM1[t]))
                let mean = clean * c.Mean1[t] + x[i] * c.Mean2[t]
                if t > 0 then mean + c.Sigma[t] * drawn[i] else mean)

    x |> Array.map (fun a -> max -1.0f (min 1.0f a))

let private initialKey, private stepKey = PhiloxKey(1u, 2u, 3u, 4u), PhiloxKey(5u, 6u, 7u, 8u)

let sample (shape: NoiseNetworkShape) (parameters: float32[]) c (obs: float32[]) states particles =
    let actions = zeros (states * particles * shape.ActionDim)
    ReverseSampler.Sample(shape, parameters, c, obs, states, particles, 0.5f, initialKey, stepKey, actions)
    actions

let private sampleWithNoise (shape: NoiseNetworkShape) (parameters: float32[]) c obs states particles initial noise =
    let actions = zeros (states * particles * shape.ActionDim)
    let obs, initial, noise = (obs: float32[]), (initial: float32[]), (noise: float32[])
    ReverseSampler.SampleWithNoise(shape, parameters, c, obs, states, particles, 0.5f, initial, noise, actions)
    actions

let private streams (c: ReverseCoefficients) size =
    let initial, noise = zeros size, zeros (c.Timesteps * size)
    Philox.Normal(initialKey, 0L, initial.AsSpan())
    Philox.Normal(stepKey, 0L, noise.AsSpan())
    initial, noise

let private genSizes =
    gen {
        let! obs = Gen.elements [ 1; 3; 11; 17; 40 ]
        let! action = Gen.elements [ 1; 2; 3; 6; 17 ]

        let! hidden =
            Gen.choose (1, 3) |> Gen.bind (fun n -> Gen.listOfLength n (Gen.elements [ 1; 8; 13; 32; 50 ]))

        let! states = Gen.choose (1, 40)
        let! particles = Gen.elements [ 1; 2; 3; 8; 10; 16; 32; 33 ]
        let! timesteps = Gen.choose (1, 6)
        return obs, action, hidden, states, particles, timesteps
    }

/// Every second network has mish and no layer norm; the others take all activations in turn, some with a norm.
let shapeFor obs action (hidden: int list) states =
    let widths = List.toArray hidden

    if states % 2 = 0 then
        NoiseNetworkShape(obs, action, 8, 12, ReadOnlySpan widths)
    else
        let activation = activations[states % activations.Length]
        let norm = if states % 3 = 0 then Nullable 1e-5f else Nullable()
        NoiseNetworkShape(obs, action, 8, 12, ReadOnlySpan widths, activation, norm)

let private setUp (obs, action, hidden: int list, states, _, timesteps) =
    let shape = shapeFor obs action hidden states
    let random = random (obs + 100 * action + states)
    shape, parametersOf random shape, coefficients timesteps, numbers random (states * obs) 1.0

[<Tests>]
let tests =
    testList
        "reverse sampler"
        [ testForAll "sampling equals the network evaluated step by step" 80 genSizes (fun sizes ->
              let shape, parameters, c, obs = setUp sizes
              let _, action, _, states, particles, _ = sizes
              let initial, noise = streams c (states * particles * action)
              let want = straightforward shape parameters c obs states particles 0.5f initial noise
              let got = sampleWithNoise shape parameters c obs states particles initial noise
              // Early steps multiply differences by up to √(1/ᾱ - 1), so a few rows deserve a wider limit than rounding.
              close "actions" 1e-4 (Array.map float want) got)

          testForAll "sampling draws its noise from the streams as documented" 80 genSizes (fun sizes ->
              let shape, parameters, c, obs = setUp sizes
              let _, action, _, states, particles, _ = sizes
              let initial, noise = streams c (states * particles * action)
              let want = sampleWithNoise shape parameters c obs states particles initial noise
              equalBits "actions" want (sample shape parameters c obs states particles))

          testCase "a state's samples do not depend on how many states are sampled beside it" (fun () ->
              // With given noise: the streams' numbering depends on the batch.
              let shape, parameters, c, obs = setUp (11, 3, [ 32; 32 ], 9, 10, 5)
              let size = 10 * 3
              let initial, noise = streams c (9 * size)
              let all = sampleWithNoise shape parameters c obs 9 10 initial noise

              for state in 0..8 do
                  let part (values: float32[]) = Array.sub values (state * size) size

                  let ownNoise =
                      Array.concat [ for step in 0..4 -> Array.sub noise (step * 9 * size + state * size) size ]

                  let alone =
                      sampleWithNoise shape parameters c (Array.sub obs (state * 11) 11) 1 10 (part initial) ownNoise

                  equalBits $"state {state}" (part all) alone)

          testCase "samples lie in the unit cube and differ between particles" (fun () ->
              let shape, parameters, c, obs = setUp (17, 6, [ 50; 50 ], 5, 32, 20)
              let actions = sample shape parameters c obs 5 32

              for a in actions do
                  Expect.inRange a (-1.0f, 1.0f) "action"

              let rows = actions |> Array.chunkBySize 6
              Expect.equal (rows |> Array.distinct |> Array.length) rows.Length "number of rows")

          testCase "a NaN in the observation reaches the action" (fun () ->
              let shape, parameters, c, obs = setUp (3, 2, [ 8 ], 2, 4, 5)
              obs[1] <- nanf
              let actions = sample shape parameters c obs 2 4

              for a in Array.take 8 actions do
                  Expect.isTrue (Single.IsNaN a) "NaN"

              for a in Array.skip 8 actions do
                  Expect.isFalse (Single.IsNaN a) "NaN")

          testCase "sampling agrees with the figures beside the checkout" (fun () ->
              match Golden.sdac.Value with
              | None -> skiptest Golden.missing
              | Some golden ->
                  let shape = NoiseNetworkShape(3, 2, 16, 32, ReadOnlySpan [| 8; 8; 8 |])
                  let schedule = golden.GetProperty("schedules").[0].GetProperty "float64"
                  let of' name f = Golden.floats [ name ] schedule |> Array.map (f >> float32)

                  let c =
                      ReverseCoefficients(
                          of' "sqrt_recip_alphas_cumprod" id,
                          of' "sqrt_recipm1_alphas_cumprod" id,
                          of' "posterior_mean_coef1" id,
                          of' "posterior_mean_coef2" id,
                          of' "posterior_log_variance_clipped" (fun v -> exp (0.5 * v))
                      )

                  let P, B, A, T = 3, 5, 2, 20
                  let obs = Array.init (B * 3) (fun k -> float32 (cos (0.4 * float k + 0.1)))
                  // Recorded as [particles, batch, action]; here states come first.
                  let permuted (at: int -> 'a) =
                      [| for b in 0 .. B - 1 do
                             for p in 0 .. P - 1 do
                                 for a in 0 .. A - 1 do
                                     at ((p * B + b) * A + a) |]

                  let initial = permuted (Golden.noise 0.1)

                  let noise =
                      Array.concat [ for i in 0 .. T - 1 -> permuted (fun k -> Golden.noise 0.2 (i * P * B * A + k)) ]

                  let want = permuted (Array.get (Golden.floats [ "sampling"; "particles" ] golden))

                  close
                      "particles"
                      1e-5
                      want
                      (sampleWithNoise shape (Golden.policyParameters 0.0) c obs B P initial noise)) ]
