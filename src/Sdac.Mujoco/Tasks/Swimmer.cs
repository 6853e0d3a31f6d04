using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Swimmer-v4.</summary>
public sealed record SwimmerOptions
{
    /// <summary>Weight of the forward velocity.</summary>
    public double ForwardRewardWeight { get; init; } = 1.0;

    /// <summary>Weight of the squared action.</summary>
    public double CtrlCostWeight { get; init; } = 1e-4;

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 0.1;

    /// <summary>Whether x and y are left out of the observation.</summary>
    public bool ExcludeCurrentPositionsFromObservation { get; init; } = true;
}

/// <summary>Swimmer-v4: three links swim forward in a fluid; the episode never terminates.</summary>
public static class Swimmer
{
    /// <summary>The task's name.</summary>
    public const string Name = "Swimmer-v4";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(SwimmerOptions options)
    {
        var skip = options.ExcludeCurrentPositionsFromObservation ? 2 : 0;
        return new TaskDefinition
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("swimmer"),
            FrameSkip = 4,
            MaxEpisodeSteps = 1000,
            ObsDim = 10 - skip,
            Observe = (physics, obs) => TaskMath.CopyState(physics, skip, obs),
            MeasureDim = 2,
            Measure = static (physics, measured) => physics.Qpos[..2].CopyTo(measured),
            InfoNames = ["reward_fwd", "reward_ctrl", .. TaskMath.TravelNames],
            Reward = (step, info) =>
            {
                var forward = TaskMath.Travel(step, options.ForwardRewardWeight, info[2..]);
                var cost = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Action);
                info[0] = forward;
                info[1] = -cost;
                return forward - cost;
            },
            Start = StartNoise.Uniform(options.ResetNoiseScale),
        };
    }
}
