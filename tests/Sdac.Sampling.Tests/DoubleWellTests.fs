module Sdac.Tests.DoubleWellTests

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

/// A pair's energy.
let private u d = -4.0 * (d - 4.0) ** 2.0 + 0.9 * (d - 4.0) ** 4.0

let private slope d = -8.0 * (d - 4.0) + 3.6 * (d - 4.0) ** 3.0

/// Configurations [N, 2·particles] that samplers meet.
let private configurations =
    Gen.zip (sizes 2 5) (sizes 0 1_000_000)
    |> Gen.map (fun (particles, seed) ->
        particles, fun () -> (Key.normal cpu [ 3; 2 * particles ] (key seed)).mul(num 2.5))

let private energies (particles: int) (x: Tensor) = values (DoubleWell.energy particles x)

/// Means over exact samples [N, 2·particles] of functions of the configuration's distances, with their standard errors.
let private sampled (particles: int) (n: int) seed (functions: (float[] -> float) list) =
    use _ = torch.NewDisposeScope()
    let target = DoubleWell.target "wells" particles
    let pairs = particles * (particles - 1) / 2
    let rows = values (Target.seen target (Target.sample n (key seed) target))

    [ for f in functions do
          let found = Array.init n (fun i -> f (Array.init pairs (fun p -> rows[2 * (i * pairs + p)])))
          let mean = Array.average found
          // neighbours on a chain are not quite independent
          let error = 1.5 * sqrt ((found |> Array.averageBy (fun v -> (v - mean) ** 2.0)) / float n)
          struct (mean, error) ]

let private far d = if d > 4.0 then 1.0 else 0.0

[<Tests>]
let tests =
    testList
        "double wells of particles"
        [ testCase "the energy of simple configurations is that by hand" (fun () ->
              use _ = torch.NewDisposeScope()

              let energy (points: float list) =
                  energies
                      (points.Length / 2)
                      (Tensors.ofArray cpu [ 1; points.Length ] (points |> List.map float32 |> Array.ofList))
                  |> Array.head

              Expect.floatClose (within 1e-5) (energy [ 0.0; 0.0; 4.0; 0.0 ]) 0.0 "on the barrier"
              Expect.floatClose (within 1e-5) (energy [ 1.0; 1.0; 1.0; 6.0 ]) -3.1 "beyond it"
              // four sides on the barrier, two diagonals beyond
              let square = [ 0.0; 0.0; 4.0; 0.0; 4.0; 4.0; 0.0; 4.0 ]
              Expect.floatClose (within 1e-4) (energy square) (2.0 * u (4.0 * sqrt 2.0)) "a square")

          testForAll
              "the energy knows no place, no turn and no order of the particles"
              60
              configurations
              (fun (particles, draw) ->
                  use _ = torch.NewDisposeScope()
                  let x = draw ()
                  let points = x.view (3L, int64 particles, 2L)
                  let turn = Tensors.ofArray cpu [ 2; 2 ] [| 0.6f; 0.8f; -0.8f; 0.6f |]
                  let moved = points.matmul(turn).add(num 1.7).flip(1L) |> Tensors.reshape [ 3; 2 * particles ]
                  let before = energies particles x
                  let scale = before |> Array.map abs |> Array.max
                  closeTo (1e-4 * (1.0 + scale)) "energy" before (energies particles moved))

          testForAll "the gradient is the slope of ln p" 60 configurations (fun (particles, draw) ->
              use _ = torch.NewDisposeScope()
              let x = draw ()
              let target = DoubleWell.target "wells" particles
              let v = values x

              // in double precision: -E - ½·N·|m|²
              let logDensity (v: float[]) =
                  let at i axis = v[2 * i + axis]
                  let mean axis = Seq.averageBy (fun i -> at i axis) (seq { 0 .. particles - 1 })

                  let pairs =
                      [ for i in 0 .. particles - 1 do
                            for j in i + 1 .. particles - 1 do
                                u (sqrt ((at i 0 - at j 0) ** 2.0 + (at i 1 - at j 1) ** 2.0)) ]

                  -(List.sum pairs) - 0.5 * float particles * (mean 0 ** 2.0 + mean 1 ** 2.0)

              let slopes, logs = values (target.Gradient x), values (target.LogDensity x)

              for row in 0..2 do
                  let one = v[2 * particles * row .. 2 * particles * (row + 1) - 1]
                  let want = logDensity one
                  Expect.floatClose (within (1e-5 * (1.0 + abs want))) logs[row] want "ln p"

                  for j in 0 .. 2 * particles - 1 do
                      let shifted h = logDensity (Array.mapi (fun i value -> if i = j then value + h else value) one)
                      let slope = (shifted 1e-5 - shifted -1e-5) / 2e-5

                      Expect.floatClose
                          (within (1e-3 * (1.0 + abs slope)))
                          slopes[2 * particles * row + j]
                          slope
                          "slope")

          testForAll
              "the view shows every pair's distance beside the energy of its own configuration"
              20
              configurations
              (fun (particles, draw) ->
                  use _ = torch.NewDisposeScope()
                  let x = draw ()
                  let pairs = particles * (particles - 1) / 2
                  let rows = values (Target.seen (DoubleWell.target "wells" particles) x)
                  let energy = energies particles x
                  Expect.equal rows.Length (2 * 3 * pairs) "rows"

                  for c in 0..2 do
                      let own = [| for p in 0 .. pairs - 1 -> rows[2 * (c * pairs + p)] |]
                      let sum = Array.sumBy u own
                      Expect.floatClose (within (1e-4 * (1.0 + abs sum))) energy[c] sum "energy of the distances"

                      for p in 0 .. pairs - 1 do
                          Expect.equal rows[2 * (c * pairs + p) + 1] energy[c] "energy beside the distance")

          testCase "samples of two particles have the distances that quadrature gives" (fun () ->
              // the density of a distance in the plane: d·exp(-u(d))
              let integral g =
                  Seq.sum (seq { for i in 0..9000 -> (let d = 0.001 * float i in d * exp (-(u d)) * g d) })

              let total = integral (fun _ -> 1.0)
              let functions = [ u; far; id ]

              for f, struct (mean, error) in
                  List.zip functions (sampled 2 20_000 1 (functions |> List.map (fun f d -> f d[0]))) do
                  let want = integral f / total
                  Expect.isLessThan (abs (mean - want)) (5.0 * error) $"{mean}, not {want}")

          testCase "samples of three particles have the energy and the distances that quadrature gives" (fun () ->
              // the first at 0, the second at (d, 0), the third anywhere: d·exp(-E)
              let step = 0.06
              let mutable total, energy, share = 0.0, 0.0, 0.0

              for a in 1..150 do
                  let d = step * float a

                  for b in -150 .. 150 do
                      for c in 0..150 do
                          let x, y = step * float b, step * (float c + 0.5)
                          let first, second = sqrt (x * x + y * y), sqrt ((x - d) ** 2.0 + y * y)
                          let e = u d + u first + u second
                          let weight = d * exp -e
                          total <- total + weight
                          energy <- energy + weight * e
                          share <- share + weight * (far d + far first + far second)

              match sampled 3 20_000 2 [ Array.sumBy u; Array.sumBy far ] with
              | [ struct (meanEnergy, energyError); struct (meanShare, shareError) ] ->
                  Expect.isLessThan
                      (abs (meanEnergy - energy / total))
                      (5.0 * energyError)
                      $"energy {meanEnergy}, not {energy / total}"

                  Expect.isLessThan
                      (abs (meanShare - share / total))
                      (5.0 * shareError)
                      $"far {meanShare}, not {share / total}"
              | _ -> failtest "two means")

          testCase "samples of four particles obey the virial theorem, and their mean is normal" (fun () ->
              // E[Σ d·u'(d)] is the number of the mean-free coordinates, whatever the potential
              match sampled 4 40_000 3 [ Array.sumBy (fun d -> d * slope d) ] with
              | [ struct (mean, error) ] ->
                  Expect.isLessThan (abs (mean - 6.0)) (5.0 * error) $"{mean} ± {error}, not 6"
              | _ -> failtest "one mean"

              use _ = torch.NewDisposeScope()
              let n = 20_000
              let x = values (Target.sample n (key 4) Targets.dw4)

              for axis in 0..1 do
                  let centres =
                      Array.init n (fun i -> 2.0 * Seq.averageBy (fun p -> x[8 * i + 2 * p + axis]) (seq { 0..3 }))

                  Expect.floatClose (within (5.0 / sqrt (float n))) (Array.average centres) 0.0 "mean"

                  Expect.floatClose
                      (within (5.0 * sqrt (2.0 / float n)))
                      (centres |> Array.averageBy (fun c -> c * c))
                      1.0
                      "variance")

          testCase
              "other chains have the reference's distances and energies, and points of elsewhere have not"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let target = Targets.dw4
                  let exact = Tensors.toArray (Target.sample 20_000 (key 5) target)
                  let kl = Measures.divergence target exact
                  Expect.isLessThan (abs kl.Value) 0.01 $"KL {kl.Value}"
                  let shares = Measures.cells target
                  Expect.floatClose (within 1e-9) (Array.sum shares) 1.0 "shares"
                  Expect.isGreaterThan (Array.min shares) 0.0 "no cell is impossible"
                  // nothing is cut: hardly any row at the border
                  let border =
                      [ for i in 0..39 do
                            yield! [ shares[i]; shares[40 * 39 + i]; shares[40 * i]; shares[40 * i + 39] ] ]

                  Expect.isLessThan (List.sum border) 1e-3 "shares at the border"
                  let wider = exact |> Array.map (fun v -> 1.05f * v)
                  Expect.isGreaterThan (Measures.divergence target wider).Value 0.05 "KL of a wider configuration")

          testCase "the same key gives the same samples, and the first of many are those of few" (fun () ->
              use _ = torch.NewDisposeScope()
              let draw n seed = Tensors.toArray (Target.sample n (key seed) Targets.dw4)
              Expect.equal (draw 90 6) (draw 90 6) "samples"
              Expect.equal (Array.sub (draw 90 6) 0 (8 * 50)) (draw 50 6) "the first"
              Expect.differs (draw 50 6) (draw 50 7) "other keys")

          testCase "one particle alone is refused" (fun () ->
              failsWith [ "'alone'"; "1 particles"; "at least 2" ] (fun () -> DoubleWell.target "alone" 1 |> ignore)) ]
