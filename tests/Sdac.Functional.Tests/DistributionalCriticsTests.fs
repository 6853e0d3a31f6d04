module Sdac.Tests.DistributionalCriticsTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Testing

let private cpu = Compute.cpu

let internal model: DistributionalCriticsModel =
    DistributionalCritics.model
        cpu
        space
        [ 12; 9 ]
        { NetworkSettings.mish with InitialWeights = InitialWeights.TorchUniform }
        DistributionalSettings.usual
        (AdamSettings.usual 1e-3)

/// Critics whose moving averages differ from them.
let internal criticsOf (key: Key) : DistributionalCritics =
    let fresh a b = DistributionalCritics.init model (Key.foldIn a key) (Key.foldIn b key)
    let c, other = fresh 11L 12L, fresh 13L 14L

    { First = { c.First with Target = other.First.Online }
      Second = { c.Second with Target = other.Second.Online } }

let private vector (numbers: float list) = Tensors.ofArray cpu [ numbers.Length ] [| for x in numbers -> float32 x |]

let private one q sigma y sampled b =
    let targets = { Mean = vector [ y ]; Sampled = vector [ sampled ] }
    DistributionalCritics.loss DistributionalSettings.usual b targets (vector [ q ]) (vector [ sigma ])

/// μ and σ in float64 by flat parameters.
let private doubleDistribution (flat: Tensor) (obs: Tensor) (action: Tensor) =
    let output =
        Doubles.forward model.Shape flat (torch.cat ([| Doubles.double obs; Doubles.double action |], 1L))

    struct (output.select (1L, 0L), (output.select (1L, 1L)).exp().log1p())

let private targetsOf (c: DistributionalCritics) (batch: Batch) (key: Key) =
    let keys = Key.splitMany 3 key
    let action = (Key.normal cpu [ batchSize; 2 ] keys[0]).tanh()
    let noise = struct (Key.normal cpu [ batchSize ] keys[1], Key.normal cpu [ batchSize ] keys[2])
    DistributionalCritics.targets model c batch action noise

let private single (t: Tensor) = values (t.detach().``to`` torch.float32)

[<Tests>]
let tests =
    testList
        "distributional critics"
        [ testCase "the loss of one sample has the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let far = one 10.0 2.0 11.0 19.0 1.5
              closeTo 1e-5 "loss" [| -15.160720 |] (values far.Rows)
              closeTo 1e-5 "to the mean" [| -0.573171 |] (values far.ToMean)
              closeTo 1e-5 "to the deviation" [| -4.714506 |] (values far.ToDeviation)
              closeTo 1e-6 "at σ" [| 0.0 |] (values (one 10.0 2.0 11.0 12.0 1.5).ToDeviation)
              closeTo 1e-5 "nearer" [| 0.870370 |] (values (one 10.0 2.0 11.0 11.0 1.5).ToDeviation)
              // below the mean the sampled target is bounded as well
              closeTo 1e-5 "below" (values far.ToDeviation) (values (one 10.0 2.0 11.0 -40.0 1.5).ToDeviation))

          testCase "the spread begins with the first batch's deviation and then follows slowly" (fun () ->
              let next = DistributionalCritics.spread DistributionalSettings.usual
              closeTo 1e-9 "first" [| 0.8 |] [| next 0.0 0.8 |]
              closeTo 1e-9 "second" [| 0.801 |] [| next 0.8 1.0 |])

          testForAll
              "the gradient is autograd's in float64, with what the loss holds constant held, and the new spread"
              30
              (Gen.zip keys (Gen.elements [ 0.0; 0.4 ]))
              (fun (key, before) ->
                  use _ = torch.NewDisposeScope()
                  let critics = criticsOf key
                  let c = { critics.First with Spread = before }
                  let batch = batchOf (Key.foldIn 1L key)
                  let targets = targetsOf critics batch (Key.foldIn 2L key)

                  let struct (loss, mean, deviation, b, gradient) =
                      DistributionalCritics.gradient model c batch targets

                  let flat = Doubles.leaf c.Online
                  let struct (q, sigma) = doubleDistribution flat batch.Obs batch.Action
                  let heldQ, heldSigma = q.detach (), sigma.detach ()
                  let average = (Doubles.numbers (heldSigma.mean ()))[0]
                  let wantedB = if before = 0.0 then average else 0.995 * before + 0.005 * average
                  let guard = Scalars.ofFloat 0.1
                  let bound = Scalars.ofFloat (3.0 * wantedB)

                  let sampled =
                      heldQ.add (
                          (Doubles.double targets.Sampled).sub(heldQ).clamp(Scalars.ofFloat (-3.0 * wantedB), bound)
                      )

                  let first = q.mul((Doubles.double targets.Mean).sub heldQ).div(heldSigma.square().add guard)

                  let second =
                      sigma
                          .mul((heldQ.sub sampled).square().sub(heldSigma.square ()))
                          .div(heldSigma.pow(Scalars.ofFloat 3.0).add guard)

                  let wanted = first.add(second).mean().mul(Scalars.ofFloat -(wantedB * wantedB + 0.1))
                  closeTo 1e-5 "b" [| wantedB |] [| b |]
                  closeTo 1e-5 "σ" [| average |] [| deviation |]
                  closeTo 1e-5 "μ" (single (heldQ.mean ())) [| mean |]
                  closeTo 1e-4 "loss" (single wanted) (values loss)
                  let gradients = single (Doubles.gradient wanted flat)
                  let scale = 1e-3 + (gradients |> Array.map abs |> Array.max)
                  closeTo (1e-4 * scale) "gradient" gradients (values gradient))

          testForAll
              "targets take mean and sample of the moving average with the smaller mean, terminations none"
              30
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()
                  let c, batch = criticsOf key, batchOf (Key.foldIn 1L key)
                  let action = (Key.normal cpu [ batchSize; 2 ] (Key.foldIn 2L key)).tanh()
                  // far beyond the clip of ±3 as well
                  let noise i = (Key.normal cpu [ batchSize ] (Key.foldIn i key)).mul(Scalars.ofFloat 2.5)
                  let noise1, noise2 = noise 3L, noise 4L
                  let got = DistributionalCritics.targets model c batch action (struct (noise1, noise2))

                  let told (one: DistributionalCritic) =
                      let struct (mean, deviation) =
                          doubleDistribution (Doubles.double one.Target.Flat) batch.NextObs action

                      Doubles.numbers mean, Doubles.numbers deviation

                  let (mean1, sigma1), (mean2, sigma2) = told c.First, told c.Second
                  let z1, z2 = values noise1, values noise2
                  let reward, ended = values batch.Reward, values batch.Terminated
                  let clip z = max -3.0 (min 3.0 z)

                  let y v i = 0.2 * reward[i] + 0.99 * (1.0 - ended[i]) * v
                  let first i = mean1[i] <= mean2[i]
                  let mean i = if first i then mean1[i] else mean2[i]

                  let sample i =
                      if first i then
                          mean1[i] + sigma1[i] * clip z1[i]
                      else
                          mean2[i] + sigma2[i] * clip z2[i]

                  closeTo 1e-5 "y" (Array.init batchSize (fun i -> y (mean i) i)) (values got.Mean)
                  closeTo 1e-5 "y_z" (Array.init batchSize (fun i -> y (sample i) i)) (values got.Sampled))

          testForAll "values are the smaller of the online means, and slopes their gradients" 30 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let c, batch = criticsOf key, batchOf (Key.foldIn 1L key)
              let actions = (Key.normal cpu [ batchSize; 3; 2 ] (Key.foldIn 2L key)).tanh()
              let leaf = (Doubles.double actions).requires_grad_()
              let obs = batch.Obs.repeat_interleave (3L, Nullable 0L)
              let flatActions = leaf.view (-1L, 2L)

              let mean (one: DistributionalCritic) =
                  let output =
                      Doubles.forward
                          model.Shape
                          (Doubles.double one.Online.Flat)
                          (torch.cat ([| Doubles.double obs; flatActions |], 1L))

                  output.select (1L, 0L)

              let wanted = (mean c.First).minimum(mean c.Second)
              let slopes = (torch.autograd.grad ([| wanted.sum () |], [| leaf |]))[0]
              closeTo 1e-5 "values" (single wanted) (values (DistributionalCritics.values model c batch.Obs actions))
              let struct (value, slope) = DistributionalCritics.actionGradients model c batch.Obs actions
              closeTo 1e-5 "values with slopes" (single wanted) (values value)
              closeTo 1e-4 "slopes" (single slopes) (values slope))

          testForAll
              "a step moves each critic by Adam along its own gradient and leaves the moving averages, which follow by τ"
              15
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()
                  let c, batch = criticsOf key, batchOf (Key.foldIn 1L key)
                  let targets = targetsOf c batch (Key.foldIn 2L key)
                  let struct (learned, figures) = DistributionalCritics.learn model batch targets c

                  for before, after, name in [ c.First, learned.First, "q1"; c.Second, learned.Second, "q2" ] do
                      let struct (loss, _, deviation, b, gradient) =
                          DistributionalCritics.gradient model before batch targets

                      let struct (wanted, _) =
                          Adam.step cpu (AdamSettings.ofSettings model.Adam) 1e-3 gradient before.Online before.Adam

                      Expect.equal (values after.Online.Flat) (values wanted.Flat) name
                      Expect.isTrue (obj.ReferenceEquals(after.Target, before.Target)) "moving average"
                      closeTo 1e-9 "b" [| deviation |] [| after.Spread |]
                      Expect.equal after.Spread b "b"
                      closeTo 1e-6 "loss" (values loss) [| figures[$"{name}Loss"] |]

                  let followed = DistributionalCritics.follow model learned

                  for after, before in [ followed.First, learned.First; followed.Second, learned.Second ] do
                      let online, target = values before.Online.Flat, values before.Target.Flat
                      let wanted = Array.map2 (fun q t -> t + 0.005 * (q - t)) online target
                      closeTo 1e-6 "average" wanted (values after.Target.Flat))

          testCase "the two critics begin apart, their averages as copies" (fun () ->
              use _ = torch.NewDisposeScope()
              let c = DistributionalCritics.init model (Key.ofSeed 1L) (Key.ofSeed 2L)
              Expect.differs (values c.First.Online.Flat) (values c.Second.Online.Flat) "apart"
              Expect.equal (values c.First.Online.Flat) (values c.First.Target.Flat) "copy"
              Expect.equal c.First.Spread 0.0 "no spread yet")

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change =
                  DistributionalSettings.problems (change DistributionalSettings.usual) |> String.concat "; "

              Expect.stringContains (problems (fun c -> { c with SpreadGuard = 0.0 })) "spreadGuard is 0" "guard"
              Expect.stringContains (problems (fun c -> { c with SpreadRate = 2.0 })) "spreadRate is 2" "rate"
              Expect.stringContains (problems (fun c -> { c with SampleClip = -3.0 })) "sampleClip is -3" "clip"
              Expect.equal (problems id) "" "usual") ]
