using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Reacher-v5.</summary>
public sealed record ReacherV5Options
{
    /// <summary>Weight of the distance.</summary>
    public double RewardDistWeight { get; init; } = 1.0;

    /// <summary>Weight of the squared action.</summary>
    public double RewardControlWeight { get; init; } = 1.0;
}

/// <summary>Reacher-v5: the reward's distance is the one after the step, and only its x and y are observed.</summary>
public static class ReacherV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "Reacher-v5";

    private const int Observed = 10;

    /// <summary>The task. The distance is between bodies as mj_step left them.</summary>
    public static TaskDefinition Task(ReacherV5Options options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        var before = Reacher.Task(new ReacherOptions());
        return before with
        {
            Name = Name,
            Options = checkedOptions,
            ObsDim = Observed,
            Observe = (physics, obs) =>
            {
                System.Span<double> all = stackalloc double[Observed + 1];
                before.Observe(physics, all);
                all[..Observed].CopyTo(obs);
            },
            Reward = (step, info) =>
            {
                info[0] = -options.RewardDistWeight * TaskMath.Norm(step.After);
                info[1] = -options.RewardControlWeight * TaskMath.SumOfSquares(step.Action);
                return info[0] + info[1];
            },
        };
    }
}
