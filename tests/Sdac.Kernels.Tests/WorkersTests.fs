module Sdac.Kernels.Tests.WorkersTests

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

[<Tests>]
let tests =
    testList
        "workers"
        [ testForAll
              "every block runs exactly once, whatever the number of threads"
              500
              (Gen.zip (Gen.choose (0, 200)) (Gen.choose (1, 5)))
              (fun (blocks, threads) ->
                  onThreads threads (fun () ->
                      let counts = Array.zeroCreate<int> blocks
                      Workers.For(blocks, fun block -> Interlocked.Increment(&counts[block]) |> ignore)

                      for count in counts do
                          Expect.equal count 1 "times that the block ran"))

          testCase "an exception in a block reaches the caller and the pool works on" (fun () ->
              onThreads 3 (fun () ->
                  for _ in 1..50 do
                      let thrown =
                          Expect.raises<InvalidOperationException>(fun () ->
                              Workers.For(
                                  20,
                                  fun block ->
                                      if block = 7 then
                                          invalidOp "block seven"
                              ))

                      Expect.equal thrown.Message "block seven" "sentence"
                      let mutable sum = 0
                      Workers.For(20, fun block -> Interlocked.Add(&sum, block) |> ignore)
                      Expect.equal sum 190 "sum"))

          testCase "a block may itself share out work" (fun () ->
              onThreads 3 (fun () ->
                  let mutable sum = 0

                  Workers.For(
                      10,
                      fun outer -> Workers.For(10, fun inner -> Interlocked.Add(&sum, 10 * outer + inner) |> ignore)
                  )

                  Expect.equal sum (99 * 100 / 2) "sum"))

          testCase "several threads may call kernels at once" (fun () ->
              let shape = shapeOf [ 23; 64; 64; 5 ] Activation.Mish Activation.Identity
              let parameters = parametersFor (random 1) shape
              let input = numbers (random 2) (200 * 23) 1.0

              let evaluate () =
                  let y, dp = zeros (200 * 5), zeros shape.ParameterCount
                  use tape = Mlp.ForwardTape(shape, parameters, ReadOnlySpan.Empty, 1, input, 200, y)
                  Mlp.Backward(shape, parameters, tape, y, dp, Span.Empty)
                  Array.append y dp

              let want = evaluate ()

              onThreads 2 (fun () ->
                  let results = Array.init 4 (fun _ -> Task.Run(fun () -> Array.init 25 (fun _ -> evaluate ())))

                  for result in results do
                      for got in result.Result do
                          equalBits "concurrent" want got))

          testCase "thread counts out of range are refused" (fun () ->
              for count in [ 0; -1; Workers.MaximumThreads + 1 ] do
                  let error = Expect.raises<ArgumentException>(fun () -> Workers.Threads <- count)
                  Expect.stringContains error.Message (string count) "sentence") ]
