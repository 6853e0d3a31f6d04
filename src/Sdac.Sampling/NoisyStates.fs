namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// Where RSSM asks for the score: the sampling distribution p̃_t of a_t, in box coordinates. Any one with full support has
/// the same minimiser; they differ in how soon it is reached.
type NoisyStates =
    /// N(0, deviation²·I) at every timestep.
    | GaussianStates of Deviation: float
    /// Independent Cauchy coordinates of the given scale.
    | CauchyStates of Scale: float
    /// Uniform on [-halfWidth, halfWidth]^D.
    | UniformStates of HalfWidth: float
    /// Forward noising of points uniform on [-halfWidth, halfWidth]^D: follows the width of p_t.
    | NoisedUniform of HalfWidth: float
    /// Forward noising of the model's own samples, drawn anew every `Refresh` updates, but `NoisedUniform 1` in the share
    /// `Anywhere` of the rows, so that no mode is missed whatever the model has learnt so far. The share falls linearly to
    /// nothing over the first half of training: far from the density the noise to be predicted is large, and each row there
    /// costs exactness where samples lie.
    | OwnSamples of Refresh: int * Anywhere: float

[<RequireQualifiedAccess>]
module NoisyStates =
    let private centred (halfWidth: float) (u: Tensor) =
        u.mul(Scalars.ofFloat (2.0 * halfWidth)).sub(Scalars.ofFloat halfWidth)

    /// The distribution when the part `progress` of training, in [0, 1], is over.
    let during (progress: float) (kind: NoisyStates) : NoisyStates =
        match kind with
        | OwnSamples(refresh, anywhere) -> OwnSamples(refresh, anywhere * max 0.0 (1.0 - 2.0 * progress))
        | _ -> kind

    /// States a_t [B, D] at timesteps t [B]. `own` are the model's present samples [n, D] for `OwnSamples`.
    let draw
        (compute: Compute)
        (schedule: Schedule)
        (own: Tensor)
        (dim: int)
        (kind: NoisyStates)
        (t: int[])
        (key: Key)
        =
        let struct (first, second) = Key.split key
        let shape = [ t.Length; dim ]
        let noise () = Key.normal compute shape second

        match kind with
        | GaussianStates deviation -> (Key.normal compute shape first).mul(Scalars.ofFloat deviation)
        | CauchyStates scale ->
            // tan maps the uniform angle to the Cauchy distribution; float32's nearest angle to ±π/2 keeps it finite.
            (centred (Math.PI / 2.0) (Key.uniform compute shape first)).tan().mul(Scalars.ofFloat scale)
        | UniformStates halfWidth -> centred halfWidth (Key.uniform compute shape first)
        | NoisedUniform halfWidth ->
            Diffusion.noised compute schedule t (centred halfWidth (Key.uniform compute shape first)) (noise ())
        | OwnSamples(_, share) ->
            let struct (choice, anywhere) = Key.split first
            let rows = Key.integers (Tensors.size 0 own) t.Length choice
            let samples = Tensors.toArray own
            let clean = Tensors.toArray (centred 1.0 (Key.uniform compute shape anywhere))

            // evenly through the batch
            let isAnywhere row = floor (float (row + 1) * share) > floor (float row * share)

            for row in 0 .. t.Length - 1 do
                if not (isAnywhere row) then
                    Array.blit samples (rows[row] * dim) clean (row * dim) dim

            Diffusion.noised compute schedule t (Tensors.ofArray compute shape clean) (noise ())

    /// What is impossible, in one sentence.
    let problem (kind: NoisyStates) : string option =
        match kind with
        | GaussianStates x
        | CauchyStates x
        | UniformStates x
        | NoisedUniform x when not (x > 0.0 && Double.IsFinite x) ->
            Some $"the width of the sampling distribution {kind} must be a positive number"
        | OwnSamples(refresh, _) when refresh < 1 ->
            Some $"OwnSamples refreshes every %d{refresh} updates; it must be at least 1"
        | OwnSamples(_, share) when not (share >= 0.0 && share <= 1.0) ->
            Some $"OwnSamples draws the share {string share} of its states from anywhere; it must lie in [0, 1]"
        | _ -> None
