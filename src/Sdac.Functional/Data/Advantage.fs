namespace Sdac.Functional

/// What generalised advantage estimation needs of a piece of experience: T steps of E environments, entry t·E + e.
type RolloutSteps =
    {
        Environments: int
        Reward: float[]
        /// V(s_t).
        Value: float[]
        /// V of the true next observation: at the end of an episode its last one, not the next episode's first.
        NextValue: float[]
        /// The episode ended in a state without a future: nothing is bootstrapped.
        Terminated: bool[]
        /// The episode was cut by its time limit: the next value is bootstrapped, the sum stops.
        Truncated: bool[]
    }

/// Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438).
[<RequireQualifiedAccess>]
module Advantage =
    let private check (steps: RolloutSteps) =
        let rows = steps.Reward.Length

        let lengths =
            [ "Value", steps.Value.Length
              "NextValue", steps.NextValue.Length
              "Terminated", steps.Terminated.Length
              "Truncated", steps.Truncated.Length ]

        for name, length in lengths do
            if length <> rows then
                invalidArg name $"{name} has {length} entries, but Reward has {rows}: give one for each step"

        if steps.Environments < 1 || rows % steps.Environments <> 0 then
            invalidArg
                (nameof steps.Environments)
                $"{rows} rows are no whole number of steps of {steps.Environments} environments"

    /// Advantages A and returns R = A + V, backwards in time:
    /// δ_t = r_t + γ·V(s_{t+1})·(1 - terminated_t) - V(s_t), A_t = δ_t + γ·λ·(1 - end_t)·A_{t+1}, end = terminated or truncated.
    let estimate (discount: float) (lambda: float) (steps: RolloutSteps) : struct (float[] * float[]) =
        check steps
        let rows = steps.Reward.Length
        let advantage = Array.zeroCreate<float> rows

        for i in rows - 1 .. -1 .. 0 do
            let bootstrap = if steps.Terminated[i] then 0.0 else discount * steps.NextValue[i]
            let delta = steps.Reward[i] + bootstrap - steps.Value[i]
            let ended = steps.Terminated[i] || steps.Truncated[i] || i + steps.Environments >= rows
            let later = if ended then 0.0 else discount * lambda * advantage[i + steps.Environments]
            advantage[i] <- delta + later

        struct (advantage, Array.map2 (+) advantage steps.Value)
