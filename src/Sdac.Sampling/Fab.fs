namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// Weighted points: x [n, D] in box coordinates, the logarithms of their importance weights [n] and of the flow's density
/// there when the weight was last set [n].
[<NoComparison; NoEquality>]
type WeightedPoints = { Points: Tensor; LogWeights: float[]; LogFlow: float[] }

/// A FAB trainer between two iterations. Immutable; `Fab.dispose` frees it.
[<NoComparison; NoEquality>]
type FabState =
    {
        Flow: Params
        /// Moving average of the flow's parameters
        Average: Params
        Adam: AdamState
        /// The latest points last
        Buffer: WeightedPoints
        /// Deviation of the Metropolis proposals
        StepSize: float
        Iterations: int
        /// Of the last update
        Loss: float
    }

/// A target, settings and the flow they call for.
[<NoComparison; NoEquality>]
type FabModel = { Compute: Compute; Config: FabConfig; Target: Target; Net: RealNvp }

/// Flow annealed importance sampling bootstrap: a RealNVP flow q is trained on the α = 2 divergence ∫ p²/q, whose gradient is
/// estimated at points that annealed importance sampling (Neal 2001) moves from q towards p²/q, kept in a prioritised buffer.
[<RequireQualifiedAccess>]
module Fab =
    /// Checks the settings. Raises ArgumentException with all that is impossible in them.
    let create (compute: Compute) (config: FabConfig) (target: Target) : FabModel =
        let config = Settings.validate FabConfig.problems config

        { Compute = compute
          Config = config
          Target = target
          Net = RealNvp.create target.Dim config.Layers config.Hidden }

    let private kept (s: FabState) = [ s.Flow.Flat; s.Average.Flat; s.Adam.M; s.Adam.V; s.Buffer.Points ]

    /// Frees a state's tensors.
    let dispose (s: FabState) =
        for t in kept s do
            t.Dispose()

    let private doubles (t: Tensor) = Tensors.toArray t |> Array.map float

    /// ln p and ln q at points [N, D]; p ends at the box, to which the other samplers clip: without an end, p²/q of a flow
    /// with lighter tails has no integral. Raises ArgumentException on an energy of a wrong shape, or not finite, with its
    /// value and the iteration.
    let private logDensities (model: FabModel) (flow: Params) iteration (x: Tensor) =
        let rows, dim = Tensors.size 0 x, model.Target.Dim
        let inBox = x.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
        let energy = Target.boxEnergy model.Config.Temperature model.Target inBox
        Checks.finite "energy" (fun _ -> $"iteration {iteration}") model.Target inBox [ rows ] energy
        let points, logP = Tensors.toArray x, doubles energy

        for row in 0 .. rows - 1 do
            for j in 0 .. dim - 1 do
                if not (abs points[row * dim + j] <= 1.0f) then
                    logP[row] <- Double.NegativeInfinity

        struct (logP, doubles (RealNvp.logDensity model.Compute model.Net flow x))

    /// ln of the density at β between q (β = 0) and p²/q (β = 1), up to a constant: (1-2β)·ln q + 2β·ln p.
    let private between beta logP logQ = (1.0 - 2.0 * beta) * logQ + 2.0 * beta * logP

    /// One Metropolis step on the density at β with normal proposals: points, their ln p and ln q, and the share accepted.
    let private metropolis (model: FabModel) flow iteration beta size key (x: Tensor, logP: float[], logQ: float[]) =
        let n, dim = Tensors.size 0 x, model.Target.Dim
        let struct (moveKey, acceptKey) = Key.split key
        let proposal = x.add ((Key.normal model.Compute [ n; dim ] moveKey).mul(Scalars.ofFloat size))
        let struct (newP, newQ) = logDensities model flow iteration proposal
        let u = Tensors.toArray (Key.uniform model.Compute [ n ] acceptKey)

        let accept =
            Array.init n (fun i -> log (float u[i]) < between beta newP[i] newQ[i] - between beta logP[i] logQ[i])

        let pick (fresh: float[]) (old: float[]) = Array.init n (fun i -> if accept[i] then fresh[i] else old[i])

        let mask =
            Tensors.ofArray model.Compute [ n; 1 ] (accept |> Array.map (fun a -> if a then 1.0f else 0.0f))

        let moved = x.add (proposal.sub(x).mul mask)
        let share = float (accept |> Array.filter id |> Array.length) / float n
        struct ((moved, pick newP logP, pick newQ logQ), share)

    /// n points by annealed importance sampling from the flow towards p²/q, with Metropolis proposals of the given
    /// deviation, and the mean share accepted (NaN without intermediate densities). The mean weight estimates ∫ p²/q without
    /// bias, whatever the intermediate densities and steps.
    let anneal (model: FabModel) (flow: Params) (size: float) (iteration: int) (n: int) (key: Key) =
        Checks.samples n

        Tensors.scoped (fun (struct (points: WeightedPoints, _)) -> [ points.Points ]) (fun () ->
            let c = model.Config
            let struct (flowKey, stepKey) = Key.split key
            let struct (x, _) = RealNvp.sample model.Compute model.Net flow n flowKey
            let struct (logP, logQ) = logDensities model flow iteration x
            let mutable at = x, logP, logQ
            let logWeights = Array.zeroCreate<float> n
            let shares = ResizeArray()
            let width = 1.0 / float (c.Intermediate + 1)

            for level in 1 .. c.Intermediate + 1 do
                let _, logP, logQ = at

                // ln of the ratio of two neighbouring densities at a point.
                for i in 0 .. n - 1 do
                    logWeights[i] <- logWeights[i] + 2.0 * width * (logP[i] - logQ[i])

                if level <= c.Intermediate then
                    for step in 0 .. c.Steps - 1 do
                        let key = Key.foldIn (int64 (level * c.Steps + step)) stepKey
                        let struct (next, share) = metropolis model flow iteration (float level * width) size key at
                        at <- next
                        shares.Add share

            let x, _, logQ = at
            let share = if shares.Count = 0 then nan else Seq.average shares
            struct ({ Points = x; LogWeights = logWeights; LogFlow = logQ }, share))

    /// Indices of n draws in proportion to exp(logWeights), by systematic resampling: point i is drawn n·w_i/Σw times, rounded
    /// up or down at random so that its mean is exact.
    let draw (logWeights: float[]) (n: int) (key: Key) : int[] =
        if logWeights.Length = 0 || n < 1 then
            invalidArg (nameof n) $"%d{n} draws from {logWeights.Length} weights: both must be at least 1"

        let top = Array.max logWeights

        if not (Double.IsFinite top) then
            invalidArg
                (nameof logWeights)
                $"the largest of {logWeights.Length} log-weights is {string top}: no point has a weight"

        let sums = logWeights |> Array.map (fun w -> exp (w - top)) |> Array.scan (+) 0.0
        let total = sums[logWeights.Length]
        let offset = Tensors.owning (fun _ -> []) (fun () -> Tensors.scalar (Key.uniform Compute.cpu [ 1 ] key))
        let mutable at = 0

        Array.init n (fun i ->
            let wanted = (float i + offset) / float n * total

            while at < logWeights.Length - 1 && sums[at + 1] <= wanted do
                at <- at + 1

            at)

    let private joined (capacity: int) (a: WeightedPoints) (b: WeightedPoints) : WeightedPoints =
        let excess = max 0 (a.LogWeights.Length + b.LogWeights.Length - capacity)
        let latest (x: float[]) (y: float[]) = (Array.append x y)[excess..]
        let points = Tensors.cat 0 [ a.Points; b.Points ]

        { Points = points.narrow(0L, int64 excess, points.size 0 - int64 excess).clone()
          LogWeights = latest a.LogWeights b.LogWeights
          LogFlow = latest a.LogFlow b.LogFlow }

    /// Robbins–Monro on ln(size) towards the wanted acceptance.
    let private adapted (c: FabConfig) size share =
        if Double.IsNaN share then
            size
        else
            Math.Clamp(size * exp (0.1 * (share - c.Acceptance)), 1e-3, 2.0)

    /// The state before the first iteration: an untrained flow, and its points in the buffer.
    let init (model: FabModel) (key: Key) : FabState =
        Tensors.owning kept (fun () ->
            let c = model.Config
            let struct (flowKey, bufferKey) = Key.split key
            let flow = RealNvp.init model.Compute model.Net flowKey

            let empty =
                { Points = Tensors.zeros model.Compute [ 0; model.Target.Dim ]; LogWeights = [||]; LogFlow = [||] }

            let struct (buffer, size) =
                ((struct (empty, c.StepSize)), [ 0 .. c.WarmUp - 1 ])
                ||> List.fold (fun (struct (buffer, size)) round ->
                    let key = Key.foldIn (int64 round) bufferKey
                    let struct (points, share) = anneal model flow size 0 c.Batch key
                    struct (joined c.Buffer buffer points, adapted c size share))

            { Flow = flow
              Average = Params.copy flow
              Adam = Adam.init flow
              Buffer = buffer
              StepSize = size
              Iterations = 0
              Loss = nan })

    /// One update of the flow on points drawn from the buffer by weight: loss -mean(r·ln q(x)), r = min(q_old/q, clip)
    /// (algorithm 1), so that the buffer's weights, set under an older flow, serve ∫ p²/q of the present one. The drawn
    /// points' weights in the buffer are set anew.
    let private update (model: FabModel) rate key (state: FabState) : FabState =
        let c, compute = model.Config, model.Compute
        let drawn = draw state.Buffer.LogWeights c.UpdateBatch key
        let index = torch.tensor (Array.map int64 drawn, device = compute.Device)
        let x = state.Buffer.Points.index_select (0L, index)

        let old =
            Tensors.ofArray compute [ drawn.Length ] (drawn |> Array.map (fun i -> float32 state.Buffer.LogFlow[i]))

        let loss (logQ: Tensor) =
            let ratio = (old.sub(logQ.detach ()).clamp_max(Scalars.ofFloat (log c.RatioClip))).exp()
            (ratio.mul logQ).mean().neg()

        let struct (logQ, gradient) = RealNvp.gradient model.Net state.Flow x loss
        let value, norm = Tensors.scalar (loss logQ), Tensors.norm gradient


        for number in [ value; norm ] do
            Training.finite model.Target $"iteration {state.Iterations + 1} (gradient {string norm})" number

        let gradient = gradient.mul (Scalars.ofFloat (min 1.0 (c.GradientClip / norm)))
        let tau = Training.averaging c.Averaging state.Adam.Count

        let struct (flow, average, moments) =
            Training.moved compute rate tau gradient state.Flow state.Average state.Adam

        let weights, logFlow = Array.copy state.Buffer.LogWeights, Array.copy state.Buffer.LogFlow
        let now = doubles logQ

        drawn
        |> Array.iteri (fun row i ->
            weights[i] <- weights[i] + logFlow[i] - now[row]
            logFlow[i] <- now[row])

        { state with
            Flow = flow
            Average = average
            Adam = moments
            Buffer = { state.Buffer with LogWeights = weights; LogFlow = logFlow }
            Loss = value }

    /// One iteration: annealed importance sampling with the present flow, then updates from the buffer. The key belongs
    /// to the whole training: the iteration's own is derived from it.
    let step (model: FabModel) (key: Key) (state: FabState) : FabState =
        Tensors.owning kept (fun () ->
            let c = model.Config
            let struct (annealKey, updateKey) = Key.split (Key.foldIn (int64 state.Iterations) key)

            let struct (points, share) =
                anneal model state.Flow state.StepSize (state.Iterations + 1) c.Batch annealKey

            let learningRate = Training.learningRate c.LearningRate c.Iterations (int64 state.Iterations)
            let buffer = joined c.Buffer state.Buffer points

            let trained =
                ({ state with Buffer = buffer }, [ 0 .. c.Updates - 1 ])
                ||> List.fold (fun state i -> update model learningRate (Key.foldIn (int64 i) updateKey) state)

            { trained with StepSize = adapted c state.StepSize share; Iterations = state.Iterations + 1 })

    /// Trains to the end. `observe` is shown every state and must not keep its tensors.
    let train (model: FabModel) (key: Key) (observe: FabState -> unit) : FabState =
        Training.run (init model) (step model) dispose model.Config.Iterations key observe

    /// n samples [n, D] of the target from the averaged flow.
    let sample (model: FabModel) (state: FabState) (n: int) (key: Key) : Tensor =
        Checks.samples n

        Tensors.scoped List.singleton (fun () ->
            let struct (x, _) = RealNvp.sample model.Compute model.Net state.Average n key
            x.mul (Scalars.ofFloat model.Target.HalfWidth))
