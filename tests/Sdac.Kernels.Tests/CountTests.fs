/// What the kernels say that they have done: every way in, against counts by hand.
module Sdac.Kernels.Tests.CountTests

open System
open System.Threading.Tasks
open Expecto
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

let private shape = shapeOf [ 5; 4; 3; 2 ] Activation.Mish Activation.Identity
let private parameters = parametersFor (random 1) shape
let private rows = 7

// multiply-adds of one row: the first layer's, and those behind it
let private first, behind = 5 * 4, 4 * 3 + 3 * 2

let private counts (work: unit -> unit) =
    use tally = PassTally.Start()
    work ()
    [ for count in tally.Counts -> count.Network.Widths.ToArray(), (count.Kind, count.Rows, count.MultiplyAdds) ]

/// The counts of the only network that was passed.
let private ofOne work = counts work |> List.map snd

let private is expected actual = Expect.equal actual expected "kind, rows, multiply-adds"

let private forward () =
    Mlp.Forward(shape, parameters, ReadOnlySpan.Empty, 1, numbers (random 2) (rows * 5) 1.0, rows, zeros (rows * 2))

/// Three columns shared by groups of four rows, two groups, the second one short of a row.
let private shared, own = numbers (random 3) (2 * 3) 1.0, numbers (random 4) (rows * 2) 1.0

let private backward (toParameters: bool) (toInputs: bool) () =
    let output = zeros (rows * 2)

    use tape =
        Mlp.ForwardTape(shape, parameters, ReadOnlySpan.Empty, 1, numbers (random 2) (rows * 5) 1.0, rows, output)

    let wanted yes count = if yes then zeros count else [||]

    Mlp.Backward(shape, parameters, tape, output, wanted toParameters shape.ParameterCount, wanted toInputs (rows * 5))

let private policy = NoiseNetworkShape(5, 3, 8, 6, ReadOnlySpan [| 10; 9 |])
let private timesteps = 4

/// The main network of a chain, and the time network's rows.
let private ofChain work =
    let all = counts work
    let of' (widths: int list) = all |> List.filter (fun (w, _) -> List.ofArray w = widths) |> List.map snd
    of' [ 16; 10; 9; 3 ], of' [ 8; 6; 8 ]

let private chain (record: bool) (toParameters: bool) () =
    let noisy seed = numbers (random seed) (rows * 3) 1.0
    let weights = SamplerTests.parametersOf (random 5) policy
    let coefficients, obs = SamplerTests.coefficients timesteps, numbers (random 6) (rows * 5) 1.0
    let steps, actions = numbers (random 7) (timesteps * rows * 3) 1.0, zeros (rows * 3)

    use tape =
        ReverseChain.Forward(policy, weights, coefficients, obs, rows, 0.5f, noisy 8, steps, record, actions)

    let gradient = if toParameters then zeros policy.ParameterCount else [||]
    ReverseChain.Backward(weights, coefficients, obs, tape, noisy 9, gradient, zeros (rows * 3))

[<Tests>]
let tests =
    testList
        "counted rows"
        [ testCase "a forward pass is its rows, a shared product once for its group" (fun () ->
              ofOne forward |> is [ PassKind.Forward, 7L, int64 (7 * (first + behind)) ]

              ofOne (fun () -> Mlp.Forward(shape, parameters, shared, 4, own, rows, zeros (rows * 2)))
              |> is [ PassKind.Forward, 7L, int64 (2 * 3 * 4 + 7 * (2 * 4 + behind)) ])

          testCase "two networks in one pass are twice the rows" (fun () ->
              ofOne (fun () -> Mlp.ForwardLeast(shape, parameters, parameters, shared, 4, own, rows, zeros (rows * 2)))
              |> is [ PassKind.Forward, 14L, int64 (2 * (2 * 3 * 4 + 7 * (2 * 4 + behind))) ])

          testCase "a recorded pass multiplies shared columns in each row" (fun () ->
              ofOne (fun () ->
                  use _ = Mlp.ForwardTape(shape, parameters, shared, 4, own, rows, zeros (rows * 2))
                  ())
              |> is [ PassKind.Recorded, 7L, int64 (7 * (first + behind)) ])

          testCase "back to the parameters, to the inputs, to both" (fun () ->
              let recorded = PassKind.Recorded, 7L, int64 (7 * (first + behind))

              ofOne (backward true false)
              |> is [ recorded; PassKind.BackToParameters, 7L, int64 (7 * (first + 2 * behind)) ]

              ofOne (backward true true)
              |> is [ recorded; PassKind.BackToParameters, 7L, int64 (7 * (2 * first + 2 * behind)) ]

              ofOne (backward false true)
              |> is [ recorded; PassKind.BackToInputs, 7L, int64 (7 * (first + behind)) ])

          testCase "a slope goes back to its own columns" (fun () ->
              ofOne (fun () ->
                  Mlp.ForwardSlope(shape, parameters, shared, 4, own, rows, zeros (rows * 2), zeros own.Length))
              |> is [ PassKind.Slope, 7L, int64 (2 * 3 * 4 + 7 * 2 * (2 * 4 + behind)) ])

          testCase "a reverse sampling is a row for each particle and step" (fun () ->
              let weights, c = SamplerTests.parametersOf (random 5) policy, SamplerTests.coefficients timesteps
              let obs, key = numbers (random 6) (3 * 5) 1.0, PhiloxKey(1u, 2u, 3u, 4u)

              let main, time =
                  ofChain (fun () ->
                      ReverseSampler.Sample(policy, weights, c, obs, 3, 2, 0.5f, key, key, zeros (3 * 2 * 3)))

              let step = 3 * 10 + 10 * 9 + 9 * 3
              main |> is [ PassKind.Forward, 24L, int64 (3 * 5 * 10 + 4 * 8 * 10 + 24 * step) ]
              time |> is [ PassKind.Forward, 4L, int64 (4 * 2 * 8 * 6) ])

          testCase "a packed policy counts its chains and both critics, and no times" (fun () ->
              let weights, c = SamplerTests.parametersOf (random 5) policy, SamplerTests.coefficients timesteps
              let critic = shapeOf [ 8; 4; 1 ] Activation.Mish Activation.Identity
              let q, key = zeros critic.ParameterCount, PhiloxKey(1u, 2u, 3u, 4u)
              use packed = new PackedPolicy(policy, weights, c, 0.5f, critic, q, q)
              let step = 3 * 10 + 10 * 9 + 9 * 3

              Expect.equal
                  (counts (fun () -> packed.Act(zeros 5, 2, key, key, zeros 6, zeros 2, zeros 2)))
                  [ [| 16; 10; 9; 3 |], (PassKind.Forward, 8L, int64 (5 * 10 + 4 * 2 * step))
                    [| 8; 4; 1 |], (PassKind.Forward, 4L, int64 (2 * (5 * 4 + 2 * (3 * 4 + 4)))) ]
                  "passes")

          testCase
              "a chain's gradient is a row for each step, and the hidden layers' once more unless recorded"
              (fun () ->
                  let step, hidden, obs, times = 3 * 10 + 10 * 9 + 9 * 3, 3 * 10 + 10 * 9, 7 * 5 * 10, 4 * 8 * 10
                  let forward = PassKind.Recorded, 28L, int64 (obs + times + 28 * step)

                  for record in [ true; false ] do
                      let again = if record then 0 else 28 * hidden

                      ofChain (chain record true)
                      |> fst
                      |> is
                          [ forward; PassKind.BackToParameters, 28L, int64 (28 * 2 * step + again + obs + 3 * times) ]

                      ofChain (chain record false)
                      |> fst
                      |> is [ forward; PassKind.BackToInputs, 28L, int64 (28 * step + again + times) ])

          testCase "the number of threads changes no count" (fun () ->
              let of' threads =
                  let mutable found = []
                  onThreads threads (fun () -> found <- ofOne (fun () -> chain true true ()))
                  found

              Expect.equal (of' 3) (of' 1) "counts")

          testCase "calls of many threads are all counted" (fun () ->
              ofOne (fun () -> Parallel.For(0, 200, (fun (_: int) -> forward ())) |> ignore)
              |> is [ PassKind.Forward, 1400L, int64 (1400 * (first + behind)) ])

          testCase "nothing is counted before a tally and behind it" (fun () ->
              forward ()
              let tally = PassTally.Start()
              forward ()
              tally.Dispose()
              forward ()
              let count = Expect.single tally.Counts "counts"
              Expect.equal count.Rows 7L "rows"
              // equal networks are one, whatever the objects
              let twin = shapeOf [ 5; 4; 3; 2 ] Activation.Mish Activation.Identity

              ofOne (fun () ->
                  forward ()
                  Mlp.Forward(twin, parameters, shared, 4, own, rows, zeros (rows * 2)))
              |> List.map (fun (_, rows, _) -> rows)
              |> fun rows -> Expect.equal rows [ 14L ] "rows")

          testCase "two tallies at once are refused" (fun () ->
              use _ = PassTally.Start()

              Expect.stringContains
                  (Expect.raises<InvalidOperationException>(fun () -> PassTally.Start() |> ignore)).Message
                  "counted already"
                  "the sentence") ]
