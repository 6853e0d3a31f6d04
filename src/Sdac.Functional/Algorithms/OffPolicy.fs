namespace Sdac.Functional

/// An update of an off-policy algorithm under way: what it began with, and what its stages have made so far. Losses and gradients are
/// those of `State`; what they change goes into `Next`.
[<NoComparison; NoEquality>]
type OffPolicyUpdate<'model, 'noise, 'state, 'made> =
    {
        Model: 'model
        Batch: Batch
        /// All random numbers of the update
        Noise: 'noise
        /// What the update began with
        State: 'state
        Next: 'state
        /// What one stage leaves to those behind it
        Made: 'made
        Figures: Figures
    }

/// What off-policy algorithms with twin critics do alike.
[<RequireQualifiedAccess>]
module OffPolicy =
    /// An update that has done nothing yet.
    let start
        (model: 'model)
        (made: 'made)
        (noise: 'noise)
        (batch: Batch)
        (state: 'state)
        : OffPolicyUpdate<'model, 'noise, 'state, 'made> =
        { Model = model
          Batch = batch
          Noise = noise
          State = state
          Next = state
          Made = made
          Figures = Map.empty }

    /// The update with these figures beside those that it has.
    let tell (figures: Figures) (u: OffPolicyUpdate<'m, 'n, 's, 'x>) =
        { u with Figures = Map.fold (fun all name value -> Map.add name value all) u.Figures figures }

    /// The agent's `Begin`: a batch of the memory and the update's random numbers, each by its own key.
    let beginning
        (compute: Compute)
        (data: DataSettings)
        (drawNoise: int -> Key -> 'noise)
        (start: 'noise -> Batch -> 'state -> 'work)
        (table: RoundTable)
        (keys: UpdateKeys)
        (state: 'state)
        : 'work =
        let batch = Replay.sample compute keys.Batch data.BatchSize table.Memory
        start (drawNoise data.BatchSize keys.Noise) batch state

    /// The agent's `OnBatch`.
    let onBatch (change: Batch -> Batch) (u: OffPolicyUpdate<'m, 'n, 's, 'x>) = { u with Batch = change u.Batch }

    /// The agent's `Finish`; `counted` counts the update.
    let finish (counted: 'state -> 'state) (u: OffPolicyUpdate<'m, 'n, 'state, 'x>) : Finished<'state> =
        { State = counted u.Next; Figures = u.Figures; Tallies = []; Verdict = Verdict.Continue }

    // ---- the policy's step

    /// One Adam step of a network at the rate that its schedule has now.
    let step
        (compute: Compute)
        (adam: AdamSettings)
        (rate: LearningRate)
        (gradient: Tensor)
        (network: Params)
        (optimiser: AdamState)
        : struct (Params * AdamState) =
        let rate = LearningRate.at optimiser.Count rate
        Adam.step compute (AdamSettings.ofSettings adam) rate gradient network optimiser

    /// What the policy's step tells about itself.
    let policyFigures (loss: Tensor) (gradient: Tensor) : Figures =
        Map [ "policyLoss", Tensors.scalar loss; "policyGradientNorm", Tensors.norm gradient ]

    /// What these are. carried: updates that leave the policy as it is show the last ones.
    let policyFigureInfos (carried: bool) : FigureInfo list =
        [ { FigureInfo.finite "policyLoss" "the policy loss" with
              Headline = Some "policy loss"
              Carried = carried }
          { FigureInfo.finite "policyGradientNorm" "the gradient of the policy" with Carried = carried } ]
