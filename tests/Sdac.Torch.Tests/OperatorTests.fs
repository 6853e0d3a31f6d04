module Sdac.Torch.Tests.OperatorTests

open System.Reflection
open TorchSharp
open TorchSharp.Native
open Xunit

[<Fact>]
let ``libtorch knows every operator that the API calls`` () =
    let operators =
        (nonNull (typeof<torch.Tensor>.Assembly.GetType "TorchSharp.Native.Ops"))
            .GetFields(BindingFlags.Static ||| BindingFlags.NonPublic)
        |> Array.choose (fun field ->
            match field.GetValue null with
            | :? Op as op -> Some op
            | _ -> None)

    Assert.True(operators.Length > 300)

    for op in operators do
        Assert.NotEqual(0n, op.Find())

[<Fact>]
let ``an unknown operator is reported by its name`` () =
    let message = Support.messageOf (fun () -> Op("no_such_operator", "", false).Find() |> ignore)
    Assert.Contains("aten::no_such_operator", message)
