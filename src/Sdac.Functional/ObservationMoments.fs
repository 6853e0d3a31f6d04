namespace Sdac.Functional

open System.Collections.Generic

/// What options put around a task (`Sdac.Environments.WrapperOptions`).
[<RequireQualifiedAccess>]
module TaskWrappers =
    /// Those among a task's options.
    let chosen (task: string) (options: Map<string, string>) : Sdac.Environments.WrapperOptions =
        Sdac.Environments.Wrappers.Parse(
            task,
            options |> Seq.map (fun option -> KeyValuePair(option.Key, (box option.Value: obj | null)))
        )

/// An agent's state with the running moments of the observations that training has acted on.
type Observing<'state> = { Inner: 'state; Observations: RunningMoments }

/// An update of such an agent.
[<NoComparison; NoEquality>]
type ObservingWork<'work> = { Update: 'work; Moments: RunningMoments }

/// Observations normalised by running moments: what the option `observation_moments` puts between a task and its learner. The
/// memory keeps observations as they are; the networks see clip((s - mean)/√(variance + 1e-8), ±10) with the moments of now, in
/// acting, learning and evaluations. The moments are part of the agent's state: checkpoints hold them.
[<RequireQualifiedAccess>]
module ObservationMoments =
    [<Literal>]
    let Option = "observation_moments"

    /// What normalised observations are clipped to.
    [<Literal>]
    let Limit = 10.0

    /// Do a task's options ask for it?
    let isAsked (task: string) (options: Map<string, string>) : bool =
        (TaskWrappers.chosen task options).ObservationMoments

    /// Is this the state of an agent that does it?
    let isIn (state: System.Type) : bool =
        state.IsGenericType && state.GetGenericTypeDefinition() = typedefof<Observing<_>>

    let private parts (inner: Parts<'state>) : Parts<Observing<'state>> =
        fun visit s ->
            { Inner = inner visit s.Inner
              Observations = Parts.moments "observationMoments" visit s.Observations }

    let private shown (compute: Compute) (moments: RunningMoments) (obs: Tensor) : Tensor =
        Tensors.toArray obs
        |> RunningMoments.normaliseSingle Limit moments
        |> Tensors.ofArray compute (Tensors.shape obs)

    /// The agent with its observations normalised. Raises ArgumentException for one that keeps no memory: such agents normalise by
    /// settings of their own.
    let agent (inner: Agent<'s, 'w>) : Agent<Observing<'s>, ObservingWork<'w>> =
        if not inner.Rhythm.KeepMemory then
            invalidArg
                (nameof inner)
                $"{Option} is for algorithms with a replay memory; this one normalises observations by its own setting normaliseObservations: leave the option out"

        { Compute = inner.Compute
          Space = inner.Space
          Rhythm = inner.Rhythm
          Extras = inner.Extras
          Distributions = inner.Distributions
          Init = fun key -> { Inner = inner.Init key; Observations = RunningMoments.empty inner.Space.ObsDim }
          Parts = parts inner.Parts
          Act =
            fun purpose state key obs -> inner.Act purpose state.Inner key (shown inner.Compute state.Observations obs)
          Form =
            fun state ->
                inner.Form state.Inner
                |> Result.map (fun form ->
                    { form with
                        Moments = Some { Leaf = "observationMoments"; Moments = state.Observations; Clip = Limit } })
          Observe =
            fun transitions state ->
                let struct (next, stored) = inner.Observe transitions state.Inner
                let seen = RunningMoments.observe (Array.map float transitions.Obs) state.Observations
                struct ({ Inner = next; Observations = seen }, stored)
          Prepare =
            fun key memory state ->
                let struct (next, table) = inner.Prepare key memory state.Inner
                struct ({ state with Inner = next }, table)
          Begin =
            fun table keys state ->
                let memory = Replay.normalised Limit state.Observations table.Memory

                { Update = inner.Begin { table with Memory = memory } keys state.Inner
                  Moments = state.Observations }
          OnBatch = fun change work -> { work with Update = inner.OnBatch change work.Update }
          Stages = [ for name, stage in inner.Stages -> name, (fun work -> { work with Update = stage work.Update }) ]
          Finish =
            fun work ->
                let finished = inner.Finish work.Update

                { State = { Inner = finished.State; Observations = work.Moments }
                  Figures = finished.Figures
                  Tallies = finished.Tallies
                  Verdict = finished.Verdict } }

    /// The algorithm with its observations normalised, under the same name.
    let around (algorithm: Algorithm<'c, 's, 'w>) : Algorithm<'c, Observing<'s>, ObservingWork<'w>> =
        { Name = algorithm.Name
          Title = algorithm.Title
          Published = algorithm.Published
          Added = algorithm.Added
          Presets = algorithm.Presets
          Problems = algorithm.Problems
          Figures = algorithm.Figures
          Describe = algorithm.Describe
          Agent = fun compute space horizon config -> agent (algorithm.Agent compute space horizon config) }

    /// The algorithm as a task's options ask for it.
    let forTask (task: string) (options: Map<string, string>) (algorithm: IAlgorithm) : IAlgorithm =
        if isAsked task options then
            { new IAlgorithm with
                member _.Name = algorithm.Name
                member _.Title = algorithm.Title

                member _.Open visitor =
                    algorithm.Open
                        { new IOpen<_> with
                            member _.Open algorithm = visitor.Open(around algorithm) } }
        else
            algorithm

/// Rewards multiplied between a task and its learner: what the option `reward_scale` does. Returns are told as the task has them.
[<RequireQualifiedAccess>]
module RewardScale =
    /// What a task's options ask for.
    let asked (task: string) (options: Map<string, string>) : float = (TaskWrappers.chosen task options).RewardScale

    /// The agent, who sees and remembers rewards multiplied by `scale`.
    let agent (scale: float) (agent: Agent<'s, 'w>) : Agent<'s, 'w> =
        if scale = 1.0 then
            agent
        else
            { agent with
                Observe =
                    fun transitions state ->
                        let scaled = transitions.Reward |> Array.map (fun reward -> float32 (scale * float reward))
                        agent.Observe { transitions with Reward = scaled } state }
