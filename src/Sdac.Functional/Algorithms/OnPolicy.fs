namespace Sdac.Functional

open System
open Sdac.Kernels

/// What is collected in a round and how often it is learned from.
type RolloutSettings =
    {
        /// Environments stepped together
        Environments: int
        /// Steps of all environments in a round
        VectorSteps: int
        /// How often a round's transitions are learned from, each time in another order
        Epochs: int
        /// Parts of a round's transitions, each of which makes an update
        Minibatches: int
    }

[<RequireQualifiedAccess>]
module RolloutSettings =
    /// Transitions of a round.
    let rows (r: RolloutSettings) = r.Environments * r.VectorSteps

    /// Updates of a round.
    let updates (r: RolloutSettings) = r.Epochs * r.Minibatches

    /// What is impossible in these settings; `entries` a transition, called `what`, are dealt out to the minibatches.
    let problemsOf (entries: int) (what: string) (r: RolloutSettings) : string list =
        let count = int64 r.Environments * int64 r.VectorSteps * int64 entries
        let positive = r.Environments >= 1 && r.VectorSteps >= 1 && r.Minibatches >= 1 && entries >= 1

        [ Check.atLeast (nameof r.Environments) 1 r.Environments
          Check.atLeast (nameof r.VectorSteps) 1 r.VectorSteps
          Check.atLeast (nameof r.Epochs) 1 r.Epochs
          Check.atLeast (nameof r.Minibatches) 1 r.Minibatches
          // their numbers are single precision in the table of a round
          [ if count > 16_777_216L then
                $"vectorSteps is %d{r.VectorSteps} in {r.Environments} environments, more than 16777216 {what} a round; take fewer"
            elif positive && count % int64 r.Minibatches <> 0L then
                $"minibatches is %d{r.Minibatches}, which does not divide the {count} {what} of a round (vectorSteps {r.VectorSteps} in {r.Environments} environments); take one that does" ] ]
        |> List.concat

    /// The same where the minibatches are dealt transitions.
    let problems: RolloutSettings -> string list = problemsOf 1 "transitions"

/// Running moments that observations and rewards are normalised by.
type NormalisationSettings =
    {
        /// The networks see clip((s - mean)/√(variance + 1e-8), ±ObservationClip) with the moments of all observations so far
        NormaliseObservations: bool
        /// Bound of a normalised observation
        ObservationClip: float
        /// Rewards become clip(r/√(variance + 1e-8), ±RewardClip) with the variance of the discounted return so far
        NormaliseRewards: bool
        /// Bound of a normalised reward
        RewardClip: float
    }

[<RequireQualifiedAccess>]
module NormalisationSettings =
    let off: NormalisationSettings =
        { NormaliseObservations = false
          ObservationClip = 10.0
          NormaliseRewards = false
          RewardClip = 10.0 }

    let problems (n: NormalisationSettings) : string list =
        Check.positive (nameof n.ObservationClip) n.ObservationClip
        @ Check.positive (nameof n.RewardClip) n.RewardClip

/// What a rollout is normalised by, the same for all on-policy agents.
[<RequireQualifiedAccess>]
module OnPolicy =
    /// The traversal of moments.
    let moments (name: string) (visit: IVisit) (m: RunningMoments) : RunningMoments = Parts.moments name visit m

    /// The traversal of the returns' scale.
    let returns (visit: IVisit) (scale: ReturnScale) : ReturnScale =
        { Return = visit.Numbers("returns.now", scale.Return)
          Moments = moments "returns" visit scale.Moments }

    /// The observations as the networks see them. obs: [N, O], row-major.
    let normalised (n: NormalisationSettings) (moments: RunningMoments) (obs: float32[]) : float32[] =
        if n.NormaliseObservations then
            RunningMoments.normaliseSingle n.ObservationClip moments obs
        else
            obs

    /// How the networks see observations, as data. The state calls the moments "observations".
    let form (n: NormalisationSettings) (moments: RunningMoments) : FormMoments option =
        if n.NormaliseObservations then
            Some { Leaf = "observations"; Moments = moments; Clip = n.ObservationClip }
        else
            None

    /// The moments once these observations were seen, if they are the first ones: all others are seen when the step that leads to
    /// them is observed.
    let withFirst (n: NormalisationSettings) (obs: float32[]) (moments: RunningMoments) : RunningMoments =
        if n.NormaliseObservations && moments.Count < 1.0 then
            RunningMoments.observe (Array.map float obs) moments
        else
            moments

    /// The moments after a step.
    let observed (n: NormalisationSettings) (t: Transitions) (moments: RunningMoments) : RunningMoments =
        if n.NormaliseObservations then
            withFirst n t.Obs moments |> RunningMoments.observe (Array.map float t.Current)
        else
            moments

    /// Shortens a gradient in place to this length where it is longer; its length before.
    let shorten (most: float option) (gradient: Tensor) : float =
        let norm = Tensors.norm gradient

        match most with
        | Some most when norm > most -> gradient.mul_ (Scalars.ofFloat (most / (norm + 1e-6))) |> ignore
        | _ -> ()

        norm

/// What of a rollout is learned from, in the memory's order, row-major.
[<NoComparison; NoEquality>]
type RolloutColumns =
    {
        /// As the networks see them, [rows, O]
        Obs: float32[]
        /// [rows, A]
        Action: float32[]
        /// As it is learned from, [rows]
        Reward: float32[]
        /// True next observations as the networks see them, [rows, O]
        NextObs: float32[]
        /// What an agent needs beside, by name
        Others: (string * float32[]) list
    }

/// A round of experience and the minibatches dealt out of it.
[<RequireQualifiedAccess>]
module Rollout =
    /// The collecting and updating of a round.
    let rhythm (r: RolloutSettings) : Rhythm =
        { Environments = r.Environments
          VectorSteps = r.VectorSteps
          Updates = RolloutSettings.updates r
          KeepMemory = false
          WarmUp = 0
          // a memory holds at least 15/16 of its capacity
          Capacity = 2 * RolloutSettings.rows r }

    /// Raises InvalidOperationException unless the memory holds one round.
    let check (r: RolloutSettings) (memory: Replay) =
        let rows = RolloutSettings.rows r

        if memory.Count <> rows then
            invalidOp
                $"a round holds {memory.Count} transitions where {rows} were collected: stages must not change the observations of transitions"

    /// Indices 0 .. count - 1 in random order (Fisher, Yates).
    let private shuffled (count: int) (key: Key) : int[] =
        let order = Array.init count id
        let draws = Array.zeroCreate<float32> count
        Philox.Uniform(key.Philox, 0L, Span draws)

        for i in count - 1 .. -1 .. 1 do
            let j = min i (int (float draws[i] * float (i + 1)))
            let kept = order[i]
            order[i] <- order[j]
            order[j] <- kept

        order

    /// The values, advantages and returns of a round, and an order of its entries for each epoch; `entries` a transition are
    /// dealt out to the minibatches. values: V of observations [rows, O] -> [rows].
    let table
        (r: RolloutSettings)
        (discount: float)
        (lambda: float)
        (values: float32[] -> float32[])
        (entries: int)
        (key: Key)
        (memory: Replay)
        (columns: RolloutColumns)
        : RoundTable =
        let value = values columns.Obs
        let struct (terminated, truncated) = Replay.ends memory

        let struct (advantage, returns) =
            Advantage.estimate
                discount
                lambda
                { Environments = r.Environments
                  Reward = Array.map float columns.Reward
                  Value = Array.map float value
                  NextValue = values columns.NextObs |> Array.map float
                  Terminated = terminated
                  Truncated = truncated }

        let count = entries * RolloutSettings.rows r
        let epochs = Key.splitMany r.Epochs key |> Array.map (shuffled count)

        let order =
            Array.init (count * epochs.Length) (fun i ->
                let epoch = epochs[i % epochs.Length]
                float32 epoch[i / epochs.Length])

        let own =
            [ "obs", columns.Obs
              "action", columns.Action
              "reward", columns.Reward
              "nextObs", columns.NextObs
              "terminated", Array.map (fun ended -> if ended then 1.0f else 0.0f) terminated
              "advantage", Array.map float32 advantage
              "return", Array.map float32 returns
              "value", value
              // entry i of epoch k
              "order", order ]

        { Memory = memory; Columns = Map(own @ columns.Others) }

    /// The entries of an update of the round, counted from 0.
    let dealt (r: RolloutSettings) (table: RoundTable) (minibatch: int64) : int[] =
        let order = table.Columns["order"]
        let size = order.Length / r.Epochs / r.Minibatches
        let epoch, part = int minibatch / r.Minibatches, int minibatch % r.Minibatches
        Array.init size (fun b -> int order[(part * size + b) * r.Epochs + epoch])

    /// Lines of a column, each of this width.
    let lines (name: string) (width: int) (rows: int[]) (table: RoundTable) : float32[] =
        let from = table.Columns[name]
        let gathered = Array.zeroCreate<float32>(rows.Length * width)

        for b in 0 .. rows.Length - 1 do
            from.AsSpan(rows[b] * width, width).CopyTo(gathered.AsSpan(b * width))

        gathered

    /// Entries of a column of single numbers.
    let numbers (name: string) (rows: int[]) (table: RoundTable) : float[] =
        let column = table.Columns[name]
        rows |> Array.map (fun row -> float column[row])

    /// The transitions of these rows.
    let batch (compute: Compute) (space: Space) (rows: int[]) (table: RoundTable) : Batch =
        let tensor name width = lines name width rows table |> Tensors.ofArray compute [ rows.Length; width ]
        let scalars name = tensor name 1 |> Tensors.view [ rows.Length ]

        { Obs = tensor "obs" space.ObsDim
          Action = tensor "action" space.ActionDim
          Reward = scalars "reward"
          NextObs = tensor "nextObs" space.ObsDim
          Terminated = scalars "terminated" }
