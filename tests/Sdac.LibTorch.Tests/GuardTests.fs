/// What would end the process, or fill the screen with a C++ stack, is one sentence.
module Sdac.LibTorch.Tests.GuardTests

open System
open System.Runtime.InteropServices
open Expecto
open Sdac.LibTorch
open Sdac.Testing
open TorchSharp

let private leaf (values: float32[]) =
    Libtorch.Start()
    torch.tensor(values).requires_grad_()

let private independent = [ "the energy"; "does not depend on its argument"; "no gradient" ]

[<Tests>]
let tests =
    testList
        "Guards around libtorch"
        [ test "gradients are those of calculus" {
              use _ = torch.NewDisposeScope()
              let x, y = leaf [| 1.0f; 2.0f |], leaf [| 3.0f; 4.0f |]
              let product = x.mul y
              let both = Gradient.Of("the product", product.sum (), [| x; y |], retainGraph = true)
              Expect.equal (both[0].data<float32>().ToArray()) [| 3.0f; 4.0f |] "d(xy)/dx"
              Expect.equal (both[1].data<float32>().ToArray()) [| 1.0f; 2.0f |] "d(xy)/dy"
              let weighted = Gradient.Of("the product", product, [| x |], torch.tensor [| 10.0f; 100.0f |])
              Expect.equal (weighted[0].data<float32>().ToArray()) [| 30.0f; 400.0f |] "weighted"
          }

          test "an energy that ignores its argument is refused in one sentence" {
              use _ = torch.NewDisposeScope()
              let x = leaf [| 1.0f |]
              let other = leaf [| 2.0f |]
              let constant = torch.ones 1L
              failsWith independent (fun () -> Gradient.Of("the energy", constant.sum (), [| x |]) |> ignore)
              failsWith independent (fun () -> Gradient.Of("the energy", other.sum (), [| x |]) |> ignore)
              failsWith independent (fun () -> Gradient.Of("the energy", x.detach().sum(), [| x |]) |> ignore)

              // one of two is enough
              failsWith independent (fun () -> Gradient.Of("the energy", other.sum (), [| other; x |]) |> ignore)
          }

          test "what libtorch would refuse by ending the process is looked at first" {
              use _ = torch.NewDisposeScope()
              let x = leaf [| 1.0f; 2.0f |]
              let square = x.square ()
              failsWith [ "[2]"; "sum it" ] (fun () -> Gradient.Of("the energy", square, [| x |]) |> ignore)

              failsWith [ "[3]"; "[2]" ] (fun () -> Gradient.Of("the energy", square, [| x |], torch.ones 3L) |> ignore)

              let plain = torch.ones 2L

              failsWith [ "requires_grad_" ] (fun () -> Gradient.Of("the energy", square.sum (), [| plain |]) |> ignore)
          }

          test "a refusal of libtorch is its own sentence, without the C++ stack" {
              use _ = torch.NewDisposeScope()
              Libtorch.Start()

              let refusal =
                  Expect.raises<ExternalException>(fun () -> (torch.ones (2L, 3L)).mm(torch.ones (2L, 3L)) |> ignore)

              Expect.stringContains refusal.Message "frame #0" "what TorchSharp throws has the stack"
              Expect.isTrue (LibtorchException.IsRefusal refusal) "is one"
              let clean = LibtorchException.From refusal
              Expect.equal clean.Message "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)" "sentence"
              Expect.isTrue (obj.ReferenceEquals(clean.InnerException, refusal)) "the original is inside"
              Expect.isFalse (LibtorchException.IsRefusal(ArgumentException "no")) "others are none"
          }

          test "scalars and tensors outlive a garbage collection in the middle of their use" {
              // the collector is made to free what nothing holds while operations read their numbers: scalars that the caller
              // makes, and those that TorchSharp makes itself (square, add of two tensors)
              Libtorch.Start()
              let stop = new System.Threading.ManualResetEventSlim()

              let collector =
                  System.Threading.Thread(fun () ->
                      while not stop.IsSet do
                          GC.Collect()
                          GC.WaitForPendingFinalizers())

              collector.Start()

              try
                  let x = torch.ones 64L

                  for i in 1..20_000 do
                      let y = x.mul(Scalar.op_Implicit (float i)).add(x).square().sub(Scalar.op_Implicit 1.0)

                      if i % 100 = 0 then
                          let expected = float32 (i + 1) * float32 (i + 1) - 1.0f
                          Expect.equal (y.data<float32>()[63L]) expected "the numbers that were given"
                          GC.KeepAlive y

                  GC.KeepAlive x
              finally
                  stop.Set()
                  collector.Join()
          }

          test "sentences without a stack stay, line breaks become blanks" {
              Expect.equal (LibtorchException.Sentence "a\n  b\tc ") "a b c" "one line"
              Expect.equal (LibtorchException.Sentence "") "" "empty"
              Expect.equal (LibtorchException.Sentence "Exception raised from x at y") "" "all stack"
          } ]
