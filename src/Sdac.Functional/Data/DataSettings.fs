namespace Sdac.Functional

/// Collecting, the replay memory and what is drawn from it.
type DataSettings =
    {
        /// Environments stepped together
        Environments: int
        /// Updates per vector step of the environments
        UpdatesPerStep: int
        /// Uniform random transitions before the first update; not counted as environment steps
        WarmUp: int
        /// Transitions drawn for an update
        BatchSize: int
        /// Transitions kept
        BufferCapacity: int
    }

[<RequireQualifiedAccess>]
module DataSettings =
    /// One environment and an update for each of its steps, 10,000 random ones first: what most authors have.
    let usual: DataSettings =
        { Environments = 1
          UpdatesPerStep = 1
          WarmUp = 10_000
          BatchSize = 256
          BufferCapacity = 1_000_000 }

    /// As the SDAC paper's comparison ran all of its algorithms.
    let sdacPaper: DataSettings = { usual with Environments = 5; WarmUp = 30_000 }

    /// InvertedPendulum-v4 in a minute or two.
    let quick: DataSettings =
        { usual with Environments = 2; WarmUp = 1_000; BatchSize = 128; BufferCapacity = 100_000 }

    /// The contract's task in seconds.
    let tiny: DataSettings =
        { usual with Environments = 4; WarmUp = 200; BatchSize = 64; BufferCapacity = 20_000 }

    /// HalfCheetah-v4 on two cores: two updates per step of four environments.
    let laptop: DataSettings = { usual with Environments = 4; UpdatesPerStep = 2 }

    let problems (d: DataSettings) : string list =
        [ Check.atLeast (nameof d.BatchSize) 1 d.BatchSize
          Check.atLeast (nameof d.Environments) 1 d.Environments
          Check.atLeast (nameof d.UpdatesPerStep) 1 d.UpdatesPerStep
          Check.atLeast (nameof d.WarmUp) 1 d.WarmUp
          [ let least = max d.BatchSize d.Environments

            if d.BufferCapacity < least then
                $"bufferCapacity is %d{d.BufferCapacity}; it must hold a batch and a step of all environments ({least})" ] ]
        |> List.concat
