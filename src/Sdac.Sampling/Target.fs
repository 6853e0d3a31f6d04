namespace Sdac.Sampling

open System
open Sdac.Functional
open Sdac.LibTorch
open TorchSharp

/// A place where a density gathers, for counting which of them a sampler found.
type Mode =
    {
        Centre: float[]
        Weight: float
        /// Samples within this distance belong to the mode.
        Radius: float
    }

/// A density to sample from. The log-density is all that a sampler may use; the rest is for measuring.
[<NoComparison; NoEquality>]
type Target =
    {
        Name: string
        Dim: int
        /// Nearly all of the density lies in [-HalfWidth, HalfWidth]^Dim; samplers work in box coordinates y = x/HalfWidth.
        HalfWidth: float
        /// ln p up to a constant: [N, D] -> [N]
        LogDensity: Tensor -> Tensor
        /// ∇ ln p: [N, D] -> [N, D]
        Gradient: Tensor -> Tensor
        /// ln ∫ exp(LogDensity), where it is known
        LogNormaliser: float option
        /// Exact independent samples [n, D], where there is a way
        Sample: (int -> Key -> Tensor) option
        /// ∇ ln p_t in box coordinates at noise level ᾱ: [N, D] -> [N, D], where a closed form is known
        NoisedScore: (float -> Tensor -> Tensor) option
        Modes: Mode list
    }

[<RequireQualifiedAccess>]
module Target =
    let private autograd (name: string) (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let x = x.detach().requires_grad_()
            let value = f x
            // the sum of any other shape would have a gradient as well, of another density
            Tensors.check $"energy of target '{name}'" [ Tensors.size 0 x ] value
            Gradient.Of($"the log density of target '{name}'", value.sum (), [| x |])[0])

    /// A target of the user's: any differentiable function of libtorch as log-density, [N, D] -> [N].
    /// Raises ArgumentException when dim < 1 or halfWidth is not positive.
    let create (name: string) (dim: int) (halfWidth: float) (logDensity: Tensor -> Tensor) : Target =
        if dim < 1 then
            invalidArg (nameof dim) $"target '{name}' has %d{dim} dimensions; it needs at least 1"

        if not (halfWidth > 0.0 && Double.IsFinite halfWidth) then
            invalidArg
                (nameof halfWidth)
                $"target '{name}' has half-width {string halfWidth}; it must be a positive number"

        { Name = name
          Dim = dim
          HalfWidth = halfWidth
          LogDensity = logDensity
          Gradient = autograd name logDensity
          LogNormaliser = None
          Sample = None
          NoisedScore = None
          Modes = [] }

    /// ln p at points in box coordinates, divided by a temperature: the energy that RSSM's weights see. [N, D] -> [N].
    let boxEnergy (temperature: float) (target: Target) (y: Tensor) : Tensor =
        (target.LogDensity(y.mul (Scalars.ofFloat target.HalfWidth))).div(Scalars.ofFloat temperature)

    /// ∇ ln p with respect to box coordinates. [N, D] -> [N, D].
    let boxGradient (target: Target) (y: Tensor) : Tensor =
        let scale = Scalars.ofFloat target.HalfWidth
        (target.Gradient(y.mul scale)).mul scale

    /// Exact samples [n, D]. Raises ArgumentException when the target has no exact sampler.
    let sample (n: int) (key: Key) (target: Target) : Tensor =
        match target.Sample with
        | Some sample -> sample n key
        | None -> invalidArg (nameof target) $"target '{target.Name}' has no exact sampler: choose another target"

    /// Exact samples in box coordinates. Raises ArgumentException when the target has no exact sampler.
    let boxSample (n: int) (key: Key) (target: Target) : Tensor =
        (sample n key target).div(Scalars.ofFloat target.HalfWidth)
