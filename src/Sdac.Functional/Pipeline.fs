namespace Sdac.Functional

open System

/// An iteration as a composition of pure stages, `collect >> evaluateQ >> reverseSample >> rssmUpdate`, and what it takes to
/// write one's own.
[<RequireQualifiedAccess>]
module Pipeline =
    // ---- the stages of this library's algorithms

    /// Acts in the environments, remembers the transitions, draws the batch and the random numbers of the update.
    let collect (step: Step<'s, 'w>) : Step<'s, 'w> = Round.collect step

    /// The same with a stage of one's own between stepping the environments and remembering: `onTransitions`.
    let collectWith (inner: Stage<'s, 'w>) : Stage<'s, 'w> = Round.collectWith inner

    let private ofUpdate name stage : Stage<ActorCriticState, Update> = Round.onWork name stage

    /// Critic step: a' by reverse sampling on next_obs, targets, one Adam step of both critics.
    let evaluateQ = ofUpdate "evaluateQ" ActorCritic.evaluateQ

    /// New actions on obs by reverse sampling, where the policy moves.
    let reverseSample = ofUpdate "reverseSample" ActorCritic.reverseSample

    /// The RSSM step of the policy, the targets' moving averages and the temperature.
    let rssmUpdate = ofUpdate "rssmUpdate" (Sdac.inOrder >> Sdac.rssmUpdate)

    /// DPMD's step of the policy on the actions a' of evaluateQ, the targets' moving averages and the temperature.
    let mirrorDescent = ofUpdate "mirrorDescent" (Dpmd.inOrder >> Dpmd.mirrorDescent)

    /// SDAC's iteration.
    let sdac: Stage<ActorCriticState, Update> = collect >> evaluateQ >> reverseSample >> rssmUpdate

    /// DPMD's iteration.
    let dpmd: Stage<ActorCriticState, Update> = collect >> evaluateQ >> mirrorDescent

    /// The iteration of whatever algorithm the step is of.
    let standard (step: Step<'s, 'w>) : Step<'s, 'w> = Round.standard step.Agent step

    // ---- stages of one's own

    /// A stage with a name: it appears in the run's trail, which a resume compares, and in its timings.
    let stage (name: string) (f: Stage<'s, 'w>) : Stage<'s, 'w> = Round.stage name f

    /// A stage behind `collect` that changes the transitions which an update learns from, whatever the algorithm.
    let onBatch (name: string) (f: Batch -> Batch) : Stage<'s, 'w> =
        stage name (fun step -> { step with Work = Option.map (step.Agent.OnBatch f) step.Work })

    /// A stage for `collectWith` that changes transitions before they are remembered, whatever the algorithm.
    let onTransitions (name: string) (f: Transitions -> Transitions) : Stage<'s, 'w> =
        stage name (fun step -> { step with Transitions = Option.map f step.Transitions })

    let private ownOf (name: string) (parts: Parts<'own>) (initial: unit -> 'own) (step: Step<'s, 'w>) : 'own =
        match Map.tryFind name step.Own with
        | Some(Live(:? OwnState<'own> as own)) -> own.Value
        | Some(Saved visit) -> parts visit (initial ())
        | None -> initial ()
        | Some(Live _) ->
            invalidOp $"two stages are called '{name}' and keep state of different types: give one of them another name"

    /// A stage with a state of its own, which is saved and resumed with the run: `parts` is its traversal, `initial` where it
    /// begins (made anew for each use: tensors in it belong to the run).
    let withState
        (name: string)
        (parts: Parts<'own>)
        (initial: unit -> 'own)
        (f: 'own -> Step<'s, 'w> -> struct ('own * Step<'s, 'w>))
        : Stage<'s, 'w> =
        stage name (fun step ->
            let struct (own, step) = f (ownOf name parts initial step) step
            { step with Own = Map.add name (Live(OwnState(own, parts))) step.Own })

    // ---- running

    /// The beginning of an experiment. The caller disposes it.
    let start (e: Experiment<'c, 's, 'w>) : Step<'s, 'w> = Round.start e

    /// Random transitions until the memory is warm.
    let warm (step: Step<'s, 'w>) : Step<'s, 'w> = Round.warm step

    /// One iteration of the given stages; the new step shares with the old one what did not move.
    let iterate (stages: Stage<'s, 'w>) (step: Step<'s, 'w>) : Step<'s, 'w> = Round.iterate stages step

    /// `iterate`, and frees what the new state has replaced: for a loop that owns the old state.
    let consume (stages: Stage<'s, 'w>) (step: Step<'s, 'w>) : Step<'s, 'w> = Round.consume stages step

    /// Frees the step's tensors and its environments.
    let dispose (step: Step<'s, 'w>) : unit = Round.dispose step

    /// A whole experiment without files or output: the last step (the caller disposes it) and the episodes with the
    /// environment steps after which they ended.
    let run (stages: Stage<'s, 'w>) (e: Experiment<'c, 's, 'w>) : struct (Step<'s, 'w> * (int64 * Episode) list) =
        Round.run stages e
