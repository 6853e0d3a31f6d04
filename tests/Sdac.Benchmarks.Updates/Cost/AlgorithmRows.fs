namespace Sdac.Benchmarks

open Sdac.Functional

/// What an algorithm's networks are asked for, counted by the kernels.
[<NoComparison; NoEquality>]
type AlgorithmRows =
    {
        /// An action in a training environment, for one state
        Action: Costs
        /// An update, the mean over those that move the policy and those that do not, with its share of what a round prepares and of
        /// what happens on few updates; without acting
        Update: Costs
    }

[<RequireQualifiedAccess>]
module AlgorithmRows =
    /// Updates of a window: the policies that rest do so on every second one.
    [<Literal>]
    let Window = 2

    let private updates (rounds: MadeRounds<'s, 'w>) () =
        for _ in 1..Window do
            rounds.Update()

    /// Counts one round of fresh rounds. rare: the number of updates of which the first does what the others do not; 1: none.
    let count (agent: Agent<'s, 'w>) (rare: int) (rounds: MadeRounds<'s, 'w>) : AlgorithmRows =
        let rhythm = agent.Rhythm
        let counted = NetworkRows.counted agent.Space
        let collected = counted rounds.Collect
        let steps = if rhythm.KeepMemory then 1 else rhythm.VectorSteps
        let prepared = counted rounds.Prepare
        let first, later = counted (updates rounds), counted (updates rounds)

        let onFirst = NetworkRows.add -1.0 later first

        { Action = NetworkRows.add (1.0 / float (steps * rhythm.Environments)) collected Map.empty
          Update =
            Map.empty
            |> NetworkRows.add (1.0 / float Window) later
            |> NetworkRows.add (1.0 / float rhythm.Updates) prepared
            |> if rare > 1 then NetworkRows.add (1.0 / float rare) onFirst else id
            |> Map.filter (fun _ spent -> spent.MultiplyAdds > 0.0) }
