using System;

namespace Sdac.PushT;

/// <summary>Observation, reward and end of PushT, as its options have them.</summary>
internal static class Rules
{
    /// <summary>Coverage above which the block counts as in place.</summary>
    public const double Threshold = 0.95;

    /// <summary>Names of a step's figures.</summary>
    public static readonly string[] InfoNames = ["coverage", "is_success", "max_coverage", "max_reward"];

    /// <summary>Those that say at its last step what an episode came to.</summary>
    public static readonly string[] EpisodeFigures = ["max_coverage", "max_reward"];

    /// <summary>Length of an observation.</summary>
    public static int ObsDim(ObsType type) =>
        type switch
        {
            ObsType.Vertices => 2 * Shape.Vertices + 2,
            ObsType.Scaled => 6,
            _ => Pose.Size,
        };

    /// <summary>Writes the observation.</summary>
    public static void Observe(World world, ObsType type, Span<double> obs)
    {
        var pose = world.Pose;
        switch (type)
        {
            case ObsType.Vertices:
                Span<Vector> vertices = stackalloc Vector[Shape.Vertices];
                world.CopyVertices(vertices);
                for (var i = 0; i < Shape.Vertices; i++)
                    (obs[2 * i], obs[2 * i + 1]) = (vertices[i].X, vertices[i].Y);
                (obs[2 * Shape.Vertices], obs[2 * Shape.Vertices + 1]) = (pose.AgentX, pose.AgentY);
                break;
            case ObsType.Scaled:
                pose.CopyTo(obs);
                for (var i = 0; i < 4; i++)
                    obs[i] /= PushTTask.Table;
                (obs[4], obs[5]) = Math.SinCos(pose.BlockAngle);
                break;
            default:
                (pose with { BlockAngle = Reduced(pose.BlockAngle) }).CopyTo(obs);
                break;
        }
    }

    /// <summary>The published reward: coverage over the threshold, at most 1.</summary>
    public static double Reward(double coverage) => Math.Clamp(coverage / Threshold, 0, 1);

    /// <summary>The reward of a step.</summary>
    /// <param name="options">The task's options.</param>
    /// <param name="coverage">After the step.</param>
    /// <param name="best">The highest coverage of the episode's earlier steps; 0 where there are none.</param>
    /// <param name="info">[4], in the order of <see cref="InfoNames"/>.</param>
    public static double Reward(PushTOptions options, double coverage, double best, Span<double> info)
    {
        var highest = Math.Max(best, coverage);
        info[0] = coverage;
        info[1] = coverage > Threshold ? 1 : 0;
        info[2] = highest;
        info[3] = Reward(highest);
        if (options.Pay == Pay.NewBest)
            return Reward(highest) - Reward(best);
        return options.Success == Success.Holds && highest > Threshold ? 1 : Reward(coverage);
    }

    /// <summary>Whether the episode ends here.</summary>
    public static bool Terminated(PushTOptions options, double coverage) =>
        options.Success == Success.Ends && coverage > Threshold;

    // Into [0, 2π), as Python's remainder: of a tiny negative angle 2π itself.
    private static double Reduced(double angle)
    {
        // below a turn % gives the angle itself, slowly
        var rest = Math.Abs(angle) < Math.Tau ? angle : angle % Math.Tau;
        return rest < 0 ? rest + Math.Tau : rest;
    }
}
