/// The chain that is differentiated as a whole: its numbers against float64 are tests of Sdac.Functional, which has autograd.
module Sdac.Kernels.Tests.ReverseChainTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Simd
open Sdac.Kernels.Tests.Support
open Sdac.Testing

let private activationsTaken =
    [| Activation.Mish; Activation.Gelu; Activation.Tanh; Activation.Elu; Activation.Relu |]

let private genSizes =
    gen {
        let! obs = Gen.elements [ 1; 3; 17; 50 ]
        let! action = Gen.elements [ 1; 2; 6; 17 ]

        let! hidden =
            Gen.choose (0, 3) |> Gen.bind (fun n -> Gen.listOfLength n (Gen.elements [ 1; 8; 13; 32; 50 ]))

        let! rows = Gen.choose (1, 75)
        let! timesteps = Gen.choose (1, 6)
        return obs, action, hidden, rows, timesteps
    }

/// A chain with numbers of its own, and the gradient at its action.
type private Case =
    { Shape: NoiseNetworkShape
      Parameters: float32[]
      Coefficients: ReverseCoefficients
      Obs: float32[]
      Rows: int
      Initial: float32[]
      Steps: float32[]
      Gradient: float32[] }

let private caseOf (obs, action, hidden: int list, rows, timesteps) =
    let shape =
        NoiseNetworkShape(obs, action, 8, 12, ReadOnlySpan(List.toArray hidden), activationsTaken[rows % 5])

    let random = random (obs + 100 * action + rows)
    let size = rows * action

    { Shape = shape
      Parameters = SamplerTests.parametersOf random shape
      Coefficients = SamplerTests.coefficients timesteps
      Obs = numbers random (rows * obs) 1.0
      Rows = rows
      Initial = numbers random size 1.0
      Steps = numbers random (timesteps * size) 1.0
      Gradient = numbers random size 1.0 }

let private forward (c: Case) (record: bool) =
    let actions = zeros c.Initial.Length

    let tape =
        ReverseChain.Forward(
            c.Shape,
            c.Parameters,
            c.Coefficients,
            c.Obs,
            c.Rows,
            0.5f,
            c.Initial,
            c.Steps,
            record,
            actions
        )

    tape, actions

let private backward (c: Case) (tape: ChainTape) =
    let gradient, initial = zeros c.Shape.ParameterCount, zeros c.Initial.Length
    ReverseChain.Backward(c.Parameters, c.Coefficients, c.Obs, tape, c.Gradient, gradient, initial)
    gradient, initial

let private all (c: Case) (record: bool) =
    let tape, actions = forward c record
    use tape = tape
    let gradient, initial = backward c tape
    Array.concat [ actions; gradient; initial ]

let private refused (argument: string) (words: string) (call: unit -> unit) =
    let error = Expect.raises<ArgumentException> call
    Expect.equal error.ParamName argument "name of the argument"
    Expect.stringContains error.Message words "sentence"

[<Tests>]
let tests =
    testList
        "reverse chain"
        [ testForAll "its actions have the bits of the sampler's" 60 genSizes (fun sizes ->
              let c = caseOf sizes
              let want = zeros c.Initial.Length

              ReverseSampler.SampleWithNoise(
                  c.Shape,
                  c.Parameters,
                  c.Coefficients,
                  c.Obs,
                  c.Rows,
                  1,
                  0.5f,
                  c.Initial,
                  c.Steps,
                  want
              )

              for record in [ true; false ] do
                  let tape, actions = forward c record
                  tape.Dispose()
                  equalBits "actions" want actions)

          testForAll "what is computed again has the bits of what is kept" 40 genSizes (fun sizes ->
              let c = caseOf sizes
              equalBits "all" (all c true) (all c false))

          testForAll "the gradient at x_T alone has the same bits, and a tape serves twice" 20 genSizes (fun sizes ->
              let c = caseOf sizes
              let tape, _ = forward c true
              use tape = tape
              let gradient, initial = backward c tape
              let alone = zeros c.Initial.Length
              ReverseChain.Backward(c.Parameters, c.Coefficients, c.Obs, tape, c.Gradient, Span.Empty, alone)
              equalBits "alone" initial alone
              let again, _ = backward c tape
              equalBits "twice" gradient again)

          for path in paths do
              testForAll $"all paths and thread counts give the same bits: {path}" 8 genSizes (fun sizes ->
                  let c = caseOf sizes
                  let want = onPath KernelPath.Scalar (fun () -> onThreads 1 (fun () -> all c true))

                  for threads in 1..3 do
                      for record in [ true; false ] do
                          let got = onPath path (fun () -> onThreads threads (fun () -> all c record))
                          equalBits $"{path} with {threads} threads" want got)

          testCase "a recorded tape of the published sizes holds 15 MiB of sums, another next to nothing" (fun () ->
              let c = caseOf (17, 6, [ 256; 256; 256 ], 256, 20)

              let bytes record =
                  let tape, _ = forward c record
                  use tape = tape
                  float tape.Bytes / 1048576.0

              Expect.inRange (bytes true) (15.0, 15.8) "recorded"
              Expect.inRange (bytes false) (0.0, 0.8) "computed again")

          testCase "once warm it allocates two handles" (fun () ->
              let c = caseOf (11, 3, [ 64; 64 ], 100, 5)
              let actions = zeros c.Initial.Length
              let gradient, initial = zeros c.Shape.ParameterCount, zeros c.Initial.Length

              let call () =
                  use tape =
                      ReverseChain.Forward(
                          c.Shape,
                          c.Parameters,
                          c.Coefficients,
                          c.Obs,
                          c.Rows,
                          0.5f,
                          c.Initial,
                          c.Steps,
                          true,
                          actions
                      )

                  ReverseChain.Backward(c.Parameters, c.Coefficients, c.Obs, tape, c.Gradient, gradient, initial)

              for _ in 1..20 do
                  call ()

              let before = GC.GetAllocatedBytesForCurrentThread()

              for _ in 1..50 do
                  call ()

              let each = float (GC.GetAllocatedBytesForCurrentThread() - before) / 50.0
              Expect.isTrue (each <= 250.0) $"{each} bytes")

          testCase "wrong lengths, norms and tapes are refused" (fun () ->
              let c = caseOf (3, 2, [ 8 ], 5, 3)
              let with' change = forward (change c) true |> ignore
              refused "obs" "14" (fun () -> with' (fun c -> { c with Obs = zeros 14 }))
              refused "parameters" "3" (fun () -> with' (fun c -> { c with Parameters = zeros 3 }))
              refused "stepNoise" "29" (fun () -> with' (fun c -> { c with Steps = zeros 29 }))
              let normed = NoiseNetworkShape(3, 2, 8, 12, ReadOnlySpan [| 8 |], Activation.Mish, Nullable 1e-5f)
              Expect.isFalse (ReverseChain.CanRun normed) "norm"
              refused "shape" "layer norm" (fun () -> with' (fun c -> { c with Shape = normed }))
              let tape, _ = forward c true
              let other = { c with Coefficients = SamplerTests.coefficients 4 }
              refused "coefficients" "4 steps" (fun () -> backward other tape |> ignore)
              refused "actionGradient" "9" (fun () -> backward { c with Gradient = zeros 9 } tape |> ignore)
              tape.Dispose()
              Expect.raises<ObjectDisposedException>(fun () -> backward c tape |> ignore) |> ignore) ]
