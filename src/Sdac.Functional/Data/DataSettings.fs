namespace Sdac

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
    let problems (d: DataSettings) : string list =
        [ Check.atLeast (nameof d.BatchSize) 1 d.BatchSize
          Check.atLeast (nameof d.Environments) 1 d.Environments
          Check.atLeast (nameof d.UpdatesPerStep) 1 d.UpdatesPerStep
          Check.atLeast (nameof d.WarmUp) 1 d.WarmUp
          [ let least = max d.BatchSize d.Environments

            if d.BufferCapacity < least then
                $"BufferCapacity is %d{d.BufferCapacity}; it must hold a batch and a step of all environments ({least})" ] ]
        |> List.concat
