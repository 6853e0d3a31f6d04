module Sdac.Tests.DiklTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Sampling
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Testing

let private cpu = Compute.cpu

let private key seed = Key.ofSeed (int64 seed)

let private seeds = sizes 0 1_000_000

let private small =
    { DiklConfig.standard with
        Batch = 16
        Draws = 8
        Hidden = [ 16 ]
        Sampler = [ 16 ]
        ScoreUpdates = 2
        Updates = 10 }

/// Seconds of training.
let private quick =
    { DiklConfig.standard with
        Updates = 300
        Sampler = [ 64; 64 ]
        Hidden = [ 64; 64 ]
        Sharpness = 2.0
        SamplerSharpness = 1.0
        Batch = 128
        Draws = 16
        ScoreUpdates = 5
        LearningRate = 1e-2
        Damping = 1.0
        ScoreRate = 5e-3
        Noise = 0.02, 0.7
        Levels = 0 }

/// One round normal distribution in the box.
let private normal deviation =
    Mixture.target "normal" 1.0 [ { Weight = 1.0; Mean = [| 0.2; -0.1 |]; Deviation = [| deviation; deviation |] } ]

/// The same state in every row, so that the rows are independent estimates of one thing.
let private repeated (rows: int) (state: Tensor) : Tensor = state |> Tensors.expand [ rows; 2 ] |> _.contiguous()

let private meanAndError (rows: int) (x: Tensor) =
    let mean = x.mean ([| 0L |], true)
    let error = (x.sub(mean).square().mean [| 0L |]).sqrt().div(num (sqrt (float rows)))
    values mean, values error

/// Ways to draw from a posterior: importance sampling, with Langevin steps behind it, with levels between.
let private ways = Gen.elements [ 0, 0; 0, 2; 2, 1; 3, 2 ]

[<Tests>]
let tests =
    testList
        "DiKL"
        [ testForAll
              "draws of a normal target's posterior have its mean and variance, however they are drawn and however long their steps"
              30
              (Gen.zip (Gen.zip ways (sizes 12 50)) (Gen.zip (between 0.3 2.0) seeds))
              (fun (((levels, steps), t), (size, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let deviation = 0.15
                  let config = { small with Levels = levels; Steps = steps; Draws = 400; Width = 0.2 }
                  let model = Dikl.create cpu config (normal deviation)
                  let rows, sigma = 40, model.Schedule.SqrtRecipM1AlphaBars[t]
                  let struct (stateKey, drawKey) = Key.split (key seed)
                  // a state that the target makes
                  let clean = Target.boxSample 1 stateKey model.Target
                  let noise = Key.normal cpu [ 1; 2 ] (Key.foldIn 1L stateKey)
                  let noisy = Diffusion.noised cpu model.Schedule [| t |] clean noise
                  let found = DiklPosterior.draw model size (Array.create rows t) (repeated rows noisy) drawKey
                  let points = found.Points |> Tensors.view [ rows; 400; 2 ]
                  let weighted (x: Tensor) = x.mul(found.Weights.unsqueeze 2L).sum(1L)
                  let variance = 1.0 / (1.0 / (deviation * deviation) + 1.0 / (sigma * sigma))
                  let centre = values (noisy.div (num model.Schedule.SqrtAlphaBars[t]))

                  let wanted =
                      Array.map2
                          (fun c m -> variance * (c / (sigma * sigma) + m / (deviation * deviation)))
                          centre
                          [| 0.2; -0.1 |]

                  let means, errors = meanAndError rows (weighted points)
                  let away = points.sub (Tensors.ofArray cpu [ 1; 1; 2 ] (Array.map float32 wanted))
                  let squares, squareErrors = meanAndError rows (weighted (away.square ()))

                  for j in 0..1 do
                      // weights that are divided by their sum are biased as 1/K
                      Expect.isLessThan
                          (abs (means[j] - wanted[j]))
                          (5.0 * errors[j] + 0.02 * sqrt variance)
                          $"σ {sigma}, mean {means[j]}, not {wanted[j]}"

                      Expect.isLessThan
                          (abs (squares[j] - variance))
                          (5.0 * squareErrors[j] + 0.03 * variance)
                          $"σ {sigma}, variance {squares[j]}, not {variance}")

          testForAll
              "the estimated score is that of the noised mixture, whatever the width of the blend"
              30
              (Gen.zip (Gen.zip SamplingTests.mixtures (sizes 16 50)) (Gen.zip (between 0.03 0.6) seeds))
              (fun ((parts, t), (width, seed)) ->
                  use _ = torch.NewDisposeScope()

                  let narrower =
                      [ for p in parts ->
                            { p with
                                Mean = Array.map (fun m -> 0.7 * m) p.Mean
                                Deviation = Array.map (fun d -> 0.5 * d) p.Deviation } ]

                  let target = Mixture.target "mixture" 1.0 narrower
                  let config = { small with Draws = 1000; Levels = 1; Steps = 1; Width = width }
                  let model = Dikl.create cpu config target
                  let rows, alphaBar = 40, model.Schedule.AlphaBars[t]
                  let struct (stateKey, drawKey) = Key.split (key seed)
                  let clean = Target.boxSample 1 stateKey target

                  let noisy =
                      Diffusion.noised
                          cpu
                          model.Schedule
                          [| t |]
                          clean
                          (Key.normal cpu [ 1; 2 ] (Key.foldIn 1L stateKey))

                  let states, times = repeated rows noisy, Array.create rows t
                  let draws = DiklPosterior.draw model 1.0 times states drawKey
                  let got, errors = meanAndError rows (DiklPosterior.score model times states draws)
                  let want = values (target.NoisedScore.Value alphaBar noisy)

                  for j in 0..1 do
                      let allowed = 5.0 * errors[j] + 0.02 * (1.0 + abs want[j])

                      Expect.isLessThan
                          (abs (got[j] - want[j]))
                          allowed
                          $"ᾱ {alphaBar}: {got[j]} ± {errors[j]}, not {want[j]}")

          testForAll
              "where the target is normal of the blend's width, the estimate has no variance: two draws say all"
              40
              (Gen.zip (sizes 0 63) (Gen.zip (between 0.03 0.15) seeds))
              (fun (t, (deviation, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let config = { small with Draws = 2; Levels = 0; Steps = 0; Width = deviation }
                  let model = Dikl.create cpu config (normal deviation)
                  let clean = Target.boxSample 10 (key seed) model.Target
                  let times = Array.create 10 t

                  let noisy =
                      Diffusion.noised cpu model.Schedule times clean (Key.normal cpu [ 10; 2 ] (key (seed + 1)))

                  let got =
                      values (
                          DiklPosterior.denoised
                              model
                              times
                              noisy
                              (DiklPosterior.draw model 1.0 times noisy (key (seed + 2)))
                      )

                  let sigma2 = model.Schedule.SqrtRecipM1AlphaBars[t] ** 2.0
                  let centre = values (noisy.div (num model.Schedule.SqrtAlphaBars[t]))
                  let share = deviation * deviation / (deviation * deviation + sigma2)

                  let want =
                      centre |> Array.mapi (fun i c -> share * c + (1.0 - share) * (if i % 2 = 0 then 0.2 else -0.1))

                  closeTo 2e-4 "denoised" want got)

          testForAll
              "a temperature widens the posterior as it widens the density"
              20
              (Gen.zip (Gen.zip ways (between 0.4 2.0)) (Gen.zip (sizes 10 50) seeds))
              (fun (((levels, steps), temperature), (t, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let noisy = (Key.normal cpu [ 3; 2 ] (key seed)).mul(num 0.2)
                  let times = Array.create 3 t

                  let denoised temperature deviation =
                      let config = { small with Levels = levels; Steps = steps; Temperature = temperature }
                      let model = Dikl.create cpu config (normal deviation)

                      values (
                          DiklPosterior.denoised
                              model
                              times
                              noisy
                              (DiklPosterior.draw model 1.0 times noisy (key (seed + 1)))
                      )

                  // one density written twice: the same draws, the same choices
                  closeTo 2e-3 "denoised" (denoised 1.0 (0.1 * sqrt temperature)) (denoised temperature 0.1))

          testForAll
              "the estimate does not see a constant added to the energy"
              20
              (Gen.zip (Gen.zip SamplingTests.mixtures ways) (Gen.zip (between -100.0 100.0) (sizes 0 63)))
              (fun ((parts, (levels, steps)), (shift, t)) ->
                  use _ = torch.NewDisposeScope()
                  let target = Mixture.target "mixture" 1.0 parts
                  let shifted = { target with LogDensity = fun x -> (target.LogDensity x).add(num shift) }
                  let noisy, times = (Key.normal cpu [ 3; 2 ] (key 1)).mul(num 0.5), Array.create 3 t

                  let denoised target =
                      let model = Dikl.create cpu { small with Levels = levels; Steps = steps } target

                      values (
                          DiklPosterior.denoised model times noisy (DiklPosterior.draw model 1.0 times noisy (key 2))
                      )

                  closeTo 1e-2 "denoised" (denoised target) (denoised shifted))

          testCase "training reaches a normal target's mean and deviation" (fun () ->
              let model = Dikl.create cpu quick Targets.gaussian
              let state = Dikl.train model (key 1) ignore
              use samples = Dikl.sample model state 20_000 (key 2)
              let v = values samples
              let stepSize = state.StepSize
              Dikl.dispose state

              for j, (mean, deviation) in List.indexed [ 1.0, 1.2; -0.5, 0.6 ] do
                  let x = Array.init 20_000 (fun i -> v[2 * i + j])
                  let found = Array.average x
                  let spread = sqrt (x |> Array.averageBy (fun v -> (v - found) ** 2.0))

                  Expect.isLessThan
                      (abs (found - mean))
                      (0.1 * deviation)
                      $"mean of coordinate {j}: {found}, not {mean}"

                  Expect.isLessThan
                      (abs (spread / deviation - 1.0))
                      0.12
                      $"deviation of coordinate {j}: {spread}, not {deviation}"

              Expect.isGreaterThan stepSize 1.2 "the size of Langevin steps adapts")

          testCase "a short DiKL training comes from far off to nearer the pair of modes" (fun () ->
              let model = Dikl.create cpu quick Targets.pair

              let measures (state: DiklState) =
                  use samples = Dikl.sample model state 8000 (key 2)
                  let points = Tensors.toArray samples

                  struct ((Measures.divergence Targets.pair points).Value,
                          Measures.modeWeightError Targets.pair points,
                          Measures.modesFound Targets.pair points)

              let untrained = Dikl.init model (key 1)
              let struct (before, weightsBefore, _) = measures untrained
              Dikl.dispose untrained
              let state = Dikl.train model (key 1) ignore
              let struct (after, weights, found) = measures state
              Dikl.dispose state
              Expect.isLessThan after (0.6 * before) "KL, against the untrained sampler's"
              Expect.isLessThan weights (0.6 * weightsBefore) "mode weights"
              Expect.equal found 2 "modes found")

          testCase "the untrained model is normal of deviation one half, and its score network knows" (fun () ->
              use _ = torch.NewDisposeScope()
              let model = Dikl.create cpu small Targets.pair
              let state = Dikl.init model (key 1)
              let x = values (Dikl.sampleBox model state.Sampler 20_000 (key 2))
              Expect.floatClose (within 0.01) (sqrt (x |> Array.averageBy (fun v -> v * v))) 0.5 "deviation"
              let y = Key.normal cpu [ 50; 2 ] (key 3)

              for t in [ 0; 20; 40; 63 ] do
                  let alphaBar = model.Schedule.AlphaBars[t]
                  let want = values (y.div (num -(0.25 * alphaBar + 1.0 - alphaBar)))
                  closeTo 1e-3 "score" want (values (Dikl.learnedScore model state t y)))

          testCase "steps grow where too many are accepted and shrink where too few are" (fun () ->
              for acceptance, grows in [ 0.01, true; 0.99, false ] do
                  let model = Dikl.create cpu { small with Acceptance = acceptance } Targets.pair
                  let state = Dikl.init model (key 1)
                  let next = Dikl.step model (key 2) state
                  Expect.equal (next.StepSize > state.StepSize) grows $"acceptance {acceptance}"
                  Dikl.dispose state
                  Dikl.dispose next)

          testCase "an update uses no key twice" (fun () ->
              use _ = torch.NewDisposeScope()
              let model = Dikl.create cpu { small with Levels = 2; Steps = 2; ScoreUpdates = 3 } Targets.pair
              let state = Dikl.init model (key 1)
              let struct (_, uses) = KeyTrace.during (fun () -> Dikl.step model (key 2) state)

              let numbers =
                  uses
                  |> List.choose (fun used ->
                      match used with
                      | Numbers words -> Some words
                      | Keys _ -> None)

              // of each score update: times, latent and noise; the sampler's latent, times, noise, first draws; two of each step
              Expect.equal numbers.Length (3 * 3 + 4 + 2 * 3 * 2) "streams"
              Expect.equal (List.distinct numbers) numbers "streams of one key")

          testCase "the same key trains the same DiKL sampler and leaves no tensor behind" (fun () ->
              let before = liveTensors ()

              let train () =
                  let model = Dikl.create cpu small Targets.rings
                  let mutable seen = 0
                  let state = Dikl.train model (key 4) (fun s -> seen <- seen + s.Updates)
                  Expect.equal seen (10 * 11 / 2) "seen"
                  Expect.equal state.ScoreAdam.Count 20L "updates of the score network"
                  use samples = Dikl.sample model state 10 (key 5)
                  use score = Dikl.learnedScore model state 3 samples
                  let flat = Array.concat [ values state.Average.Flat; values samples; values score ]
                  Dikl.dispose state
                  flat

              Expect.equal (train ()) (train ()) "train"
              Expect.equal (liveTensors ()) before "live tensors")

          testCase "settings that DiKL cannot work with are refused by name" (fun () ->
              let refused words change =
                  failsWith words (fun () -> Dikl.create cpu (change DiklConfig.standard) Targets.pair |> ignore)

              Expect.isEmpty (DiklConfig.problems DiklConfig.standard) "standard"
              refused [ "draws (K) is 0"; "at least 1" ] (fun c -> { c with Draws = 0 })
              refused [ "timesteps is 0" ] (fun c -> { c with Timesteps = 0 })
              refused [ "batch is 0"; "updates is -1" ] (fun c -> { c with Batch = 0; Updates = -1 })
              refused [ "scoreUpdates is 0" ] (fun c -> { c with ScoreUpdates = 0 })
              refused [ "levels is 3 with steps 0" ] (fun c -> { c with Levels = 3; Steps = 0 })
              refused [ "draws (K) is 1 with steps 0" ] (fun c -> { c with Draws = 1; Levels = 0; Steps = 0 })
              refused [ "acceptance is 1" ] (fun c -> { c with Acceptance = 1.0 })
              refused [ "width is 0" ] (fun c -> { c with Width = 0.0 })
              refused [ "temperature is -1" ] (fun c -> { c with Temperature = -1.0 })
              refused [ "from 2 to 1" ] (fun c -> { c with Noise = 2.0, 1.0 })
              refused [ "averaging is 2" ] (fun c -> { c with Averaging = 2.0 })
              refused [ "damping is 0" ] (fun c -> { c with Damping = 0.0 })
              refused [ "scoreRate is NaN" ] (fun c -> { c with ScoreRate = nan })

              failsWith [ "0 samples" ] (fun () ->
                  let model = Dikl.create cpu small Targets.pair
                  use _ = torch.NewDisposeScope()
                  Dikl.sampleBox model (Dikl.init model (key 1)).Sampler 0 (key 2) |> ignore))

          testCase
              "an energy or gradient that is not finite or of a wrong shape stops DiKL with its value and timestep"
              (fun () ->
                  let step energy gradient () =
                      use _ = torch.NewDisposeScope()
                      let target = { Target.create "mine" 2 3.0 energy with Gradient = gradient }
                      let model = Dikl.create cpu small target
                      Dikl.step model (key 2) (Dikl.init model (key 1)) |> ignore

                  let first (x: Tensor) : Tensor = x.select (1L, 0L)
                  let over (x: Tensor) : Tensor = x.div (num 0.0)
                  failsWith [ "energy"; "'mine'"; "NaN"; "timestep" ] (step (fun x -> (first x).log()) id)
                  failsWith [ "energy"; "'mine'"; "Infinity"; "timestep" ] (step (fun x -> over (first x)) id)
                  failsWith [ "gradient"; "'mine'"; "Infinity"; "timestep" ] (step first over)
                  failsWith [ "energy"; "'mine'"; "shape" ] (step id id)
                  failsWith [ "gradient"; "'mine'"; "shape" ] (step first first)) ]
