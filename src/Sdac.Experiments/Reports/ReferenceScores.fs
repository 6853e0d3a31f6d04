namespace Sdac.Experiments

open System
open Sdac.Functional

/// The scale of a task: what acting at random scores, and what a reference does.
type ReferenceScore =
    {
        /// Undiscounted return per episode of uniform random actions
        Random: float
        Reference: float
        /// Where the reference is from
        Source: string
    }

/// Stored scores by which returns of several tasks are put on one scale, 0 for random actions and 1 for the reference. They do not
/// depend on the runs that a report happens to hold: its figures stay when a run joins it.
[<RequireQualifiedAccess>]
module ReferenceScores =
    let private sac = "SAC of Tianshou's benchmark, 1 million steps, mean of 10 seeds"

    /// Random: mean over 100 (HalfCheetah, Swimmer) to 1,000 episodes of this library's tasks in version 4. Reference: the returns that
    /// Tianshou's MuJoCo benchmark gives for SAC on the same tasks in version 3, whose rewards version 4 has kept.
    let private gym =
        Map
            [ "Ant", (-50.5, 5850.0)
              "HalfCheetah", (-286.7, 12139.0)
              "Hopper", (17.5, 3542.0)
              "Walker2d", (2.4, 5007.0)
              "Swimmer", (-0.6, 44.0)
              "Humanoid", (123.0, 5489.0)
              "Reacher", (-43.0, -2.6)
              "InvertedPendulum", (5.9, 1000.0)
              "InvertedDoublePendulum", (57.1, 9360.0) ]

    /// A task's scale; None where there is none: its returns are compared, but not put together with those of other tasks.
    let tryFind (task: string) : ReferenceScore option =
        match task.Split "-v" with
        | [| name; "2" | "3" | "4" |] ->
            gym
            |> Map.tryFind name
            |> Option.map (fun (random, reference) -> { Random = random; Reference = reference; Source = sac })
        // rewards between 0 and 1 over 1,000 steps, by the suite's design
        | _ when task.StartsWith("dmc/", StringComparison.Ordinal) ->
            Some { Random = 0.0; Reference = 1000.0; Source = "the Control Suite's bounds" }
        | _ -> None

    /// Returns on a task's scale.
    let normalise (score: ReferenceScore) (returns: float[]) : float[] =
        Statistics.normalise score.Random score.Reference returns
