/// Counting libtorch's operations, and the one that TorchSharp does not have.
module Sdac.LibTorch.Tests.OperationTests

open System
open Expecto
open Sdac.LibTorch
open Sdac.Testing
open TorchSharp

let private values (t: torch.Tensor) = t.contiguous().data<float32>().ToArray()

[<Tests>]
let tests =
    testList
        "Operations of libtorch"
        [ test "a profile counts what is called while it is open, by name, and what that calls itself apart" {
              use _ = torch.NewDisposeScope()
              Libtorch.Start()
              let x = torch.ones (4L, 4L)
              use profile = new OperationProfile()
              x.add(x).mul(x).mm(x) |> ignore
              torch.nn.functional.linear (x, x) |> ignore
              profile.Dispose()
              x.add x |> ignore
              let find name = profile.Operations() |> Seq.find (fun o -> o.Name = name)
              Expect.equal (find "aten::add").Calls 1L "add"
              Expect.equal (find "aten::mul").Calls 1L "mul"
              Expect.equal (profile.Count) (profile.Operations() |> Seq.sumBy _.Calls) "the sum over names"
              let mm = find "aten::mm"
              Expect.equal (mm.Calls, mm.Nested) (1L, 1L) "mm: once by name, once inside linear"
              Expect.equal (profile.Runs "aten::mm") 2L "both"
              Expect.equal (profile.Runs "aten::bmm") 0L "never called"
              Expect.isTrue (profile.Operations() |> Seq.forall (fun o -> o.Seconds >= 0.0)) "times"
          }

          test "the device is waited for once per operation from outside" {
              use _ = torch.NewDisposeScope()
              Libtorch.Start()
              let x = torch.ones (4L, 4L)
              let mutable waits = 0L
              use profile = new OperationProfile(fun () -> waits <- waits + 1L)
              torch.nn.functional.linear (x, x) |> ignore
              profile.Dispose()
              Expect.equal waits profile.Count "waits"
          }

          test "a second profile is refused while one is open" {
              use _ = new OperationProfile()
              let error = Expect.raises<InvalidOperationException>(fun () -> (new OperationProfile()).Dispose())
              Expect.stringContains error.Message "dispose it first" "what to do"
          }

          test "mish is one operation, x·tanh(softplus(x)), and so is its gradient" {
              use _ = torch.NewDisposeScope()
              Libtorch.Start()
              let at = torch.linspace (-30.0, 30.0, 601L, dtype = torch.float64)
              let expected = at.mul (torch.nn.functional.softplus(at).tanh())
              let x = at.``to``(torch.float32).requires_grad_()
              use profile = new OperationProfile()
              let y = Mish.Apply(x.mul (Scalar.op_Implicit 1.0f))
              profile.Dispose()
              Expect.equal (profile.Runs "aten::mish_") 1L "one operation"
              Expect.equal profile.Count 2L "and the product before it"
              let apart (a: torch.Tensor) (b: torch.Tensor) = a.``to``(torch.float64).sub(b).abs().max().item<float>()
              Expect.isLessThan (apart (y.detach ()) expected) 4e-6 "values"
              let exact = at.clone().requires_grad_()
              let composed = exact.mul (torch.nn.functional.softplus(exact).tanh())
              let wanted = Gradient.Of("mish", composed.sum (), [| exact |])[0]
              let actual = Gradient.Of("mish", y.sum (), [| x |])[0]
              Expect.isLessThan (apart actual wanted) 4e-6 "gradient"
              Expect.equal (values x) (values (at.``to`` torch.float32)) "the argument before the product is as it was"
          }

          test "mish of integers is refused" {
              failsWith [ "floats" ] (fun () -> Mish.Apply(torch.ones (3L, dtype = torch.int64)) |> ignore)
          } ]
