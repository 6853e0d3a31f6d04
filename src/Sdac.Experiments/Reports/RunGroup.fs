namespace Sdac.Experiments

open System
open Sdac.Functional

/// Runs that differ in their seeds alone.
type RunGroup =
    {
        Task: string
        /// Algorithm, and the settings in which it differs from other groups; a number where these are too long to be a name
        Name: string
        /// The settings in which runs of its algorithm differ, with their values here
        Differing: (string * string) list
        /// By seed
        Runs: RunRecord list
    }

    member group.Finished = group.Runs |> List.filter _.Finished

    /// The last evaluation of every finished run; an unfinished run's would be of another age.
    member group.FinalScores = [| for run in group.Finished -> run.Final |]

    /// The mean of the evaluations in the last tenth of every finished run.
    member group.WindowScores = [| for run in group.Finished -> run.Window |]

    /// The best evaluation of every finished run.
    member group.BestScores = [| for run in group.Finished -> run.Best |]

/// A figure against environment steps and seconds, over the runs of a group.
type CurvePoint =
    {
        EnvSteps: int64
        /// From the runs' start, mean over those with timings; NaN where there are none
        Seconds: float
        Runs: int
        Estimate: Estimate
    }

/// What the runs say of two groups.
[<RequireQualifiedAccess>]
type Finding =
    /// The first scores more.
    | Better
    | Worse
    | NoDifference
    /// Whatever these runs had scored, it could be chance.
    | TooFew

/// Two names compared over the tasks on which both have finished runs.
type ComparedPair =
    {
        X: string
        Y: string
        Tasks: string list
        /// Finished runs of both by task
        Sizes: (int * int) list
        /// That a run of x scores more than one of y on the same task
        Probability: Estimate
        /// Mean of x - y over the seeds that both have finished, where there is one task and some seed in common
        Difference: Estimate option
        EqualSeeds: int
    }

    member pair.Finding =
        if Statistics.chanceOfSeparation pair.Sizes > 0.05 || Double.IsNaN pair.Probability.Low then
            Finding.TooFew
        elif pair.Probability.Low > 0.5 then
            Finding.Better
        elif pair.Probability.High < 0.5 then
            Finding.Worse
        else
            Finding.NoDifference

    /// The same, told from the other side.
    member pair.Reversed =
        let one (e: Estimate) = { Value = 1.0 - e.Value; Low = 1.0 - e.High; High = 1.0 - e.Low }
        let minus (e: Estimate) = { Value = -e.Value; Low = -e.High; High = -e.Low }

        { pair with
            X = pair.Y
            Y = pair.X
            Sizes = [ for n, m in pair.Sizes -> m, n ]
            Probability = one pair.Probability
            Difference = Option.map minus pair.Difference }
