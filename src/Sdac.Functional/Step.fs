namespace Sdac.Functional

/// State of a stage of the user's own, whatever its type.
type IOwnState =
    abstract Visit: IVisit -> IOwnState

/// State of a stage of the user's own.
[<Sealed>]
type OwnState<'a>(value: 'a, parts: Parts<'a>) =
    member _.Value = value

    interface IOwnState with
        member _.Visit visit = OwnState(parts visit value, parts)

/// A stage's own state: at work, or in a checkpoint until the stage asks for it.
[<NoComparison; NoEquality>]
type Own =
    | Live of IOwnState
    | Saved of IVisit

/// A training run between two stages: everything that is known, as one immutable value. An iteration is one update; the first
/// of a round steps the environments before it. `Around` is what a runner wraps each named stage in (a clock): it changes
/// nothing of the result.
[<NoComparison; NoEquality; StructuredFormatDisplay("{Display}")>]
type Step<'state, 'work> =
    {
        Agent: Agent<'state, 'work>
        Environment: Environment
        EnvStates: EnvStates
        /// What the next actions are chosen on, [N, O]: narrowed to float32 once per vector step and carried
        Obs: float32[]
        Memory: Replay
        /// What this round's updates draw from; None before the first round
        Table: RoundTable option
        State: 'state
        /// By the names of the stages
        Own: Map<string, Own>
        /// The root of all randomness; iteration i uses `Key.foldIn i`
        Key: Key
        /// Other seeds for some of an iteration's streams (`Round.streams`), by their names: a branch of a run whose randomness differs
        /// in them alone
        Reseeded: Map<string, int64>
        /// Iterations done; those that a round leaves out count as done
        Iteration: int64
        /// Environment steps taken by the policy (the random warm-up is not counted)
        EnvSteps: int64
        /// The vector step of this round that is under way
        VectorStep: int
        /// Between `act` and `advance`
        Acted: Acted option
        /// Between `advance` and `remember`
        Transitions: Transitions option
        /// The update under way; None between iterations
        Work: 'work option
        /// Episodes that ended in this iteration
        Episodes: Episode list
        /// Of the last update
        Figures: Figures option
        /// Of this iteration's update
        Tallies: Tally list
        /// The named stages that this iteration has passed, the last one first
        Trail: string list
        Around: string -> (Step<'state, 'work> -> Step<'state, 'work>) -> Step<'state, 'work> -> Step<'state, 'work>
    }

    /// A few lines for a session: where the run stands, and the figures of its last update.
    member step.Display =
        let figures =
            match step.Figures with
            | Some figures -> [ for KeyValue(name, value) in figures -> $"{name} %.4g{value}" ] |> String.concat ", "
            | None -> "none yet"

        let place =
            $"iteration %d{step.Iteration}, %d{step.EnvSteps} environment steps of {step.Environment.Task}"

        $"{place}, %d{step.Memory.Count} transitions in memory; last update: {figures}"

/// One stage of an iteration: collect, evaluateQ, reverseSample, rssmUpdate, mirrorDescent, or the user's own.
type Stage<'state, 'work> = Step<'state, 'work> -> Step<'state, 'work>
