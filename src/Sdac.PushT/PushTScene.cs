using System.Collections.Generic;
using System.Linq;
using Sdac.Environments;

namespace Sdac.PushT;

/// <summary>The table from above: the goal, the block, the agent, and where the agent is pulled to.</summary>
internal static class PushTScene
{
    /// <summary>The bodies, from 1.</summary>
    private const int Block = 1;
    private const int Agent = 2;
    private const int Target = 3;

    /// <summary>The scene of every PushT.</summary>
    public static Scene Scene { get; } = new()
    {
        Table = [PushTTask.Table, PushTTask.Table],
        Bodies = [new("block", 0), new("agent", 0), new("target", 0)],
        Shapes =
        [
            .. Rectangles(Shape.Goal, 0, "goal"),
            .. Rectangles(Shape.Block, Block, "block"),
            new SceneShape { Kind = ShapeKind.Disc, Body = Agent, Name = "agent", Size = [World.AgentRadius] },
            new SceneShape { Kind = ShapeKind.Cross, Body = Target, Name = "target", Size = [8] },
        ],
    };

    private static IEnumerable<SceneShape> Rectangles(Vector[] vertices, int body, string name) =>
        vertices.Chunk(Shape.Corners).Select(corners => new SceneShape
        {
            Kind = ShapeKind.Polygon,
            Body = body,
            Name = name,
            Points = [.. corners.SelectMany(static corner => new[] { corner.X, corner.Y })],
        });
}
