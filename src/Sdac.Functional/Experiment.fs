namespace Sdac.Functional

/// What is to be run: a value that, with its seed, decides every bit of the result.
[<NoComparison; NoEquality; StructuredFormatDisplay("{Display}")>]
type Experiment<'config, 'state, 'work> =
    {
        Algorithm: Algorithm<'config, 'state, 'work>
        Config: 'config
        /// By its name among `Tasks`
        Task: string
        Tasks: Sdac.Environments.TaskSuite
        /// The task's own options by Gymnasium's names
        TaskOptions: Map<string, string>
        Seed: int64
        /// Updates
        Iterations: int64
        /// The run's planned length in updates, which schedules go by
        Horizon: Horizon
        /// "cpu", "cuda", "cuda:1"
        Device: string
        /// Our kernels (CPU), or libtorch alone
        Kernels: bool
    }

    /// One line for a session; the settings are `Config`.
    member e.Display =
        $"{e.Algorithm.Title} on {e.Task}, seed %d{e.Seed}, %d{e.Iterations} iterations: {e.Algorithm.Describe e.Config}"

[<RequireQualifiedAccess>]
module Experiment =
    /// An algorithm with its published settings on a task, seed 0, 200,000 iterations.
    let on (algorithm: Algorithm<'config, 'state, 'work>) (task: string) : Experiment<'config, 'state, 'work> =
        { Algorithm = algorithm
          Config = algorithm.Published
          Task = task
          Tasks = Environment.suite
          TaskOptions = Map.empty
          Seed = 0L
          Iterations = 200_000L
          Horizon = { Iterations = 200_000L }
          Device = "cpu"
          Kernels = true }

    let seed (seed: int64) (e: Experiment<'c, 's, 'w>) = { e with Seed = seed }

    /// Runs so many iterations, and plans for as many.
    let iterations (count: int64) (e: Experiment<'c, 's, 'w>) =
        { e with Iterations = count; Horizon = { Iterations = count } }

    let configure (change: 'c -> 'c) (e: Experiment<'c, 's, 'w>) = { e with Config = change e.Config }

    let option (name: string) (value: string) (e: Experiment<'c, 's, 'w>) =
        { e with TaskOptions = e.TaskOptions.Add(name, value) }

    /// With the tasks of a registry, the user's own among them: `Experiment.tasks registry.Tasks`.
    let tasks (tasks: Sdac.Environments.TaskSuite) (e: Experiment<'c, 's, 'w>) = { e with Tasks = tasks }

    let device (device: string) (e: Experiment<'c, 's, 'w>) = { e with Device = device }
    let kernels (on: bool) (e: Experiment<'c, 's, 'w>) = { e with Kernels = on }

    /// A preset of an algorithm. Raises ArgumentException for an unknown name, naming those that there are.
    let preset (name: string) (algorithm: Algorithm<'c, 's, 'w>) : Experiment<'c, 's, 'w> =
        match algorithm.Presets |> List.tryFind (fun preset -> preset.Name = name) with
        | Some preset -> on algorithm preset.Task |> iterations preset.Iterations |> configure (fun _ -> preset.Config)
        | None ->
            let names = algorithm.Presets |> List.map _.Name |> String.concat ", "
            invalidArg (nameof name) $"{algorithm.Name} has no preset '{name}'; there are {names}"

    let private bare (compute: Compute) (space: Space) (e: Experiment<'c, 's, 'w>) : Agent<'s, 'w> =
        Settings.validate e.Algorithm.Problems e.Config |> e.Algorithm.Agent compute space e.Horizon

    /// The agent of an experiment for a task of these sizes, with what the task's options put between both. Raises ArgumentException
    /// naming all impossible settings.
    let agent (compute: Compute) (space: Space) (e: Experiment<'c, 's, 'w>) : Agent<'s, 'w> =
        let agent = bare compute space e

        if ObservationMoments.isAsked e.Task e.TaskOptions && not (ObservationMoments.isIn typeof<'s>) then
            invalidArg
                (nameof e)
                $"{e.Task}: {ObservationMoments.Option} adds to the algorithm's state, which these stages do not know: run the algorithm by its name, or compose stages for `ObservationMoments.around` it"

        RewardScale.agent (RewardScale.asked e.Task e.TaskOptions) agent

    /// When the experiment's agent collects and learns; it does not depend on the task.
    let rhythm (e: Experiment<'c, 's, 'w>) : Rhythm = (bare Compute.cpu { ObsDim = 1; ActionDim = 1 } e).Rhythm

    /// The iterations that take at least `count` environment steps. Raises ArgumentException where there is no such number.
    let envSteps (count: int64) (e: Experiment<'c, 's, 'w>) =
        if count < 1L then
            invalidArg (nameof count) $"the number of environment steps is %d{count}; it must be at least 1"

        let rhythm = rhythm e
        let rounds = (count - 1L) / (int64 rhythm.Environments * int64 rhythm.VectorSteps) + 1L

        if rounds > System.Int64.MaxValue / int64 rhythm.Updates then
            invalidArg
                (nameof count)
                $"the number of environment steps is {count}, which {rhythm.Updates} updates a round make too many iterations to count"

        iterations (rounds * int64 rhythm.Updates) e
