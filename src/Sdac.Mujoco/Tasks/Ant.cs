using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Ant-v4.</summary>
public sealed record AntOptions
{
    /// <summary>Weight of the squared action.</summary>
    public double CtrlCostWeight { get; init; } = 0.5;

    /// <summary>Whether contact forces are observed (111 numbers in place of 27) and cost reward.</summary>
    public bool UseContactForces { get; init; }

    /// <summary>Weight of the squared contact forces, where they are used.</summary>
    public double ContactCostWeight { get; init; } = 5e-4;

    /// <summary>Reward of a step in health.</summary>
    public double HealthyReward { get; init; } = 1.0;

    /// <summary>Whether ill health ends the episode.</summary>
    public bool TerminateWhenUnhealthy { get; init; } = true;

    /// <summary>Range of the torso's height, inclusive.</summary>
    public Interval HealthyZRange { get; init; } = new(0.2, 1.0);

    /// <summary>What contact forces are clipped to.</summary>
    public Interval ContactForceRange { get; init; } = new(-1.0, 1.0);

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 0.1;

    /// <summary>Whether x and y are left out of the observation.</summary>
    public bool ExcludeCurrentPositionsFromObservation { get; init; } = true;
}

/// <summary>Ant-v4: four legs run forward in space.</summary>
public static class Ant
{
    /// <summary>The task's name.</summary>
    public const string Name = "Ant-v4";

    private const int Torso = 1;

    /// <summary>The task.</summary>
    /// <remarks>
    /// The torso's x and y are xpos as mj_step left it, not qpos. info's reward_ctrl is the contact cost, negated,
    /// where contact forces are used: so it is in Gymnasium; ctrl_cost and contact_cost are what their names say.
    /// </remarks>
    public static TaskDefinition Task(AntOptions options)
    {
        var skip = options.ExcludeCurrentPositionsFromObservation ? 2 : 0;
        return new TaskDefinition
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("ant"),
            FrameSkip = 5,
            MaxEpisodeSteps = 1000,
            ContactForces = options.UseContactForces,
            ObsDim = 29 - skip + (options.UseContactForces ? 84 : 0),
            Observe = (physics, obs) =>
            {
                var rest = TaskMath.CopyState(physics, skip, obs);
                if (options.UseContactForces)
                    ClipForces(physics.CfrcExt, options.ContactForceRange, rest);
            },
            MeasureDim = 2,
            Measure = static (physics, measured) => physics.BodyPosition(Torso)[..2].CopyTo(measured),
            InfoNames =
            [
                "reward_forward", "reward_ctrl", "reward_survive", .. TaskMath.TravelNames,
                "forward", "healthy", "ctrl_cost", "contact_cost",
            ],
            Reward = (step, info) => Reward(step, options, info),
            Terminated = physics => options.TerminateWhenUnhealthy && !IsHealthy(physics, options.HealthyZRange),
            Start = StartNoise.UniformAndNormal(options.ResetNoiseScale),
        };
    }

    private static double Reward(StepView step, AntOptions options, Span<double> info)
    {
        var forward = TaskMath.Travel(step, 1, info[3..]);
        var paid = options.TerminateWhenUnhealthy || IsHealthy(step.Physics, options.HealthyZRange);
        var healthy = paid ? options.HealthyReward : 0;
        var control = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Action);
        var contact = 0.0;
        if (options.UseContactForces)
        {
            Span<double> forces = stackalloc double[step.Physics.CfrcExt.Length];
            ClipForces(step.Physics.CfrcExt, options.ContactForceRange, forces);
            contact = options.ContactCostWeight * TaskMath.SumOfSquares(forces);
        }

        info[0] = forward;
        info[1] = options.UseContactForces ? -contact : -control;
        info[2] = healthy;
        info[9] = forward;
        info[10] = healthy;
        info[11] = control;
        info[12] = contact;
        return forward + healthy - (control + contact);
    }

    internal static void ClipForces(ReadOnlySpan<double> forces, Interval range, Span<double> to)
    {
        for (var i = 0; i < forces.Length; i++)
            to[i] = Math.Clamp(forces[i], range.Low, range.High);
    }

    internal static bool IsHealthy(Physics physics, Interval zRange) =>
        TaskMath.AllFinite(physics.Qpos)
        && TaskMath.AllFinite(physics.Qvel)
        && zRange.Low <= physics.Qpos[2]
        && physics.Qpos[2] <= zRange.High;
}
