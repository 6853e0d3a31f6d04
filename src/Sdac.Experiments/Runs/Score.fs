namespace Sdac.Experiments

open Sdac.Functional

/// Returns of an evaluation.
type Score =
    {
        Mean: float
        /// Over the episodes (population)
        Deviation: float
        Lowest: float
        Highest: float
        Episodes: int
    }

/// A file of a finished run, to tell whether it is still whole.
type RunFile = { Bytes: int64; Sha256: string }

/// The end of a run, as written to summary.json.
type Summary =
    {
        Algorithm: string
        Task: string
        Seed: int64
        Iterations: int64
        EnvSteps: int64
        Final: Score
        BestMean: float
        BestAtEnvSteps: int64
        /// Mean return of the last training episodes, exploration noise included
        RecentTrainingReturn: float
        /// Of the last update
        Figures: Map<string, float>
        Checkpoint: string
        /// Of all processes that worked on the run, without what a killed one did after its last checkpoint
        WallClockSeconds: float
        /// Of the process that ended the run
        PeakMemoryMiB: float
        /// Lines of timings.jsonl
        TimingLines: int64
        /// The files that equal runs have in common, by their paths below the folder
        Files: Map<string, RunFile>
    }

[<RequireQualifiedAccess>]
module Score =
    let ofEpisodes (episodes: Episode[]) =
        let returns = episodes |> Array.map _.Return
        let mean = Array.average returns

        { Mean = mean
          Deviation = sqrt (returns |> Array.averageBy (fun r -> (r - mean) * (r - mean)))
          Lowest = Array.min returns
          Highest = Array.max returns
          Episodes = returns.Length }
