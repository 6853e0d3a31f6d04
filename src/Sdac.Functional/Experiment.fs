namespace Sdac

/// What is to be run: a value that, with its seed, decides every bit of the result.
type Experiment =
    {
        Task: string
        /// The task's own options by Gymnasium's names
        TaskOptions: Map<string, string>
        Seed: int64
        /// Updates
        Iterations: int64
        Config: Config
        /// "cpu", "cuda", "cuda:1"
        Device: string
        /// Our kernels (CPU), or libtorch alone
        Kernels: bool
    }

[<RequireQualifiedAccess>]
module Experiment =
    /// SDAC with the published settings on a task, seed 0, 200,000 iterations.
    let sdac (task: string) : Experiment =
        { Task = task
          TaskOptions = Map.empty
          Seed = 0L
          Iterations = 200_000L
          Config = Config.published
          Device = "cpu"
          Kernels = true }

    /// DPMD with its published settings on a task, seed 0, 200,000 iterations.
    let dpmd (task: string) : Experiment =
        { sdac task with Config = Config.withAlgorithm Algorithm.Dpmd Config.published }

    let seed (seed: int64) (e: Experiment) = { e with Seed = seed }
    let iterations (count: int64) (e: Experiment) = { e with Iterations = count }

    /// The iterations that take at least `count` environment steps. Raises ArgumentException where there is no such number.
    let envSteps (count: int64) (e: Experiment) =
        let environments, updates = int64 e.Config.Environments, int64 e.Config.UpdatesPerStep

        for name, value in
            [ "the number of environment steps", count
              nameof e.Config.Environments, environments
              nameof e.Config.UpdatesPerStep, updates ] do
            if value < 1L then
                invalidArg (nameof count) $"{name} is %d{value}; it must be at least 1"

        let vectorSteps = (count - 1L) / environments + 1L

        if vectorSteps > System.Int64.MaxValue / updates then
            invalidArg
                (nameof count)
                $"the number of environment steps is {count}, which {updates} updates a step make too many iterations to count"

        { e with Iterations = vectorSteps * updates }

    /// The experiment with another algorithm and the settings published with it (`Config.withAlgorithm`).
    let algorithm (algorithm: Algorithm) (e: Experiment) = { e with Config = Config.withAlgorithm algorithm e.Config }

    let configure (change: Config -> Config) (e: Experiment) = { e with Config = change e.Config }
    let option (name: string) (value: string) (e: Experiment) = { e with TaskOptions = e.TaskOptions.Add(name, value) }
    let device (device: string) (e: Experiment) = { e with Device = device }
    let kernels (on: bool) (e: Experiment) = { e with Kernels = on }
