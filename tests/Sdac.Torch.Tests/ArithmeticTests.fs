module Sdac.Torch.Tests.ArithmeticTests

open System
open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

type private T = torch.Tensor

let private binary: (string * (float -> float -> float) * (T -> T -> T)) list =
    [ "+", (+), (fun a b -> a + b)
      "-", (-), (fun a b -> a - b)
      "*", (*), (fun a b -> a * b)
      "/", (/), (fun a b -> a / b)
      "maximum", max, (fun a b -> torch.maximum (a, b))
      "minimum", min, (fun a b -> torch.minimum (a, b))
      "atan2", (fun a b -> Math.Atan2(a, b)), (fun a b -> torch.atan2 (a, b))
      "logaddexp", (fun a b -> logSumExp [| a; b |]), (fun a b -> torch.logaddexp (a, b))
      "remainder", (fun a b -> a - b * Math.Floor(a / b)), (fun a b -> a % b)
      "fmod", (fun a b -> a % b), (fun a b -> a.fmod b)
      "floor_divide", (fun a b -> Math.Floor(a / b)), (fun a b -> a.div (b, torch.RoundingMode.floor))
      "hypot", (fun a b -> Math.Sqrt(a * a + b * b)), (fun a b -> a.hypot b) ]

[<Fact>]
let ``operators of two tensors broadcast as plain doubles say`` () =
    check (Arb.fromGen broadcastable) (fun (a, b) ->
        let b = map (fun x -> if x = 0.0 then 0.5 else x) b

        for _, plain, op in binary do
            scoped (fun () -> assertEqual 1e-12 (map2 plain a b) (op (tensor a) (tensor b))))

let private comparisons: ((float -> float -> bool) * (T -> T -> T) * (T -> Scalar -> T)) list =
    [ (=), (fun a b -> a.eq b), (fun a s -> a.eq s)
      (<>), (fun a b -> a.ne b), (fun a s -> a.ne s)
      (<), (fun a b -> a.lt b), (fun a s -> a.lt s)
      (<=), (fun a b -> a.le b), (fun a s -> a.le s)
      (>), (fun a b -> a.gt b), (fun a s -> a.gt s)
      (>=), (fun a b -> a.ge b), (fun a s -> a.ge s) ]

[<Fact>]
let ``comparisons give truth values, of tensors and of scalars`` () =
    let coarse = map Math.Round // so that equality happens

    check (Arb.fromGen broadcastable) (fun (a, b) ->
        let a, b = coarse a, coarse b

        for plain, ofTensors, ofScalar in comparisons do
            scoped (fun () ->
                let truth x y = if plain x y then 1.0 else 0.0
                let result = ofTensors (tensor a) (tensor b)
                Assert.Equal(torch.bool, result.dtype)
                assertEqual 0.0 (map2 truth a b) result
                assertEqual 0.0 (map (fun x -> truth x 1.0) a) (ofScalar (tensor a) (scalar 1.0))))

[<Fact>]
let ``scalars stand on either side of an operator`` () =
    check (Arb.fromGen arrays) (fun a ->
        use _ = torch.NewDisposeScope()
        let a = map (fun x -> if x = 0.0 then 0.5 else x) a
        let t = tensor a
        let s = (scalar 2.5)
        assertEqual 1e-12 (map (fun x -> x + 2.5) a) (s + t)
        assertEqual 1e-12 (map (fun x -> 2.5 - x) a) (s - t)
        assertEqual 1e-12 (map (fun x -> x * 2.5) a) (t * s)
        assertEqual 1e-12 (map (fun x -> 2.5 / x) a) (s / t)
        assertEqual 1e-12 (map (fun x -> -x) a) (-t)
        assertEqual 1e-12 (map (fun x -> x + 2.5 * 3.0) a) (t.add (s, (scalar 3))))

[<Fact>]
let ``in-place forms change the tensor and return it`` () =
    check (Arb.fromGen arrays) (fun a ->
        use _ = torch.NewDisposeScope()
        let t = tensor a
        let result = t.add_(scalar 1).mul_(t).sub_(scalar 2).abs_().clamp_max_(scalar 3)
        Assert.Same(t, result)
        assertEqual 1e-12 (map (fun x -> min 3.0 (abs ((x + 1.0) ** 2.0 - 2.0))) a) t)

let private erf x = // Abramowitz and Stegun's series, enough terms for |x| <= 3
    let term n = (if n % 2 = 0 then 1.0 else -1.0) * x ** (2.0 * float n + 1.0) / (2.0 * float n + 1.0)
    let rec factorial n = if n < 2 then 1.0 else float n * factorial (n - 1)
    2.0 / Math.Sqrt Math.PI * Seq.sum (seq { for n in 0..60 -> term n / factorial n })

let private softplus x = Math.Log(1.0 + Math.Exp x)

let private sigmoid x = 1.0 / (1.0 + Math.Exp(-x))

let private pointwise: (string * (float -> float) * (T -> T)) list =
    [ "abs", abs, torch.abs
      "neg", (~-), torch.neg
      "sign", (fun x -> float (sign x)), torch.sign
      "exp", Math.Exp, torch.exp
      "expm1", (fun x -> Math.Exp x - 1.0), torch.expm1
      "square", (fun x -> x * x), torch.square
      "reciprocal", (fun x -> 1.0 / x), torch.reciprocal
      "sin", Math.Sin, torch.sin
      "cos", Math.Cos, torch.cos
      "tan", Math.Tan, torch.tan
      "atan", Math.Atan, torch.atan
      "sinh", Math.Sinh, torch.sinh
      "cosh", Math.Cosh, torch.cosh
      "tanh", Math.Tanh, torch.tanh
      "floor", Math.Floor, torch.floor
      "ceil", Math.Ceiling, torch.ceil
      "trunc", Math.Truncate, torch.trunc
      "frac", (fun x -> x - Math.Truncate x), torch.frac
      "round", (fun x -> Math.Round x), torch.round
      "sigmoid", sigmoid, torch.sigmoid
      "erf", erf, torch.erf
      "relu", max 0.0, torch.nn.functional.relu
      "softplus", softplus, torch.nn.functional.softplus
      "mish", (fun x -> x * Math.Tanh(softplus x)), torch.nn.functional.Mish
      "silu", (fun x -> x * sigmoid x), (fun t -> t.silu ())
      "gelu", (fun x -> 0.5 * x * (1.0 + erf (x / Math.Sqrt 2.0))), torch.nn.functional.gelu
      "elu", (fun x -> if x > 0.0 then x else 0.7 * (Math.Exp x - 1.0)), (fun t -> torch.nn.functional.elu (t, 0.7))
      "leaky_relu", (fun x -> if x > 0.0 then x else 0.01 * x), torch.nn.functional.leaky_relu
      "softsign", (fun x -> x / (1.0 + abs x)), torch.nn.functional.Softsign
      "erfinv o erf", id, (fun t -> t.erf().erfinv())
      "pow", (fun x -> x ** 3.0), (fun t -> t.pow (scalar 3))
      "clamp", (fun x -> min 1.0 (max -1.0 x)), (fun t -> t.clamp ((scalar -1.0), (scalar 1.0))) ]

[<Fact>]
let ``pointwise functions agree with plain doubles`` () =
    check (Arb.fromGen arrays) (fun a ->
        let a = map (fun x -> if abs x < 0.01 then 0.25 else x) a

        for name, plain, op in pointwise do
            scoped (fun () ->
                let tolerance = if name.StartsWith "erfinv" then 1e-8 else 1e-11
                assertEqual tolerance (map plain a) (op (tensor a))))

[<Fact>]
let ``functions of positive numbers agree with plain doubles`` () =
    check (Arb.fromGen arrays) (fun a ->
        use _ = torch.NewDisposeScope()
        let a = map (fun x -> abs x + 0.125) a
        let t = tensor a
        assertEqual 1e-12 (map Math.Log a) (torch.log t)
        assertEqual 1e-12 (map (fun x -> Math.Log(1.0 + x)) a) (torch.log1p t)
        assertEqual 1e-12 (map Math.Log2 a) (torch.log2 t)
        assertEqual 1e-12 (map Math.Sqrt a) (torch.sqrt t)
        assertEqual 1e-12 (map (fun x -> 1.0 / Math.Sqrt x) a) (torch.rsqrt t)
        // the functional equations of the gamma function and its logarithmic derivative
        assertEqual 1e-11 (map Math.Log a) (torch.lgamma (t + (scalar 1)) - torch.lgamma t)
        assertEqual 1e-11 (map (fun x -> 1.0 / x) a) (torch.digamma (t + (scalar 1)) - torch.digamma t))

[<Fact>]
let ``fused forms equal their parts`` () =
    check (Arb.fromGen (shapes |> Gen.bind (valuesOf value >> Gen.three))) (fun (a, b, c) ->
        use _ = torch.NewDisposeScope()
        let c = map (fun x -> abs x + 0.5) c
        let ta, tb, tc = tensor a, tensor b, tensor c
        assertEqual 1e-12 (map2 (+) a (map2 (fun x y -> 0.3 * x * y) b c)) (torch.addcmul (ta, tb, tc, (scalar 0.3)))
        assertEqual 1e-12 (map2 (+) a (map2 (fun x y -> 0.3 * x / y) b c)) (torch.addcdiv (ta, tb, tc, (scalar 0.3)))
        assertEqual 1e-12 (map2 (+) a (map2 (*) c (map2 (-) b a))) (torch.lerp (ta, tb, tc))
        assertEqual 1e-12 (map2 min (map2 max a b) c) (ta.clamp (tb, tc)))

[<Fact>]
let ``infinite and undefined values are told apart and replaced`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.tensor ([| 1.0; nan; infinity; -infinity |])
    Assert.Equal<bool[]>([| false; true; false; false |], torch.isnan(t).data<bool>().ToArray())
    Assert.Equal<bool[]>([| false; false; true; true |], torch.isinf(t).data<bool>().ToArray())
    Assert.Equal<bool[]>([| true; false; false; false |], torch.isfinite(t).data<bool>().ToArray())
    let replaced = torch.nan_to_num (t, 0.5, Nullable 9.0, Nullable -9.0)
    Assert.Equal<float[]>([| 1.0; 0.5; 9.0; -9.0 |], replaced.data<float>().ToArray())

[<Fact>]
let ``logical and bitwise operators follow their truth tables`` () =
    use _ = torch.NewDisposeScope()
    let a = torch.tensor ([| true; true; false; false |])
    let b = torch.tensor ([| true; false; true; false |])
    let values (t: T) = t.data<bool>().ToArray()
    Assert.Equal<bool[]>([| true; false; false; false |], values (a.logical_and b))
    Assert.Equal<bool[]>([| true; true; true; false |], values (a.logical_or b))
    Assert.Equal<bool[]>([| false; true; true; false |], values (a.logical_xor b))
    Assert.Equal<bool[]>([| false; false; true; true |], values (a.logical_not ()))

    Assert.Equal<int64[]>(
        [| 4L; 7L; 3L; -7L |],
        torch
            .stack(
                [ torch.tensor(6L).bitwise_and(torch.tensor 12L)
                  torch.tensor(6L).bitwise_or(torch.tensor 3L)
                  torch.tensor(6L).bitwise_xor(torch.tensor 5L)
                  torch.tensor(6L).bitwise_not() ]
            )
            .data<int64>()
            .ToArray()
    )

[<Fact>]
let ``equal tensors are Equal, and close ones close`` () =
    use _ = torch.NewDisposeScope()
    let a, b = torch.ones (2L), torch.ones (2L)
    Assert.True(a.Equals b)
    Assert.False(a.Equals(torch.ones (3L)))
    Assert.False(a.Equals(b.double ()))
    Assert.True(a.allclose (b + (scalar 1e-7)))
    Assert.False(a.allclose (b + (scalar 1e-3)))
