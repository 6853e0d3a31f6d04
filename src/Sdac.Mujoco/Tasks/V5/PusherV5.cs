using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Pusher-v5.</summary>
public sealed record PusherV5Options
{
    /// <summary>Weight of the distance between arm and puck.</summary>
    public double RewardNearWeight { get; init; } = 0.5;

    /// <summary>Weight of the distance between puck and goal.</summary>
    public double RewardDistWeight { get; init; } = 1.0;

    /// <summary>Weight of the squared action.</summary>
    public double RewardControlWeight { get; init; } = 0.1;
}

/// <summary>Pusher-v5: the reward's distances are those after the step, and the puck has a mass to speak of.</summary>
public static class PusherV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "Pusher-v5";

    /// <summary>The task. The distances are between bodies as mj_step left them; info's terms are weighted.</summary>
    public static TaskDefinition Task(PusherV5Options options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        return Pusher.Task(new PusherOptions()) with
        {
            Name = Name,
            Options = checkedOptions,
            LoadModel = static () => Models.Load("pusher_v5"),
            Reward = (step, info) =>
            {
                info[0] = -options.RewardDistWeight * TaskMath.Norm(step.After[3..]);
                info[1] = -options.RewardControlWeight * TaskMath.SumOfSquares(step.Action);
                info[2] = -options.RewardNearWeight * TaskMath.Norm(step.After[..3]);
                return info[0] + info[1] + info[2];
            },
        };
    }
}
