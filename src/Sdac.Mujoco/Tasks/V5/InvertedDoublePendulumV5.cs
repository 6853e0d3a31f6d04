using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of InvertedDoublePendulum-v5.</summary>
public sealed record InvertedDoublePendulumV5Options
{
    /// <summary>Reward of a step after which the poles still stand.</summary>
    public double HealthyReward { get; init; } = 10.0;

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 0.1;
}

/// <summary>
/// InvertedDoublePendulum-v5: the step on which the poles fall pays only the penalties, and of the constraint forces only
/// the cart's is observed.
/// </summary>
public static class InvertedDoublePendulumV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "InvertedDoublePendulum-v5";

    private const int Observed = 9;

    /// <summary>The task.</summary>
    public static TaskDefinition Task(InvertedDoublePendulumV5Options options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        var before = InvertedDoublePendulum.Task(new InvertedDoublePendulumOptions());
        return before with
        {
            Name = Name,
            Options = checkedOptions,
            ObsDim = Observed,
            Observe = (physics, obs) =>
            {
                Span<double> all = stackalloc double[Observed + 2];
                before.Observe(physics, all);
                all[..Observed].CopyTo(obs);
            },
            InfoNames = ["reward_survive", "distance_penalty", "velocity_penalty"],
            Reward = (step, info) =>
            {
                var (distance, speed) = InvertedDoublePendulum.Penalties(step.Physics);
                info[0] = before.Terminated(step.Physics) ? 0 : options.HealthyReward;
                info[1] = -distance;
                info[2] = -speed;
                return info[0] - distance - speed;
            },
            Start = StartNoise.UniformAndNormal(options.ResetNoiseScale),
        };
    }
}
