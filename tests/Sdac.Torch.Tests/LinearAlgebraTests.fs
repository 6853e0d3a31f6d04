module Sdac.Torch.Tests.LinearAlgebraTests

open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

let private factors =
    gen {
        let! shape = shapeOfRank 3
        let! a = valuesOf value shape[0..1]
        let! b = valuesOf value shape[1..2]
        let! c = valuesOf value [| shape[2] |]
        return a, b, c
    }

[<Fact>]
let ``products of matrices agree with plain loops`` () =
    check (Arb.fromGen factors) (fun (a, b, c) ->
        use _ = torch.NewDisposeScope()
        let ta, tb, tc = tensor a, tensor b, tensor c
        let product = matmul a b
        assertEqual 1e-11 product (torch.mm (ta, tb))
        assertEqual 1e-11 product (torch.matmul (ta, tb))
        assertEqual 1e-11 product (torch.einsum ("ik,kj->ij", ta, tb))
        assertEqual 1e-11 product (torch.bmm(ta.unsqueeze 0L, tb.unsqueeze 0L).squeeze(System.Nullable 0L))
        assertEqual 1e-11 (map2 (+) product c) (torch.nn.functional.linear (ta, tb.t (), tc))
        assertEqual 1e-11 (map2 (fun x y -> 2.0 * x + 0.5 * y) product c) (tc.addmm (ta, tb, 0.5f, 2.0f))
        let column = { c with Shape = [| c.Shape[0]; 1L |] }
        assertEqual 1e-11 (matmul b column) (tb.mv(tc).unsqueeze 1L)
        Assert.Equal(Array.sumBy (fun x -> x * x) c.Data, tc.dot(tc).item<float>(), 1e-10)
        assertEqual 1e-11 (matmul column { column with Shape = Array.rev column.Shape }) (tc.outer tc))

[<Fact>]
let ``triangles and diagonals keep their part`` () =
    check (Arb.fromGen (shapeOfRank 2 |> Gen.bind (valuesOf value))) (fun a ->
        use _ = torch.NewDisposeScope()
        let t = tensor a
        assertEqual 0.0 (init a.Shape (fun p -> if p[1] >= p[0] then at a p else 0.0)) (t.triu ())
        assertEqual 0.0 (init a.Shape (fun p -> if p[1] <= p[0] - 1L then at a p else 0.0)) (t.tril -1L)
        let length = min a.Shape[0] a.Shape[1]
        assertEqual 0.0 (init [| length |] (fun p -> at a [| p[0]; p[0] |])) (t.diag ()))
