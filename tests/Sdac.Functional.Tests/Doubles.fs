/// Networks and policy heads a second time: plain float64 tensor operations, so that libtorch's autograd gives the gradients.
module Sdac.Tests.Doubles

open Sdac.Functional
open Sdac.Kernels
open TorchSharp

let double (t: Tensor) : Tensor = t.detach().``to`` torch.float64

/// Parameters that autograd follows.
let leaf (p: Params) : Tensor = (double p.Flat).requires_grad_()

let internal activate (activation: Activation) (x: Tensor) =
    match activation with
    | Activation.Relu -> x.relu ()
    | Activation.Tanh -> x.tanh ()
    | Activation.Mish -> x.mul (x.exp().log1p().tanh())
    | Activation.Gelu ->
        x.mul((x.div (Scalars.ofFloat (sqrt 2.0))).erf().add(Scalars.ofFloat 1.0)).mul(Scalars.ofFloat 0.5)
    | Activation.Elu -> torch.where (x.gt (Scalars.ofFloat 0.0), x, x.exp().sub(Scalars.ofFloat 1.0))
    | _ -> x

let private normalised (epsilon: float) (gain: Tensor) (offset: Tensor) (x: Tensor) =
    let apart = x.sub (x.mean ([| -1L |], true))
    let deviation = apart.square().mean([| -1L |], true).add(Scalars.ofFloat epsilon).sqrt()
    apart.div(deviation).mul(gain).add offset

/// A network's output by its flat float64 parameters. x: [rows, in].
let forward (shape: MlpShape) (flat: Tensor) (x: Tensor) : Tensor =
    let part offset (sizes: int list) =
        flat.narrow(0L, int64 offset, int64 (List.fold (*) 1 sizes)).view(sizes |> List.map int64 |> List.toArray)

    let layer x i =
        let out = shape.Widths[i + 1]
        let sums = x |> fun (x: Tensor) -> x.mm (part (shape.WeightOffset i) [ shape.Widths[i]; out ])
        let sums = sums.add (part (shape.BiasOffset i) [ out ])

        (if shape.HasNorm i then
             let epsilon = float shape.LayerNormEpsilon.Value
             normalised epsilon (part (shape.NormWeightOffset i) [ out ]) (part (shape.NormBiasOffset i) [ out ]) sums
         else
             sums)
        |> activate (if i = shape.LayerCount - 1 then shape.Output else shape.Hidden)

    Seq.fold layer x (seq { 0 .. shape.LayerCount - 1 })

/// Q [rows] of states and actions.
let q (net: QNetwork) (flat: Tensor) (obs: Tensor) (action: Tensor) : Tensor =
    (forward net.Shape flat (torch.cat ([| obs; action |], 1L))).view -1L

/// Action and log-probability of a squashed Gaussian, log σ clipped. output: [rows, 2A], noise: [rows, A].
let squashed (head: Sdac.Functional.SquashedGaussian) (output: Tensor) (noise: Tensor) : struct (Tensor * Tensor) =
    let dim = int64 head.ActionDim
    let mean, raw = output.narrow (1L, 0L, dim), output.narrow (1L, dim, dim)

    let logStd =
        match head.LogStd with
        | LogStd.Clipped(low, high) -> raw.clamp (Scalars.ofFloat low, Scalars.ofFloat high)
        | LogStd.Smooth(low, high) ->
            raw.tanh().add(Scalars.ofFloat 1.0).mul(Scalars.ofFloat (0.5 * (high - low))).add(Scalars.ofFloat low)

    let u = mean.add (logStd.exp().mul noise)
    let action = u.tanh ()

    let gaussian =
        noise.square().mul(Scalars.ofFloat -0.5).sub(logStd).sub(Scalars.ofFloat (0.5 * log (2.0 * System.Math.PI)))

    let each =
        if head.TanhCorrection then
            gaussian.sub (action.square().neg().add(Scalars.ofFloat 1.0).log())
        else
            gaussian

    struct (action, each.sum 1L)

/// The gradient of a scalar with respect to a leaf.
let gradient (loss: Tensor) (leaf: Tensor) : Tensor = (torch.autograd.grad ([| loss |], [| leaf |]))[0]

let numbers (t: Tensor) : float[] =
    let t = t.detach().cpu().contiguous()
    t.data<float>().ToArray()
