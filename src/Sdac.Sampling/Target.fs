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

/// Two numbers of each point, in which a density of more than two dimensions is drawn and counted.
[<NoComparison; NoEquality>]
type View =
    {
        /// What the numbers are: across, upwards
        Axes: string * string
        /// Nearly all of them lie between these
        Across: float * float
        Upwards: float * float
        /// [N, D] -> [N·R, 2]: R rows of each point, in its order
        Project: Tensor -> Tensor
        /// The rows' shares of the cells of a grid of n x n over both ranges, row by row upwards
        Shares: int -> float[]
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
        /// In the plane of `View` where there is one
        Modes: Mode list
        /// None in two dimensions, where points are seen as they are, and where there is no way to see them
        View: View option
        /// One sentence for people
        About: string
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
          Modes = []
          View = None
          About = "" }

    /// The rows in the plane of points [N, D] of a target: the points themselves in two dimensions, else those of its view.
    /// Raises ArgumentException when it has none.
    let seen (target: Target) (x: Tensor) : Tensor =
        match target.View with
        | Some view -> view.Project x
        | None when target.Dim = 2 -> x
        | None ->
            invalidArg
                (nameof target)
                $"target '{target.Name}' has dimension %d{target.Dim} and no view; measures take 2 or a view of it"

    /// The ranges, across and upwards, that a target's rows in the plane nearly all lie in.
    let frame (target: Target) : struct ((float * float) * (float * float)) =
        match target.View with
        | Some view -> struct (view.Across, view.Upwards)
        | None ->
            let range = -target.HalfWidth, target.HalfWidth
            struct (range, range)

    /// How many rows [n, 2] lie in each cell of a grid of side x side over two ranges, row by row upwards; those outside count
    /// at the border.
    let histogram (side: int) (across: float * float) (upwards: float * float) (rows: float32[]) : int[] =
        let place (low, high) (value: float32) =
            Math.Clamp(int (floor ((float value - low) / (high - low) * float side)), 0, side - 1)

        let counts = Array.zeroCreate<int>(side * side)

        for i in 0 .. rows.Length / 2 - 1 do
            let cell = place upwards rows[2 * i + 1] * side + place across rows[2 * i]
            counts[cell] <- counts[cell] + 1

        counts

    // Points per axis and cell by which a density is integrated over a cell.
    [<Literal>]
    let private Fine = 6

    /// The shares of the same cells by a log-density [N, 2] -> [N] on the plane, known up to a constant.
    let shares (logDensity: Tensor -> Tensor) (across: float * float) (upwards: float * float) (side: int) : float[] =
        let fine = side * Fine
        let at (low, high) i = low + (float i + 0.5) / float fine * (high - low)

        let points =
            Array.init (2 * fine * fine) (fun i ->
                float32 (if i % 2 = 0 then at across ((i / 2) % fine) else at upwards (i / 2 / fine)))

        let logs =
            Tensors.owning (fun _ -> []) (fun () ->
                Tensors.toArray (logDensity (Tensors.ofArray Compute.cpu [ fine * fine; 2 ] points)))

        let top = float (Array.max logs)
        let sums = Array.zeroCreate<float>(side * side)

        for i in 0 .. fine * fine - 1 do
            let cell = (i / fine / Fine) * side + (i % fine) / Fine
            sums[cell] <- sums[cell] + exp (float logs[i] - top)

        let total = Array.sum sums
        sums |> Array.map (fun s -> s / total)

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
