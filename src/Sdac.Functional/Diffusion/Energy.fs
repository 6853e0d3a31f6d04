namespace Sdac.Functional

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
    let follow (c: EnergySettings) (q: Tensor) (v: RunningValues) : RunningValues =
        match c.QNormalisation with
        | QNormalisation.Off
        | QNormalisation.Batch -> v
        | QNormalisation.Running
        | QNormalisation.RunningAsPublished ->
            use _ = torch.NewDisposeScope()
            let mean = Tensors.scalar (q.mean ())
            let spread = (q - num mean).square().mean()
            let towards old value = old + c.QNormalisationRate * (value - old)
            { Mean = towards v.Mean mean; Deviation = towards v.Deviation (sqrt (Tensors.scalar spread)) }

/// The energy that raw weights exp(energy - shift) are measured from. A factor common to all weights moves no minimiser as long
/// as it does not depend on the draws that it multiplies: a factor chosen by each batch would make the rare batches with a
/// large energy count for less. So the shift is state. A batch finds it as the batches before have left it, and raises it only
/// where it would overflow, in whole numbers: bounded energies raise it finitely often, and from then on it stands.
[<Struct>]
type EnergyShift =
    {
        Shift: float
        /// Batches in a row, up to the last, in which no weight has reached 1; counted while the shift is above 0
        Idle: int64
    }

[<RequireQualifiedAccess>]
module EnergyShift =
    /// Where it begins: raw weights are the theorem's own until an energy exceeds 30.
    let init = { Shift = 0.0; Idle = 0L }

    // Weights up to exp(30) leave Adam's squares of their gradients in float32.
    [<Literal>]
    let private Top = 30.0

    // Batches that must pass before energies of long ago are forgotten.
    [<Literal>]
    let private Patience = 1000L

    /// The shift under which a batch with this largest energy stays below exp(30).
    let raised (largest: float) (s: EnergyShift) : EnergyShift =
        if System.Double.IsFinite largest then
            { s with Shift = max s.Shift (ceil (largest - Top)) }
        else
            s

    /// The shift that the next batch finds. It falls, by 1 a batch, where no weight has reached 1 for very many batches: a shift
    /// that energies of long ago have raised would else leave weights of 0 for good.
    let next (largest: float) (s: EnergyShift) : EnergyShift =
        if s.Shift > 0.0 && largest < s.Shift then
            { Shift = (if s.Idle >= Patience then max 0.0 (s.Shift - 1.0) else s.Shift); Idle = s.Idle + 1L }
        else
            { s with Idle = 0L }

/// From values to the energies whose exponentials weight the policy's regression.
[<RequireQualifiedAccess>]
module Energy =
    // Values that stay equal let the averaged deviation decay to nothing.
    let private least = 1e-6

    /// Q as it is or normalised, by running averages or by the mean and deviation of these values. Any shape.
    let normalised (c: EnergySettings) (v: RunningValues) (q: Tensor) : Tensor =
        let clip (x: Tensor) = x.clamp (Scalars.ofFloat -c.QClip, Scalars.ofFloat c.QClip)
        let deviation = max least v.Deviation

        match c.QNormalisation with
        | QNormalisation.Off -> q
        | QNormalisation.Running -> (q - num v.Mean) / num deviation |> clip
        | QNormalisation.Batch ->
            let centred = q - q.mean ()
            centred / centred.square().mean().sqrt().clamp_min(num least) |> clip
        | QNormalisation.RunningAsPublished -> q - num (v.Mean / deviation) |> clip

    /// QScale·Q/λ, Q normalised as the settings say. Any shape.
    let ofValues (c: EnergySettings) (v: RunningValues) (lambda: float) (q: Tensor) : Tensor =
        num (c.QScale / lambda) * normalised c v q

    /// Weights of the K draws of each state, raw ones measured from the shift given, and the shift that the next batch finds.
    /// energy: [B, K] -> [B, K].
    let weights (kind: RssmWeights) (shift: EnergyShift) (energy: Tensor) : struct (Tensor * EnergyShift) =
        match kind with
        | RssmWeights.SelfNormalised
        | RssmWeights.LogSumExp -> struct (Rssm.weights kind energy, shift)
        | RssmWeights.Raw ->
            let largest = Tensors.scalar (energy.max ())
            let found = EnergyShift.raised largest shift
            let measured = if found.Shift = 0.0 then energy else energy - num found.Shift
            struct (Rssm.weights RssmWeights.Raw measured, EnergyShift.next largest found)
