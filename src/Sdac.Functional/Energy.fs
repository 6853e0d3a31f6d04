namespace Sdac

open TorchSharp

/// Running averages of Q's mean and deviation over batches.
[<Struct>]
type RunningValues = { Mean: float; Deviation: float }

[<RequireQualifiedAccess>]
module RunningValues =
    /// Where the averages begin.
    let init = { Mean = 0.0; Deviation = 1.0 }

    /// The averages after a batch: each moves by `QNormalisationRate` of the way to the batch's own mean and deviation
    /// (dividing by the count). Unchanged where the settings do not normalise Q. q: any shape.
    let follow (c: Config) (q: Tensor) (v: RunningValues) : RunningValues =
        if c.QNormalisation = QNormalisation.Off then
            v
        else
            use _ = torch.NewDisposeScope()
            let mean = Tensors.scalar (q.mean ())
            let spread = q.sub(Scalars.ofFloat mean).square().mean()
            let towards old value = old + c.QNormalisationRate * (value - old)
            { Mean = towards v.Mean mean; Deviation = towards v.Deviation (sqrt (Tensors.scalar spread)) }

/// From values to the energies whose exponentials weight the policy's regression.
[<RequireQualifiedAccess>]
module Energy =
    // Values that stay equal let the averaged deviation decay to nothing.
    let private least = 1e-6

    /// Q as it is or normalised by running averages. Any shape.
    let normalised (c: Config) (v: RunningValues) (q: Tensor) : Tensor =
        let clip (x: Tensor) = x.clamp (Scalars.ofFloat -c.QClip, Scalars.ofFloat c.QClip)
        let deviation = max least v.Deviation

        match c.QNormalisation with
        | QNormalisation.Off -> q
        | QNormalisation.Running -> q.sub(Scalars.ofFloat v.Mean).div(Scalars.ofFloat deviation) |> clip
        | QNormalisation.RunningAsPublished -> q.sub (Scalars.ofFloat (v.Mean / deviation)) |> clip

    /// QScale·Q/λ, Q normalised as the settings say. Any shape.
    let ofValues (c: Config) (v: RunningValues) (lambda: float) (q: Tensor) : Tensor =
        (normalised c v q).mul(Scalars.ofFloat (c.QScale / lambda))
