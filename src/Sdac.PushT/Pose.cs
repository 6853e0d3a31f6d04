using System;

namespace Sdac.PushT;

/// <summary>Where everything is that can move: the agent's centre, the block's origin and angle (not reduced).</summary>
/// <remarks>The block's origin is the middle of the bar's outer edge, not the centre of gravity.</remarks>
public readonly record struct Pose(double AgentX, double AgentY, double BlockX, double BlockY, double BlockAngle)
{
    /// <summary>How many numbers a pose has.</summary>
    public const int Size = 5;

    /// <summary>The pose of five numbers.</summary>
    public static Pose Of(ReadOnlySpan<double> numbers) =>
        new(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);

    /// <summary>Writes the five numbers.</summary>
    public void CopyTo(Span<double> numbers) =>
        (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]) = (AgentX, AgentY, BlockX, BlockY, BlockAngle);
}
