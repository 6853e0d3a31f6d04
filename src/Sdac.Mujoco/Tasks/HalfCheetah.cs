using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of HalfCheetah-v4.</summary>
public sealed record HalfCheetahOptions
{
    /// <summary>Weight of the forward velocity.</summary>
    public double ForwardRewardWeight { get; init; } = 1.0;

    /// <summary>Weight of the squared action.</summary>
    public double CtrlCostWeight { get; init; } = 0.1;

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 0.1;

    /// <summary>Whether x is left out of the observation.</summary>
    public bool ExcludeCurrentPositionsFromObservation { get; init; } = true;
}

/// <summary>HalfCheetah-v4: run forward in the plane; the episode never terminates.</summary>
public static class HalfCheetah
{
    /// <summary>The task's name.</summary>
    public const string Name = "HalfCheetah-v4";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(HalfCheetahOptions options)
    {
        var skip = options.ExcludeCurrentPositionsFromObservation ? 1 : 0;
        return new TaskDefinition
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("half_cheetah"),
            FrameSkip = 5,
            MaxEpisodeSteps = 1000,
            ObsDim = 18 - skip,
            Observe = (physics, obs) => TaskMath.CopyState(physics, skip, obs),
            MeasureDim = 1,
            Measure = static (physics, measured) => measured[0] = physics.Qpos[0],
            InfoNames = ["x_position", "x_velocity", "reward_run", "reward_ctrl"],
            Reward = (step, info) =>
            {
                var velocity = (step.After[0] - step.Before[0]) / step.Dt;
                var run = options.ForwardRewardWeight * velocity;
                var cost = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Action);
                info[0] = step.After[0];
                info[1] = velocity;
                info[2] = run;
                info[3] = -cost;
                return run - cost;
            },
            Start = StartNoise.UniformAndNormal(options.ResetNoiseScale),
        };
    }
}
