module Sdac.Tests.FabTests

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

/// A flow with random parameters of the given size, last layers included.
let private randomFlow dim layers size seed =
    let net = RealNvp.create dim layers [ 8; 8 ]
    let p = RealNvp.init cpu net (key seed)
    let noise = Key.normal cpu [ Tensors.size 0 p.Flat ] (key (seed + 1))
    net, Params.withFlat (p.Flat.add (scale size noise)) p

let private flows = Gen.zip (Gen.zip (sizes 2 5) (sizes 1 8)) (Gen.zip (between 0.05 0.4) seeds)

let rec private determinant (m: float[][]) =
    match m.Length with
    | 1 -> m[0][0]
    | n ->
        Seq.sum (
            seq {
                for j in 0 .. n - 1 do
                    let minor = m[1..] |> Array.map (Array.removeAt j)
                    (if j % 2 = 0 then 1.0 else -1.0) * m[0][j] * determinant minor
            }
        )

/// Points of a square grid [side², 2] of half-width `reach`, and the area of a cell.
let private grid side reach =
    let at i = float32 ((2.0 * (float i + 0.5) / float side - 1.0) * reach)

    let points =
        Array.init (2 * side * side) (fun i -> at (if i % 2 = 0 then i / 2 % side else i / 2 / side))

    struct (Tensors.ofArray cpu [ side * side; 2 ] points, (2.0 * reach / float side) ** 2.0)

/// A mixture that fills the box, where it ends for FAB: the flow's density differs much over it.
let private broad =
    Mixture.target
        "broad"
        1.0
        [ { Weight = 0.7; Mean = [| 0.6; 0.4 |]; Deviation = [| 0.3; 0.5 |] }
          { Weight = 0.3; Mean = [| -0.7; -0.4 |]; Deviation = [| 0.4; 0.2 |] } ]

let private small =
    { FabConfig.standard with
        Layers = 4
        Hidden = [ 8; 8 ]
        Batch = 64
        WarmUp = 2
        Buffer = 200
        UpdateBatch = 32
        Iterations = 4 }

/// ∫ p²/q over the box.
let private secondMoment (net: RealNvp) p (target: Target) =
    let struct (x, area) = grid 300 1.0
    let logP, logQ = values (target.LogDensity x), values (RealNvp.logDensity cpu net p x)
    Array.map2 (fun p q -> area * exp (2.0 * p - q)) logP logQ |> Array.sum

/// ∫ |x|² p²/q over the box.
let private secondMomentOfSquares (net: RealNvp) p (target: Target) =
    let struct (x, area) = grid 300 1.0
    let logP, logQ = values (target.LogDensity x), values (RealNvp.logDensity cpu net p x)
    let squares = values (x.square().sum(1L))
    Array.map3 (fun r p q -> r * area * exp (2.0 * p - q)) squares logP logQ |> Array.sum

let private meanAndError (v: float[]) =
    let mean = Array.average v
    struct (mean, sqrt ((v |> Array.averageBy (fun x -> (x - mean) ** 2.0)) / float v.Length))

[<Tests>]
let tests =
    testList
        "FAB"
        [ testForAll
              "the flow's inverse undoes it, the determinants with it, and samples carry their own density"
              40
              flows
              (fun ((dim, layers), (size, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let net, p = randomFlow dim layers size seed
                  let z = Key.normal cpu [ 30; dim ] (key seed)
                  let struct (x, forward) = RealNvp.forward cpu net p z
                  let struct (again, back) = RealNvp.inverse cpu net p x
                  closeTo 2e-3 "z" (values z) (values again)
                  closeTo 2e-3 "determinants" (Array.zeroCreate 30) (values (forward.add back))
                  let struct (x, logQ) = RealNvp.sample cpu net p 30 (key seed)
                  closeTo 5e-3 "ln q" (values logQ) (values (RealNvp.logDensity cpu net p x)))

          testCase "an untrained flow is the identity" (fun () ->
              use _ = torch.NewDisposeScope()
              let net = RealNvp.create 3 15 [ 16 ]
              let z = Key.normal cpu [ 5; 3 ] (key 1)
              let struct (x, logDet) = RealNvp.forward cpu net (RealNvp.init cpu net (key 2)) z
              Expect.equal (values x) (values z) "flow as it starts"
              Expect.equal (values logDet) (Array.zeroCreate 5) "log det")

          testForAll
              "the flow's determinant is that of its Jacobian by central differences"
              60
              flows
              (fun ((dim, layers), (size, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let net, p = randomFlow dim layers (0.7 * size) seed
                  let z = Key.normal cpu [ 1; dim ] (key seed)
                  let h = 2e-3

                  let at j sign =
                      let step = Array.init dim (fun i -> if i = j then float32 (sign * h) else 0.0f)
                      let struct (x, _) = RealNvp.forward cpu net p (z.add (Tensors.ofArray cpu [ 1; dim ] step))
                      values x

                  let jacobian =
                      Array.init dim (fun j -> Array.map2 (fun a b -> (a - b) / (2.0 * h)) (at j 1.0) (at j -1.0))

                  let struct (_, logDet) = RealNvp.forward cpu net p z
                  // A kink of the rectifier between the two points moves a derivative a little.
                  closeTo 2e-2 "ln|det|" [| log (abs (determinant jacobian)) |] (values logDet))

          testForAll "the flow's density integrates to one" 8 (Gen.zip (sizes 1 8) seeds) (fun (layers, seed) ->
              use _ = torch.NewDisposeScope()
              let net, p = randomFlow 2 layers 0.05 seed
              let struct (x, area) = grid 300 12.0
              let total = values (RealNvp.logDensity cpu net p x) |> Array.sumBy (fun l -> area * exp l)
              Expect.floatClose (within 0.01) total 1.0 "integral of the density")

          testForAll
              "the mean weight of annealed importance sampling is the integral of p²/q for any number of densities and steps"
              12
              (Gen.zip (Gen.zip (sizes 0 4) (sizes 1 5)) (Gen.zip (between 0.2 0.5) seeds))
              (fun ((levels, steps), (size, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let model = Fab.create cpu { small with Intermediate = levels; Steps = steps } broad
                  let net, flow = randomFlow 2 4 0.02 seed
                  // Narrowed to about 0.6, so that the flow's density matters to every intermediate one.
                  for k in 0..1 do
                      (Params.slice $"coupling{k}.2.bias" flow).narrow(0L, 0L, 1L).fill_(Scalars.ofFloat -0.25)
                      |> ignore

                  let want = secondMoment net flow broad
                  let struct (points, share) = Fab.anneal model flow size 0 20_000 (key seed)
                  Expect.isTrue ((levels = 0) = Double.IsNaN share) "levels"
                  let struct (mean, error) = points.LogWeights |> Array.map exp |> meanAndError
                  Expect.isTrue (abs (mean - want) < 4.0 * error) $"{mean} ± {error}, not {want}"
                  let logQ = values (RealNvp.logDensity cpu net flow points.Points)
                  closeTo 1e-3 "ln q" logQ points.LogFlow)

          testForAll "long chains keep weighted points distributed as p²/q" 4 seeds (fun seed ->
              use _ = torch.NewDisposeScope()
              let model = Fab.create cpu { small with Intermediate = 3; Steps = 40 } broad
              let net, flow = randomFlow 2 4 0.02 seed

              for k in 0..1 do
                  (Params.slice $"coupling{k}.2.bias" flow).narrow(0L, 0L, 1L).fill_(Scalars.ofFloat -0.25) |> ignore

              let want = secondMomentOfSquares net flow broad
              let struct (points, _) = Fab.anneal model flow 0.4 0 20_000 (key seed)
              let squares = values (points.Points.square().sum(1L))
              let struct (mean, error) = Array.map2 (fun r w -> r * exp w) squares points.LogWeights |> meanAndError
              Expect.isTrue (abs (mean - want) < 4.0 * error) $"{mean} ± {error}, not {want}")

          testForAll "weighted points give the gradient of the alpha-2 divergence" 6 seeds (fun seed ->
              use _ = torch.NewDisposeScope()
              let model = Fab.create cpu small broad
              let net, flow = randomFlow 2 4 0.1 seed
              let direction = Key.normal cpu [ Tensors.size 0 flow.Flat ] (key (seed + 7)) |> scale 0.1
              let along h = Params.withFlat (flow.Flat.add (scale h direction)) flow
              let h = 1e-2
              let want = (secondMoment net (along h) broad - secondMoment net (along -h) broad) / (2.0 * h)
              let struct (points, _) = Fab.anneal model flow 0.2 0 20_000 (key seed)
              let w = points.LogWeights |> Array.map exp
              // One by one, for the error of the mean: -w·∂ ln q along the direction.
              let logQ h = values (RealNvp.logDensity cpu net (along h) points.Points)
              let slopes = Array.map2 (fun a b -> (a - b) / (2.0 * h)) (logQ h) (logQ -h)
              let struct (mean, error) = Array.map2 (fun w s -> -w * s) w slopes |> meanAndError
              Expect.isTrue (abs (mean - want) < 4.0 * error + 0.01 * abs want) $"{mean} ± {error}, not {want}"
              // The same by autograd.
              let weights = Tensors.ofArray cpu [ w.Length ] (Array.map float32 w)

              let struct (_, gradient) =
                  RealNvp.gradient net flow points.Points (fun logQ -> (weights.mul logQ).mean().neg())

              let derivative = Tensors.scalar (gradient.mul(direction).sum())

              Expect.isTrue
                  (abs (derivative - mean) < 0.02 * (1.0 + abs mean))
                  $"{derivative} by autograd, {mean} by differences")

          testForAll
              "draws from the buffer are in proportion to the weights, whatever their scale"
              100
              (Gen.zip (Gen.zip (sizes 1 40) (sizes 1 200)) (Gen.zip (between -1e4 1e4) seeds))
              (fun ((m, n), (shift, seed)) ->
                  let logs = values (Key.normal cpu [ m ] (key seed)) |> Array.map (fun v -> shift + 3.0 * v)
                  let top = Array.max logs
                  let weights = logs |> Array.map (fun l -> exp (l - top))
                  let total = Array.sum weights
                  let drawn = Fab.draw logs n (key (seed + 1))
                  Expect.equal drawn.Length n "number of drawn"

                  for i in 0 .. m - 1 do
                      let count = drawn |> Seq.filter ((=) i) |> Seq.length
                      let mean = float n * weights[i] / total
                      Expect.isTrue (abs (float count - mean) < 1.0 + 1e-6 * float n) $"{count} draws of {mean}")

          testCase
              "the mean number of draws is exactly proportional, and points without weight are never drawn"
              (fun () ->
                  let logs = [| 0.0; log 2.0; Double.NegativeInfinity; log 0.5 |]
                  let rounds = 4000
                  let counts = Array.zeroCreate<float> 4

                  for i in 1..rounds do
                      for drawn in Fab.draw logs 2 (key i) do
                          counts[drawn] <- counts[drawn] + 1.0 / float rounds

                  let want = [| 2.0 / 3.5; 4.0 / 3.5; 0.0; 1.0 / 3.5 |]

                  for (want, got) in Array.zip want counts do
                      Expect.inRange got (want - 0.035, want + 0.035) "share of the draws"

                  Expect.equal (counts[2]) 0.0 "counts")

          testCase
              "updates leave weight times flow density of every point in the buffer, and it drops the oldest"
              (fun () ->
                  let model = Fab.create cpu small broad
                  let mutable state = Fab.init model (key 1)
                  Expect.equal state.Buffer.LogWeights.Length 128 "number of log weights"

                  for rows in [ 192; 200; 200 ] do
                      let next = Fab.step model (key 2) state
                      let stayed = rows - 64
                      let product (b: WeightedPoints) = Array.map2 (+) b.LogWeights b.LogFlow
                      let old, now = product state.Buffer, product next.Buffer
                      Expect.equal now.Length rows "number of now"

                      for a, b in Array.zip old[old.Length - stayed ..] now[.. stayed - 1] do
                          Expect.isTrue (a = b || abs (a - b) < 1e-3 * (1.0 + abs a)) $"{a} became {b}"

                      let x, y = values state.Buffer.Points, values next.Buffer.Points
                      Expect.equal (y[.. 2 * stayed - 1]) (x[x.Length - 2 * stayed ..]) "points that stayed"
                      Fab.dispose state
                      state <- next

                  Fab.dispose state)

          testCase "a short FAB training comes from far off to near the pair of modes" (fun () ->
              let config =
                  { FabConfig.standard with
                      Layers = 8
                      Hidden = [ 32; 32 ]
                      Iterations = 150
                      Updates = 4
                      Batch = 256
                      UpdateBatch = 256 }

              let model = Fab.create cpu config Targets.pair

              let measures (state: FabState) =
                  use samples = Fab.sample model state 8000 (key 2)
                  use _ = torch.NewDisposeScope()
                  let truth = Target.boxSample 2000 (key 3) Targets.pair
                  let nll = -(values (RealNvp.logDensity cpu model.Net state.Average truth) |> Array.average)
                  struct ((Measures.divergence Targets.pair (Tensors.toArray samples)).Value, nll)

              let untrained = Fab.init model (key 1)
              let struct (before, nllBefore) = measures untrained
              Fab.dispose untrained
              let state = Fab.train model (key 1) ignore
              let struct (after, nll) = measures state
              Fab.dispose state
              Expect.isTrue (before > 1.0 && after < 0.15) $"KL {before} before, {after} after"
              Expect.isTrue (nll < nllBefore - 1.0) $"NLL {nllBefore} before, {nll} after")

          testCase "the same key trains the same flow and leaves no tensor behind" (fun () ->
              let before = liveTensors ()

              let train () =
                  let model = Fab.create cpu small Targets.rings
                  let mutable seen = 0
                  let state = Fab.train model (key 4) (fun s -> seen <- seen + s.Iterations)
                  Expect.equal seen (4 * 5 / 2) "seen"
                  use samples = Fab.sample model state 10 (key 5)
                  let flat = Array.concat [ values state.Average.Flat; values samples; state.Buffer.LogWeights ]
                  Fab.dispose state
                  flat

              Expect.equal (train ()) (train ()) "train"
              Expect.equal (liveTensors ()) before "live tensors")

          testCase "settings that FAB cannot work with are refused by name" (fun () ->
              let refused words change =
                  failsWith words (fun () -> Fab.create cpu (change FabConfig.standard) Targets.pair |> ignore)

              Expect.isEmpty (FabConfig.problems FabConfig.standard) "standard"
              refused [ "steps is 0"; "at least 1" ] (fun c -> { c with Steps = 0 })
              refused [ "layers is 0" ] (fun c -> { c with Layers = 0 })
              refused [ "batch is 0"; "buffer is -1" ] (fun c -> { c with Batch = 0; Buffer = -1 })
              refused [ "hidden width is 0" ] (fun c -> { c with Hidden = [ 8; 0 ] })
              refused [ "temperature is -1" ] (fun c -> { c with Temperature = -1.0 })
              refused [ "acceptance is 1" ] (fun c -> { c with Acceptance = 1.0 })
              failsWith [ "at least 2 dimensions"; "not 1" ] (fun () -> RealNvp.create 1 4 [ 8 ] |> ignore)

              failsWith [ "shape"; "[5; 3]" ] (fun () ->
                  let net = RealNvp.create 2 4 [ 8 ]

                  RealNvp.logDensity cpu net (RealNvp.init cpu net (key 1)) (Key.normal cpu [ 5; 3 ] (key 2))
                  |> ignore)

              failsWith [ "0 weights" ] (fun () -> Fab.draw [||] 3 (key 1) |> ignore)

              failsWith [ "no point has a weight" ] (fun () ->
                  Fab.draw [| Double.NegativeInfinity |] 3 (key 1) |> ignore))

          testCase "an energy that is not finite or of a wrong shape stops FAB with its value and iteration" (fun () ->
              let step energy () =
                  use _ = torch.NewDisposeScope()
                  let model = Fab.create cpu small (Target.create "mine" 2 3.0 energy)
                  Fab.step model (key 2) (Fab.init model (key 1)) |> ignore

              let first (x: Tensor) : Tensor = x.select (1L, 0L)
              failsWith [ "energy"; "'mine'"; "NaN"; "iteration 0" ] (step (fun x -> (first x).log()))

              failsWith
                  [ "energy"; "'mine'"; "Infinity"; "iteration" ]
                  (step (fun x -> (first x).div(Scalars.ofFloat 0.0)))

              failsWith [ "energy"; "'mine'"; "shape" ] (step id)
              // A huge but finite energy is no error.
              step (fun x -> (first x).mul(Scalars.ofFloat 1e4)) ()) ]
