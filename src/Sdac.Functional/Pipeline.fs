namespace Sdac

open TorchSharp

/// A training run between two stages: everything that is known, as one immutable value. An iteration is one update (and
/// every UpdatesPerStep-th iteration steps the environments first).
[<NoComparison; NoEquality>]
type Step =
    {
        Model: Model
        Environment: Environment
        EnvStates: EnvStates
        Replay: Replay
        State: TrainState
        /// The root of all randomness; iteration i uses `Key.foldIn i`
        Key: Key
        /// Iterations done
        Iteration: int64
        /// Environment steps taken by the policy (the random warm-up is not counted)
        EnvSteps: int64
        /// The update under way; None between iterations
        Update: Update option
        /// Episodes that ended in this iteration
        Episodes: Episode list
        /// Of the last update
        Metrics: Metrics option
    }

/// One stage of an iteration: collect, evaluateQ, reverseSample, rssmUpdate, mirrorDescent, or the user's own.
type Stage = Step -> Step

/// An iteration as a composition of pure stages: `collect >> evaluateQ >> reverseSample >> rssmUpdate`.
[<RequireQualifiedAccess>]
module Pipeline =
    // Names for the independent streams under the root key.
    let private initStream, resetStream, warmUpStream, iterationStream = 0L, 1L, 2L, 3L
    let private stream id (step: Step) = Key.foldIn id step.Key
    let private iterationKey (step: Step) = stream iterationStream step |> Key.foldIn step.Iteration

    /// The beginning of a run: fresh networks, reset environments, an empty memory.
    let init (model: Model) (environment: Environment) (seed: int64) : Step =
        let key = Key.ofSeed seed
        let c = model.Config

        { Model = model
          Environment = environment
          EnvStates = Environment.reset (Key.foldIn resetStream key) environment
          Replay = Replay.create environment.Count model.ObsDim model.ActionDim c.BufferCapacity
          State = TrainState.init model (Key.foldIn initStream key)
          Key = key
          Iteration = 0L
          EnvSteps = 0L
          Update = None
          Episodes = []
          Metrics = None }

    /// The beginning of an experiment. The caller disposes the environment and the state.
    let start (e: Experiment) : Step =
        let compute = Compute.create e.Device e.Kernels
        let environment = Environment.create e.Task e.TaskOptions e.Config.Environments

        try
            let model = Model.create compute environment.ObsDim environment.ActionDim e.Config
            init model environment e.Seed
        with _ ->
            (environment :> System.IDisposable).Dispose()
            reraise ()

    /// Steps every environment once with the given actions in [-1, 1] (beyond is left to the task) and remembers it.
    let advance (action: float32[]) (step: Step) : Step =
        let outcome = Environment.step action step.EnvStates step.Environment

        let transitions =
            { Obs = Environment.obs step.EnvStates
              Action = action
              Reward = outcome.Reward
              Terminated = outcome.Terminated
              Truncated = outcome.Truncated
              NextObs = outcome.NextObs
              Current = Environment.obs outcome.States }

        { step with
            EnvStates = outcome.States
            Replay = Replay.append transitions step.Replay
            Episodes = step.Episodes @ [ for struct (_, episode) in outcome.Ended -> episode ] }

    /// Has the memory as many random transitions as the settings ask for?
    let isWarm (step: Step) = step.Replay.Total >= int64 step.Model.Config.WarmUp

    /// One vector step with uniform random actions, before the first update.
    let warmUp (step: Step) : Step =
        use scope = torch.NewDisposeScope()
        let count = step.Environment.Count * step.Model.ActionDim

        let action =
            stream warmUpStream step
            |> Key.foldIn step.Replay.Total
            |> Key.uniform Compute.cpu [ count ]
            |> Tensors.toArray
            |> Array.map (fun u -> 2.0f * u - 1.0f)

        advance action { step with Episodes = [] }

    /// Acts in the environments with the averaged policy, best of N plus exploration; remembers the transitions; draws
    /// the batch and the random numbers of this iteration's update.
    let collect: Stage =
        fun step ->
            let model, c = step.Model, step.Model.Config
            let keys = Key.splitMany 3 (iterationKey step)

            let step =
                if step.Iteration % int64 c.UpdatesPerStep <> 0L then
                    step
                else
                    let obs =
                        Tensors.ofArray
                            model.Compute
                            [ step.Environment.Count; model.ObsDim ]
                            (Environment.obs step.EnvStates)

                    let exploration = c.NoiseScale * step.State.Temperature.Lambda
                    let particles = Config.behaviourParticles c

                    let action =
                        Sdac.act model step.State.TargetPolicy step.State particles exploration (Drawn keys[0]) obs
                        |> Tensors.toArray

                    let step = advance action step

                    { step with EnvSteps = step.EnvSteps + int64 step.Environment.Count }

            let batch = Replay.sample model.Compute keys[1] c.BatchSize step.Replay
            let noise = UpdateNoise.draw model c.BatchSize keys[2]

            { step with Update = Some(Sdac.start model noise batch step.State) }

    let private onUpdate (name: string) (stage: Update -> Update) : Stage =
        fun step ->
            match step.Update with
            | Some update -> { step with Update = Some(stage update) }
            | None ->
                invalidOp
                    $"the stage {name} needs a batch: put `collect` (or a stage that sets Update) before it in the pipeline"

    let private lacks (stage: string) (what: string) (missing: string) =
        invalidOp $"the stage {stage} needs {what}: put `{missing}` before it in the pipeline"

    /// Has no stage trained the critics yet? One of the user's own that does so sets Metrics too.
    let private isWithoutCritics (u: Update) =
        obj.ReferenceEquals(u.Next.Q1, u.State.Q1) && System.Double.IsNaN u.Metrics.Q1Loss

    /// Critic step: a' by reverse sampling on next_obs, targets, one Adam step of both critics.
    let evaluateQ: Stage = onUpdate "evaluateQ" Sdac.evaluateQ

    /// New actions on obs by reverse sampling, where the policy moves.
    let reverseSample: Stage = onUpdate "reverseSample" Sdac.reverseSample

    /// The RSSM step of the policy, the targets' moving averages and the temperature.
    let rssmUpdate: Stage =
        onUpdate "rssmUpdate" (fun u ->
            Model.require Algorithm.Sdac "rssmUpdate" u.Model

            // the critics' moving averages follow them here
            if isWithoutCritics u then
                lacks "rssmUpdate" "the critics' step" "evaluateQ"

            if u.Action.IsNone && Sdac.movesPolicy u.Model.Config u.State.Updates then
                lacks "rssmUpdate" "the actions of this update" "reverseSample"

            Sdac.rssmUpdate u)

    /// DPMD's step of the policy on the actions a' of evaluateQ, the targets' moving averages and the temperature.
    let mirrorDescent: Stage =
        onUpdate "mirrorDescent" (fun u ->
            Model.require Algorithm.Dpmd "mirrorDescent" u.Model

            if u.NextAction.IsNone then
                lacks "mirrorDescent" "the actions a' of the critics' step" "evaluateQ"

            Dpmd.mirrorDescent u)

    /// SDAC's iteration.
    let sdac: Stage = collect >> evaluateQ >> reverseSample >> rssmUpdate

    /// DPMD's iteration.
    let dpmd: Stage = collect >> evaluateQ >> mirrorDescent

    /// The iteration of the algorithm that settings name.
    let ofAlgorithm (algorithm: Algorithm) : Stage =
        match algorithm with
        | Algorithm.Sdac -> sdac
        | Algorithm.Dpmd -> dpmd

    /// One iteration of the given stages. Tensors made on the way are freed; those of the new state belong to the caller,
    /// shared with the old state where nothing moved.
    let iterate (stages: Stage) (step: Step) : Step =
        Tensors.owning (fun next -> TrainState.tensorsNotIn step.State next.State) (fun () ->
            let worked = stages { step with Episodes = []; Update = None }

            match worked.Update with
            | None -> { worked with Iteration = step.Iteration + 1L }
            | Some update when isWithoutCritics update ->
                invalidOp "no stage of this pipeline trains the critics: put `evaluateQ` behind `collect`"
            | Some update ->
                { worked with
                    State = Sdac.finish update
                    Update = None
                    Metrics = Some update.Metrics
                    Iteration = step.Iteration + 1L })

    /// `iterate`, and frees what the new state has replaced: for a loop that owns the old state.
    let consume (stages: Stage) (step: Step) : Step =
        let next = iterate stages step
        TrainState.disposeReplaced next.State step.State
        next

    /// Random transitions until the memory is warm.
    let rec warm (step: Step) : Step = if isWarm step then step else warm (warmUp step)

    /// Frees the state's tensors and the environments.
    let dispose (step: Step) =
        TrainState.dispose step.State
        (step.Environment :> System.IDisposable).Dispose()

    /// A whole experiment: warm-up, then all iterations; the last step (the caller disposes it) and the episodes with the
    /// environment steps after which they ended. No files, no output: the Experiments layer adds those around `iterate`.
    /// Raises ArithmeticException when a loss or a gradient is no longer finite.
    let run (stages: Stage) (e: Experiment) : struct (Step * (int64 * Episode) list) =
        let mutable step = start e
        let episodes = ResizeArray()

        try
            step <- warm step

            while step.Iteration < e.Iterations do
                step <- consume stages step
                episodes.AddRange(step.Episodes |> Seq.map (fun episode -> step.EnvSteps, episode))

                match step.Metrics |> Option.bind Metrics.firstNotFinite with
                | Some(name, value) ->
                    raise (
                        System.ArithmeticException $"{name} is {string value} at iteration {step.Iteration} on {e.Task}"
                    )
                | None -> ()

            struct (step, List.ofSeq episodes)
        with _ ->
            dispose step
            reraise ()
