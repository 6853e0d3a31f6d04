namespace Sdac.Functional

open System.Collections.Generic

/// What an action is for.
[<RequireQualifiedAccess>]
type Purpose =
    /// A training environment: with exploration.
    | Explore
    /// An evaluation.
    | Evaluate

/// Actions, and what is to be stored beside the transitions that they lead to.
[<NoComparison; NoEquality>]
type Acted =
    {
        /// [N, A], in [-1, 1] (beyond is left to the task)
        Action: Tensor
        /// One tensor [N, width] for each of the agent's `Extras`, in their order; those that only the step tells are left to
        /// `Observe`
        Extras: Tensor list
    }

/// When an agent collects and when it learns.
type Rhythm =
    {
        /// Environments stepped together
        Environments: int
        /// Steps of all environments in a round
        VectorSteps: int
        /// Updates in a round
        Updates: int
        /// The memory grows over the rounds (replay); otherwise each round begins with an empty one (rollout)
        KeepMemory: bool
        /// Uniform random transitions before the first round
        WarmUp: int
        /// Transitions kept
        Capacity: int
    }

/// After an update: on with the round, or to the next one (PPO's stop by its KL divergence).
[<RequireQualifiedAccess>]
type Verdict =
    | Continue
    | EndOfRound

/// What a round's updates draw from: the memory, and what `Prepare` has computed for its rows.
[<NoComparison; NoEquality>]
type RoundTable =
    {
        Memory: Replay
        /// By name, [rows, width] row-major, rows in the memory's order
        Columns: Map<string, float32[]>
    }

/// The keys of one update, each for one use.
[<Struct>]
type UpdateKeys =
    {
        /// Which rows make the batch
        Batch: Key
        /// All other random numbers of the update
        Noise: Key
    }

/// The figures of an update by name. One that the update did not touch (the policy's loss where the policy rests) is absent.
type Figures = Map<string, float>

/// How often a quantity fell into each bucket.
type Tally = { Quantity: string; Counts: int64[] }

/// What an update comes to.
[<NoComparison; NoEquality>]
type Finished<'state> =
    {
        State: 'state
        Figures: Figures
        /// Distributions seen in this update, by the agent's `Distributions`
        Tallies: Tally list
        Verdict: Verdict
    }

/// A distribution that an agent's updates tally.
[<NoComparison; NoEquality>]
type DistributionInfo =
    {
        Quantity: string
        /// Bucket i holds values from edge i to edge i + 1
        Edges: float[]
        /// Empty buckets at either end are left out where it is written down
        Trimmed: bool
    }

/// An algorithm at work on a task: pure functions over its state and over the work of one update. Networks and settings are
/// closed over. The state's tensors belong to whoever holds it; those that two states share are freed once (`Parts`).
[<NoComparison; NoEquality; StructuredFormatDisplay("{Display}")>]
type Agent<'state, 'work> =
    {
        Compute: Compute
        Space: Space
        Rhythm: Rhythm
        /// What is stored beside each transition: names, and numbers per row
        Extras: (string * int) list
        Distributions: DistributionInfo list
        /// Fresh networks. The caller owns the tensors.
        Init: Key -> 'state
        Parts: Parts<'state>
        /// obs: [N, O]
        Act: Purpose -> 'state -> Key -> Tensor -> Acted
        /// What `Act` does in evaluations, as data, for programs without this library; where it is no such thing, a sentence that says
        /// so and what to do
        Form: 'state -> Result<PolicyForm, string>
        /// After each vector step, before it is stored: running moments of observations and returns, and what is stored. The
        /// observations must stay as they are, or the memory sees a new beginning in every step.
        Observe: Transitions -> 'state -> struct ('state * Transitions)
        /// Once per round, after collecting: values, advantages, the order of the rows
        Prepare: Key -> Replay -> 'state -> struct ('state * RoundTable)
        /// The batch and all random numbers of an update
        Begin: RoundTable -> UpdateKeys -> 'state -> 'work
        /// Changes the transitions that an update learns from
        OnBatch: (Batch -> Batch) -> 'work -> 'work
        /// The update's parts in their order, by the names that a user composes and times them by
        Stages: (string * ('work -> 'work)) list
        /// The new state owns the tensors that it does not share with the one that the update began with. Raises
        /// InvalidOperationException where a stage that the update needs has not run.
        Finish: 'work -> Finished<'state>
    }

    /// One line for a session.
    member agent.Display =
        let stages = agent.Stages |> List.map fst |> String.concat " >> "
        $"agent for %d{agent.Space.ObsDim} observations and %d{agent.Space.ActionDim} actions: {stages}"

/// For the stages of an update.
[<RequireQualifiedAccess>]
module Stages =
    /// Raises InvalidOperationException: a stage that another one needs has not run before it.
    let lacks (stage: string) (what: string) (missing: string) : 'a =
        invalidOp $"the stage {stage} needs {what}: put `{missing}` before it in the pipeline"

[<RequireQualifiedAccess>]
module Agent =
    /// `Prepare` of an agent that draws from the memory as it is.
    let drawFromMemory (_: Key) (memory: Replay) (state: 'state) : struct ('state * RoundTable) =
        struct (state, { Memory = memory; Columns = Map.empty })

    /// `Observe` of an agent that keeps no moments.
    let observeNothing (transitions: Transitions) (state: 'state) : struct ('state * Transitions) =
        struct (state, transitions)

    /// `Observe` of an agent that keeps no moments, and that may take time limits for terminations as some papers' codes do: no
    /// bootstrap behind them.
    let observeLimits (terminate: bool) (transitions: Transitions) (state: 'state) : struct ('state * Transitions) =
        if terminate then
            struct (state,
                    { transitions with Terminated = Array.map2 (||) transitions.Terminated transitions.Truncated })
        else
            struct (state, transitions)

    /// The collecting of an off-policy agent: one vector step, then so many updates.
    let offPolicy (d: DataSettings) : Rhythm =
        { Environments = d.Environments
          VectorSteps = 1
          Updates = d.UpdatesPerStep
          KeepMemory = true
          WarmUp = d.WarmUp
          Capacity = d.BufferCapacity }
