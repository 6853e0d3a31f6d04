namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// How a sampler's network learns: its rates and how many updates there will be.
[<Struct>]
type internal Pace = { LearningRate: float; Averaging: float; Updates: int }

/// What the trainers of samplers have in common.
[<RequireQualifiedAccess>]
module Training =
    /// Constant over the first half of the updates, then linearly down to a hundredth.
    let learningRate (initial: float) (updates: int) (update: int64) : float =
        let half = int64 (updates / 2)
        LearningRate.at update (LearningRate.LinearDecay(initial, initial / 100.0, half, max 1L (int64 updates - half)))

    /// The rate of the parameters' moving average: early on it forgets the untrained start as fast as a plain mean would.
    let averaging (rate: float) (update: int64) : float = max rate (min 1.0 (10.0 / float (update + 10L)))

    /// The state after so many updates. `observe` is shown every state; each is freed once the next one is there.
    let run
        init
        (step: Key -> 'state -> 'state)
        (dispose: 'state -> unit)
        updates
        (key: Key)
        (observe: 'state -> unit)
        =
        let struct (initKey, stepKey) = Key.split key
        let mutable state: 'state = init initKey

        for _ in 1..updates do
            let next = step stepKey state
            dispose state
            state <- next
            observe state

        state

    /// Every row's observation: the constant 1, [rows, 1]. Noise networks take at least one.
    let obs (compute: Compute) (rows: int) : Tensor = torch.ones (int64 rows, 1L, torch.float32, compute.Device)

    let private adam = { Beta1 = 0.9; Beta2 = 0.999; Epsilon = 1e-8 }

    /// Raises ArgumentException unless the loss is finite.
    let internal finite (target: Target) (place: string) (loss: float) =
        if not (Double.IsFinite loss) then
            invalidArg
                "state"
                $"the loss for target '{target.Name}' became {string loss} at {place}: take a smaller learning rate"

    /// Parameters after an Adam step, their moving average and Adam's moments.
    let internal moved compute learningRate rate gradient (parameters: Params) (average: Params) (moments: AdamState) =
        let struct (parameters, moments) = Adam.step compute adam learningRate gradient parameters moments
        struct (parameters, Polyak.step compute rate average parameters, moments)

    /// One update of a noise network at states [B, D] and timesteps t [B]: network, moving average, Adam's moments and the loss.
    /// `loss` gives a prediction's loss and its gradient. Raises ArgumentException when the loss is not finite.
    let internal regress
        (compute: Compute)
        (net: NoiseNetwork)
        (target: Target)
        (pace: Pace)
        (update: int)
        (network: Params, average: Params, moments: AdamState)
        (noisy: Tensor)
        (t: int[])
        (loss: Tensor -> struct (Tensor * Tensor))
        =
        use vjp = NoiseNetwork.vjp compute net network (obs compute t.Length) noisy t
        let struct (loss, slope) = loss vjp.Output
        let loss = Tensors.scalar loss
        finite target $"update {update + 1}" loss
        let rate = learningRate pace.LearningRate pace.Updates (int64 update)
        let tau = averaging pace.Averaging (int64 update)

        let struct (network, average, moments) =
            moved compute rate tau (vjp.PullbackParameters slope) network average moments

        struct (network, average, moments, loss)

    /// The score of a noise network, s = -ε_θ/√(1-ᾱ_t), at points y [N, D] in box coordinates.
    let score (compute: Compute) (schedule: Schedule) (net: NoiseNetwork) (p: Params) (t: int) (y: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let rows = Tensors.size 0 y
            let noise = NoiseNetwork.forward compute net p (obs compute rows) y (Array.create rows t)
            noise.mul (Scalars.ofFloat (-1.0 / schedule.SqrtOneMinusAlphaBars[t])))
