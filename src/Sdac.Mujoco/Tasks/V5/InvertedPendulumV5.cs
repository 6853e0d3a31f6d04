using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of InvertedPendulum-v5.</summary>
public sealed record InvertedPendulumV5Options
{
    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 0.01;
}

/// <summary>InvertedPendulum-v5: the step on which the pole falls pays nothing.</summary>
public static class InvertedPendulumV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "InvertedPendulum-v5";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(InvertedPendulumV5Options options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        var before = InvertedPendulum.Task(new InvertedPendulumOptions());
        return before with
        {
            Name = Name,
            Options = checkedOptions,
            InfoNames = ["reward_survive"],
            Reward = (step, info) => info[0] = before.Terminated(step.Physics) ? 0 : 1,
            Start = StartNoise.Uniform(options.ResetNoiseScale),
        };
    }
}
