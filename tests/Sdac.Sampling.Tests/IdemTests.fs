module Sdac.Tests.IdemTests

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

let private small =
    { IdemConfig.standard with Batch = 16; Draws = 8; Hidden = [ 16 ]; Fresh = 32; Refresh = 5 }

/// S_K of every row and its standard error by the delta method, Σ w²·(∇ ln p - S)², both [B·D].
let private estimate (config: IdemConfig) (target: Target) t (x: Tensor) (z: Tensor) =
    let model = Idem.create cpu config target
    let s = Idem.score model t x z
    let batch, k, dim = Tensors.size 0 z, Tensors.size 1 z, Tensors.size 2 z
    let sigma = Schedule.column cpu model.Schedule.SqrtRecipM1AlphaBars t
    let draws = (x.unsqueeze 1L).add(z.mul (sigma.unsqueeze 2L)) |> Tensors.reshape [ batch * k; dim ]
    let weights = (target.LogDensity draws |> Tensors.view [ batch; k ]).softmax(1L).unsqueeze 2L
    let away = (target.Gradient draws |> Tensors.view [ batch; k; dim ]).sub(s.unsqueeze 1L)
    values s, values ((away.mul(weights).square().sum 1L).sqrt())

[<Tests>]
let tests =
    testList
        "iDEM"
        [ testForAll
              "the estimated score tends to that of the mixture convolved with the noise"
              30
              (Gen.zip (Gen.zip SamplingTests.mixtures (sizes 0 127)) seeds)
              (fun ((parts, t), seed) ->
                  use _ = torch.NewDisposeScope()
                  let struct (xKey, zKey) = Key.split (key seed)
                  let target = Mixture.target "mixture" 1.0 parts
                  let sigma = (Idem.create cpu small target).Schedule.SqrtRecipM1AlphaBars[t]
                  let x = (Key.normal cpu [ 1; 2 ] xKey) |> scale (0.3 + 0.5 * sigma)
                  let got, error = estimate small target [| t |] x (Key.normal cpu [ 1; 100_000; 2 ] zKey)

                  let convolved =
                      parts
                      |> List.map (fun p ->
                          { p with Deviation = p.Deviation |> Array.map (fun d -> sqrt (d * d + sigma * sigma)) })

                  let want = values ((Mixture.target "convolved" 1.0 convolved).Gradient x)

                  for j in 0..1 do
                      let allowed = 4.0 * error[j] + 1e-3 * (1.0 + abs want[j])

                      Expect.isTrue
                          (abs (got[j] - want[j]) < allowed)
                          $"σ {sigma}: {got[j]} ± {error[j]}, not {want[j]}")

          testForAll
              "the estimated score does not see a constant added to the energy"
              30
              (Gen.zip SamplingTests.mixtures (Gen.zip (between -1e4 1e4) (sizes 0 127)))
              (fun (parts, (shift, t)) ->
                  use _ = torch.NewDisposeScope()
                  let target = Mixture.target "mixture" 1.0 parts
                  let shifted = { target with LogDensity = fun x -> (target.LogDensity x).add(Scalars.ofFloat shift) }
                  let x, z = Key.normal cpu [ 3; 2 ] (key 1) |> scale 0.5, Key.normal cpu [ 3; 50; 2 ] (key 2)
                  let score target = values (Idem.score (Idem.create cpu small target) (Array.create 3 t) x z)
                  // float32 keeps three decimals of an energy of 1e4.
                  closeTo 2e-2 "score" (score target) (score shifted))

          testForAll
              "the estimated score survives energies of 1e4 in size and follows the highest of them"
              30
              (Gen.zip (between -0.5 0.5) (sizes 60 127))
              (fun (at, t) ->
                  use _ = torch.NewDisposeScope()
                  // ln p = 1e4·sin(6·x₁) with itself as the gradient's second coordinate.
                  let height (x: Tensor) : Tensor = (x.select (1L, 0L) |> scale 6.0).sin() |> scale 1e4

                  let target =
                      { Target.create "steep" 2 1.0 height with
                          Gradient = fun x -> torch.stack ([| (height x).zeros_like(); height x |], 1L) }

                  let x = Tensors.ofArray cpu [ 1; 2 ] [| float32 at; 0.0f |]
                  let model = Idem.create cpu small target
                  let z = Key.normal cpu [ 1; 400; 2 ] (key 3)
                  let score = values (Idem.score model [| t |] x z)
                  let sigma = model.Schedule.SqrtRecipM1AlphaBars[t]

                  let highest =
                      values (height ((x.unsqueeze 1L).add(scale sigma z) |> Tensors.view [ 400; 2 ])) |> Array.max

                  Expect.inRange (score[1]) (highest - 20.0, highest + 1.0) "score")

          testForAll
              "a temperature flattens the energy and its gradient alike"
              20
              (Gen.zip (between 0.3 5.0) (sizes 0 127))
              (fun (temperature, t) ->
                  use _ = torch.NewDisposeScope()

                  let normal deviation =
                      Mixture.target
                          "normal"
                          1.0
                          [ { Weight = 1.0; Mean = [| 0.2; -0.1 |]; Deviation = [| deviation; deviation |] } ]

                  let score config target =
                      values (
                          Idem.score
                              (Idem.create cpu config target)
                              [| t |]
                              (Tensors.zeros cpu [ 1; 2 ])
                              (Key.normal cpu [ 1; 20; 2 ] (key 4))
                      )

                  closeTo
                      1e-2
                      "score"
                      (score small (normal (0.2 * sqrt temperature)))
                      (score { small with Temperature = temperature } (normal 0.2)))

          testForAll
              "clipped scores keep their direction and are no longer than the clip"
              50
              (Gen.zip (between 0.1 100.0) seeds)
              (fun (longest, seed) ->
                  use _ = torch.NewDisposeScope()
                  let s = Key.normal cpu [ 20; 2 ] (key seed) |> scale 40.0
                  let before, after = values s, values (Idem.clipped longest s)

                  for i in 0..19 do
                      let norm (v: float[]) = sqrt (v[2 * i] ** 2.0 + v[2 * i + 1] ** 2.0)
                      Expect.floatClose (within (1e-4 * longest)) (norm after) (min longest (norm before)) "norm"
                      closeTo 1e-5 "direction" [| before[2 * i] / norm before |] [| after[2 * i] / norm after |])

          testCase "the buffer takes fresh samples in turn and drops the oldest" (fun () ->
              let model = Idem.create cpu { small with Fresh = 20; Refresh = 2; Buffer = 50 } Targets.pair
              let mutable state = Idem.init model (key 1)

              for rows in [ 20; 40; 40; 50; 50; 50 ] do
                  let old = values state.Buffer
                  let next = Idem.step model (key 2) state
                  Idem.dispose state
                  state <- next
                  let now = values state.Buffer
                  Expect.equal now.Length (2 * rows) "number of now"
                  let fresh = if state.Updates % 2 = 0 then 40 else 0
                  let stayed = now.Length - fresh
                  Expect.equal (now[.. stayed - 1]) (old[old.Length - stayed ..]) "now"

              Idem.dispose state)

          testCase "a short iDEM training comes from far off to near the pair of modes" (fun () ->
              let config = { IdemConfig.standard with Updates = 600; Draws = 128; Hidden = [ 64; 64 ]; Refresh = 50 }
              let model = Idem.create cpu config Targets.pair

              let divergence state =
                  use samples = Idem.sample model state 8000 (key 2)
                  (Measures.divergence Targets.pair (Tensors.toArray samples)).Value

              let untrained = Idem.init model (key 1)
              let before = divergence untrained
              Idem.dispose untrained
              let state = Idem.train model (key 1) ignore
              let after = divergence state
              Idem.dispose state
              Expect.isTrue (before > 1.0 && after < 0.1) $"KL {before} before, {after} after")

          testCase "the same key trains the same iDEM sampler and leaves no tensor behind" (fun () ->
              let before = liveTensors ()

              let train () =
                  let model = Idem.create cpu { small with Updates = 12 } Targets.rings
                  let mutable seen = 0
                  let state = Idem.train model (key 4) (fun s -> seen <- seen + s.Updates)
                  Expect.equal seen (12 * 13 / 2) "seen"
                  use samples = Idem.sample model state 10 (key 5)
                  let flat = Array.append (values state.Average.Flat) (values samples)
                  Idem.dispose state
                  flat

              Expect.equal (train ()) (train ()) "train"
              Expect.equal (liveTensors ()) before "live tensors")

          testCase "settings that iDEM cannot work with are refused by name" (fun () ->
              let refused words change =
                  failsWith words (fun () -> Idem.create cpu (change IdemConfig.standard) Targets.pair |> ignore)

              Expect.isEmpty (IdemConfig.problems IdemConfig.standard) "standard"
              refused [ "draws (K) is 0"; "at least 1" ] (fun c -> { c with Draws = 0 })
              refused [ "timesteps is 0" ] (fun c -> { c with Timesteps = 0 })
              refused [ "batch is 0"; "buffer is -1" ] (fun c -> { c with Batch = 0; Buffer = -1 })
              refused [ "temperature is 0" ] (fun c -> { c with Temperature = 0.0 })
              refused [ "scoreClip is NaN" ] (fun c -> { c with ScoreClip = nan })
              refused [ "from 2 to 1" ] (fun c -> { c with Noise = 2.0, 1.0 })
              refused [ "noise level is 0" ] (fun c -> { c with Noise = 0.0, 1.0 })

              failsWith [ "0 samples" ] (fun () ->
                  let model = Idem.create cpu small Targets.pair
                  Idem.sampleBox model (NoiseNetwork.init cpu model.Noise (key 1)) 0 (key 2) |> ignore))

          testCase
              "an energy or gradient that is not finite or of a wrong shape stops iDEM with its value and timestep"
              (fun () ->
                  let step energy gradient () =
                      use _ = torch.NewDisposeScope()
                      let target = { Target.create "mine" 2 3.0 energy with Gradient = gradient }
                      let model = Idem.create cpu small target
                      Idem.step model (key 2) (Idem.init model (key 1)) |> ignore

                  let first (x: Tensor) : Tensor = x.select (1L, 0L)
                  let over (x: Tensor) : Tensor = x.div (Scalars.ofFloat 0.0)
                  failsWith [ "energy"; "'mine'"; "NaN"; "timestep" ] (step (fun x -> (first x).log()) id)
                  failsWith [ "energy"; "'mine'"; "Infinity"; "timestep" ] (step (fun x -> over (first x)) id)
                  failsWith [ "gradient"; "'mine'"; "Infinity"; "timestep" ] (step first over)
                  failsWith [ "energy"; "'mine'"; "shape" ] (step id id)
                  failsWith [ "gradient"; "'mine'"; "shape" ] (step first first)) ]
