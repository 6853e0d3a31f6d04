namespace Sdac.Functional

open TorchSharp

/// One round of collecting and updating, the same for off-policy and on-policy agents.
[<RequireQualifiedAccess>]
module Round =
    // Names for the independent streams under the root key.
    let private initStream, resetStream, warmUpStream, iterationStream = 0L, 1L, 2L, 3L
    let private stream id (step: Step<'s, 'w>) = Key.foldIn id step.Key

    /// The streams of an iteration that can be given another seed: acting, drawing the batch, the update's other numbers, and what
    /// the round prepares (PPO's order of the rows).
    let streams = [ "act"; "batch"; "noise"; "prepare" ]

    /// The keys of an iteration, each for one use: acting in the round's first vector step, the batch, the update's other
    /// numbers, acting in the further vector steps, and what the round prepares.
    let private key (name: string) (index: int) (step: Step<'s, 'w>) : Key =
        let own = stream iterationStream step |> Key.foldIn step.Iteration |> Key.at index

        match Map.tryFind name step.Reseeded with
        | Some seed -> Key.foldIn seed own
        | None -> own

    let private actKey (step: Step<'s, 'w>) = key "act" (if step.VectorStep = 0 then 0 else 2 + step.VectorStep) step

    let private updateKeys (step: Step<'s, 'w>) = { Batch = key "batch" 1 step; Noise = key "noise" 2 step }
    let private prepareKey (step: Step<'s, 'w>) = key "prepare" (2 + step.Agent.Rhythm.VectorSteps) step

    // ---- what a step owns

    /// The traversal of an agent's state and of the stages' own, these as "own.STAGE.LEAF". What a stage has not asked for
    /// yet is not visited.
    let parts (agent: Agent<'s, 'w>) : Parts<struct ('s * Map<string, Own>)> =
        let own: Parts<Map<string, Own>> =
            fun visit ->
                Map.map (fun stage own ->
                    match own with
                    | Live state -> Live(state.Visit(Parts.below $"own.{stage}" visit))
                    | saved -> saved)

        Parts.pair agent.Parts own

    let private owned (step: Step<'s, 'w>) = struct (step.State, step.Own)

    /// The tensors of a step that another does not hold.
    let tensorsNotIn (other: Step<'s, 'w>) (step: Step<'s, 'w>) : Tensor list =
        Parts.tensorsNotIn (parts step.Agent) (owned other) (owned step)

    /// Every tensor of a step.
    let tensors (step: Step<'s, 'w>) : Tensor list = Parts.tensors (parts step.Agent) (owned step)

    /// Frees the tensors of a step.
    let disposeState (step: Step<'s, 'w>) = Parts.dispose (parts step.Agent) (owned step)

    /// Frees the tensors of a step and its environments.
    let dispose (step: Step<'s, 'w>) =
        disposeState step
        (step.Environment :> System.IDisposable).Dispose()

    // ---- the beginning

    /// The beginning of a run: fresh networks, reset environments, an empty memory.
    let init (agent: Agent<'s, 'w>) (environment: Environment) (seed: int64) : Step<'s, 'w> =
        let key = Key.ofSeed seed
        let states = Environment.reset (Key.foldIn resetStream key) environment
        let { ObsDim = obsDim; ActionDim = actionDim } = agent.Space

        { Agent = agent
          Environment = environment
          EnvStates = states
          Obs = Environment.obs states
          Memory =
            Replay.createWith (List.map snd agent.Extras) environment.Count obsDim actionDim agent.Rhythm.Capacity
          Table = None
          State = agent.Init(Key.foldIn initStream key)
          Own = Map.empty
          Key = key
          Reseeded = Map.empty
          Iteration = 0L
          EnvSteps = 0L
          VectorStep = 0
          Acted = None
          Transitions = None
          Work = None
          Episodes = []
          Figures = None
          Tallies = []
          Trail = []
          Around = fun _ stage -> stage }

    /// The beginning of an experiment. The caller disposes the environment and the state.
    let start (e: Experiment<'c, 's, 'w>) : Step<'s, 'w> =
        let compute = Compute.create e.Device e.Kernels
        let environment = Environment.createFrom e.Tasks e.Task e.TaskOptions (Experiment.rhythm e).Environments

        try
            let space = { ObsDim = environment.ObsDim; ActionDim = environment.ActionDim }
            init (Experiment.agent compute space e) environment e.Seed
        with _ ->
            (environment :> System.IDisposable).Dispose()
            reraise ()

    // ---- stages

    /// A stage with a name: it appears in the run's trail, which spec.json keeps and a resume compares, and in its timings.
    let stage (name: string) (f: Stage<'s, 'w>) : Stage<'s, 'w> =
        fun step -> step.Around name f { step with Trail = name :: step.Trail }

    /// Chooses the actions of a vector step, with exploration.
    let act (step: Step<'s, 'w>) : Step<'s, 'w> =
        let obs =
            Tensors.ofArray step.Agent.Compute [ step.Environment.Count; step.Agent.Space.ObsDim ] step.Obs

        { step with Acted = Some(step.Agent.Act Purpose.Explore step.State (actKey step) obs) }

    /// Steps every environment once with the given actions in [-1, 1] (beyond is left to the task).
    let private stepped (action: float32[]) (extras: float32[] list) (step: Step<'s, 'w>) : Step<'s, 'w> =
        let outcome = Environment.step action step.EnvStates step.Environment

        { step with
            EnvStates = outcome.States
            Obs = outcome.Current
            Acted = None
            Transitions =
                Some
                    { Obs = step.Obs
                      Action = action
                      Reward = outcome.Reward
                      Terminated = outcome.Terminated
                      Truncated = outcome.Truncated
                      NextObs = outcome.NextObs
                      Current = outcome.Current
                      Extras = extras }
            Episodes = step.Episodes @ [ for struct (_, episode) in outcome.Ended -> episode ] }

    /// Steps every environment once with the actions chosen.
    let advance (step: Step<'s, 'w>) : Step<'s, 'w> =
        match step.Acted with
        | Some acted ->
            let step = stepped (Tensors.toArray acted.Action) (List.map Tensors.toArray acted.Extras) step
            { step with EnvSteps = step.EnvSteps + int64 step.Environment.Count }
        | None -> Stages.lacks "advance" "actions" "act"

    /// Lets the agent see the transitions, and appends what it makes of them to the memory.
    let remember (step: Step<'s, 'w>) : Step<'s, 'w> =
        match step.Transitions with
        | Some transitions ->
            let struct (state, stored) = step.Agent.Observe transitions step.State

            { step with Memory = Replay.append stored step.Memory; State = state; Transitions = None }
        | None -> Stages.lacks "remember" "transitions" "advance"

    /// Draws the batch and the random numbers of this iteration's update.
    let draw (step: Step<'s, 'w>) : Step<'s, 'w> =
        let struct (state, table) =
            match step.Table with
            | Some table -> struct (step.State, table)
            | None -> step.Agent.Prepare (prepareKey step) step.Memory step.State

        { step with
            State = state
            Table = Some table
            Work = Some(step.Agent.Begin table (updateKeys step) state) }

    /// Is this iteration the first of a round?
    let begins (step: Step<'s, 'w>) = step.Iteration % int64 step.Agent.Rhythm.Updates = 0L

    /// At the beginning of a round the vector steps: act, advance, what `inner` makes of the transitions, remember. Then the
    /// batch and the random numbers of this iteration's update.
    let collectWith (inner: Stage<'s, 'w>) : Stage<'s, 'w> =
        stage "collect" (fun step ->
            let rhythm = step.Agent.Rhythm

            let vectorStep step j = { step with VectorStep = j } |> act |> advance |> inner |> remember

            if begins step then
                let memory = if rhythm.KeepMemory then step.Memory else Replay.cleared step.Memory

                [ 0 .. rhythm.VectorSteps - 1 ]
                |> List.fold vectorStep { step with Memory = memory; Table = None }
                |> draw
            else
                // there are no transitions to change, but the trail is the same in all iterations
                inner step |> draw)

    /// Acts in the environments, remembers the transitions, draws the batch and the random numbers of this iteration's update.
    let collect (step: Step<'s, 'w>) : Step<'s, 'w> = collectWith id step

    /// A stage that changes the update under way.
    let onWork (name: string) (f: 'w -> 'w) : Stage<'s, 'w> =
        stage name (fun step ->
            match step.Work with
            | Some work -> { step with Work = Some(f work) }
            | None ->
                invalidOp
                    $"the stage {name} needs a batch: put `collect` (or a stage that sets Work) before it in the pipeline")

    /// The agent's own pipeline: `collect`, then its stages.
    let standard (agent: Agent<'s, 'w>) : Stage<'s, 'w> =
        agent.Stages |> List.map (fun (name, f) -> onWork name f) |> List.fold (>>) collect

    /// The trail of the agent's own pipeline.
    let standardTrail (agent: Agent<'s, 'w>) : string list = "collect" :: List.map fst agent.Stages

    // ---- iterations

    /// The iteration at which the round of iteration `i` is over.
    let private endOfRound (agent: Agent<'s, 'w>) (i: int64) =
        let updates = int64 agent.Rhythm.Updates
        (i / updates + 1L) * updates

    let private finish (step: Step<'s, 'w>) (work: 'w) : Step<'s, 'w> =
        let finished = step.Agent.Finish work

        { step with
            State = finished.State
            Work = None
            Figures = Some finished.Figures
            Tallies = finished.Tallies
            Iteration =
                match finished.Verdict with
                | Verdict.Continue -> step.Iteration + 1L
                | Verdict.EndOfRound -> endOfRound step.Agent step.Iteration }

    /// One iteration of the given stages. Tensors made on the way are freed; those of the new state belong to the caller,
    /// shared with the old state where nothing moved.
    let iterate (stages: Stage<'s, 'w>) (step: Step<'s, 'w>) : Step<'s, 'w> =
        Tensors.owning (tensorsNotIn step) (fun () ->
            let worked = stages { step with Episodes = []; Tallies = []; Work = None; Trail = [] }

            match worked.Work with
            | None -> { worked with Iteration = step.Iteration + 1L }
            | Some work -> finish worked work)

    /// `iterate`, and frees what the new state has replaced: for a loop that owns the old state.
    let consume (stages: Stage<'s, 'w>) (step: Step<'s, 'w>) : Step<'s, 'w> =
        let next = iterate stages step

        for tensor in tensorsNotIn next step do
            tensor.Dispose()

        next

    /// The names of the stages that an iteration passes, in their order. Nothing is changed; the memory must be warm.
    let trail (stages: Stage<'s, 'w>) (step: Step<'s, 'w>) : string list =
        let next = iterate stages step

        for tensor in tensorsNotIn step next do
            tensor.Dispose()

        List.rev next.Trail

    // ---- warm-up and whole runs

    /// Has the memory as many random transitions as the agent asks for?
    let isWarm (step: Step<'s, 'w>) = step.Memory.Total >= int64 step.Agent.Rhythm.WarmUp

    /// One vector step with uniform random actions, before the first update.
    let warmUp (step: Step<'s, 'w>) : Step<'s, 'w> =
        use scope = torch.NewDisposeScope()
        let count = step.Environment.Count

        let action =
            stream warmUpStream step
            |> Key.foldIn step.Memory.Total
            |> Key.uniform Compute.cpu [ count * step.Agent.Space.ActionDim ]
            |> Tensors.toArray
            |> Array.map (fun u -> 2.0f * u - 1.0f)

        let nothing = [ for _, width in step.Agent.Extras -> Array.zeroCreate (count * width) ]
        stepped action nothing { step with Episodes = [] } |> remember

    /// Random transitions until the memory is warm.
    let rec warm (step: Step<'s, 'w>) : Step<'s, 'w> = if isWarm step then step else warm (warmUp step)

    /// A whole experiment: warm-up, then all iterations; the last step (the caller disposes it) and the episodes with the
    /// environment steps after which they ended. No files, no output: the Experiments layer adds those around `iterate`.
    /// Raises ArithmeticException when a loss or a gradient is no longer finite.
    let run (stages: Stage<'s, 'w>) (e: Experiment<'c, 's, 'w>) : struct (Step<'s, 'w> * (int64 * Episode) list) =
        let mutable step = start e
        let episodes = ResizeArray()

        try
            step <- warm step

            while step.Iteration < e.Iterations do
                step <- consume stages step
                episodes.AddRange(step.Episodes |> Seq.map (fun episode -> step.EnvSteps, episode))

                match step.Figures |> Option.bind (Algorithm.firstNotFinite e.Algorithm.Figures) with
                | Some(title, value) ->
                    raise (
                        System.ArithmeticException
                            $"{title} is {string value} at iteration {step.Iteration} on {e.Task}"
                    )
                | None -> ()

            struct (step, List.ofSeq episodes)
        with _ ->
            dispose step
            reraise ()
