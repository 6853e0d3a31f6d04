using System;
using System.Globalization;

namespace Sdac.PushT;

/// <summary>
/// The table of one episode: four walls, the agent (a disc that nothing pushes back), the block. A new space for each
/// episode, put together in one order: which contact is solved first depends on it.
/// </summary>
/// <remarks>One thread at a time.</remarks>
internal sealed unsafe class World : IDisposable
{
    /// <summary>Seconds of one step of the engine.</summary>
    public const double Dt = 0.01;

    /// <summary>Steps of the engine for one action.</summary>
    public const int Substeps = 10;

    /// <summary>Faster than this the agent is not moved: Chipmunk ends the process where its own sums overflow.</summary>
    public const double MostSpeed = 1e9;

    /// <summary>The agent's radius.</summary>
    public const double AgentRadius = 15;

    private const double Stiffness = 100;
    private const double Damping = 20;
    private const double WallRadius = 2;

    private static readonly (Vector From, Vector To)[] Walls =
    [
        (new(5, 506), new(5, 5)),
        (new(5, 5), new(506, 5)),
        (new(506, 5), new(506, 506)),
        (new(5, 506), new(506, 506)),
    ];

    private readonly nint[] shapes = new nint[Walls.Length + 3];
    private int shapeCount;
    private nint space;
    private nint agent;
    private nint block;
    private Vector velocity; // of the agent: only Step changes it
    private double best; // the highest coverage after a step

    /// <summary>A table with agent and block at a pose: agent, block's position, then its angle, then one step.</summary>
    /// <remarks>
    /// The angle turns the block about its centre of gravity, so that its origin moves away from the given position.
    /// </remarks>
    public World(Pose start)
    {
        ChipmunkLibrary.Load();
        space = Chipmunk.cpSpaceNew();
        Chipmunk.cpSpaceSetGravity(space, default);
        Chipmunk.cpSpaceSetDamping(space, 0);
        var ground = Chipmunk.cpSpaceGetStaticBody(space);
        foreach (var (from, to) in Walls)
            Chipmunk.cpSpaceAddShape(space, Keep(Chipmunk.cpSegmentShapeNew(ground, from, to, WallRadius)));
        AddAgent();
        AddBlock();
        Chipmunk.cpBodySetPosition(agent, new Vector(start.AgentX, start.AgentY));
        Chipmunk.cpBodySetPosition(block, new Vector(start.BlockX, start.BlockY));
        Chipmunk.cpBodySetAngle(block, start.BlockAngle);
        Chipmunk.cpSpaceStep(space, Dt);
        Covered = Measured();
    }

    /// <summary>Frees the space where nobody disposed of it.</summary>
    ~World() => Free();

    /// <summary>Where everything is.</summary>
    public Pose Pose
    {
        get
        {
            var (a, b) = (Chipmunk.cpBodyGetPosition(agent), Chipmunk.cpBodyGetPosition(block));
            return new Pose(a.X, a.Y, b.X, b.Y, Chipmunk.cpBodyGetAngle(block));
        }
    }

    /// <summary>The agent's velocity.</summary>
    public Vector AgentVelocity => velocity;

    /// <summary>The velocity of the block's centre of gravity.</summary>
    public Vector BlockVelocity => Chipmunk.cpBodyGetVelocity(block);

    /// <summary>The block's angular velocity.</summary>
    public double BlockSpin => Chipmunk.cpBodyGetAngularVelocity(block);

    /// <summary>How much of the goal is covered.</summary>
    public double Covered { get; private set; }

    /// <summary>The highest coverage after the steps before the last one; 0 where there are none.</summary>
    public double BestBefore { get; private set; }

    /// <summary>Ten steps of the engine with the agent pulled to a target; returns null or what went wrong.</summary>
    /// <remarks>acceleration = 100·(target - position) + 20·(0 - velocity), not clipped to the table.</remarks>
    public string? Step(double targetX, double targetY)
    {
        for (var i = 0; i < Substeps; i++)
        {
            var position = Chipmunk.cpBodyGetPosition(agent);
            var x = Stiffness * (targetX - position.X) + Damping * (0 - velocity.X);
            var y = Stiffness * (targetY - position.Y) + Damping * (0 - velocity.Y);
            velocity = new Vector(velocity.X + x * Dt, velocity.Y + y * Dt);
            if (!(Math.Abs(velocity.X) <= MostSpeed && Math.Abs(velocity.Y) <= MostSpeed))
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"the target ({targetX}, {targetY}) would move the agent faster than {MostSpeed} a second");
            Chipmunk.cpBodySetVelocity(agent, velocity);
            Chipmunk.cpSpaceStep(space, Dt);
        }

        BestBefore = best;
        Covered = Measured();
        best = Math.Max(best, Covered);
        return null;
    }

    /// <summary>The block's vertices on the table, [8]: bar, then stem.</summary>
    /// <remarks>The sums and their order are cpBodyLocalToWorld's; one call each would be a tenth of a step.</remarks>
    public void CopyVertices(Span<Vector> to)
    {
        var (origin, turn) = (Chipmunk.cpBodyGetPosition(block), Chipmunk.cpBodyGetRotation(block));
        for (var i = 0; i < Shape.Vertices; i++)
        {
            var local = Shape.Block[i];
            to[i] = new Vector(
                turn.X * local.X + -turn.Y * local.Y + origin.X,
                turn.Y * local.X + turn.X * local.Y + origin.Y);
        }

        GC.KeepAlive(this);
    }

    /// <summary>Frees the space and all that is in it.</summary>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private double Measured()
    {
        Span<Vector> vertices = stackalloc Vector[Shape.Vertices];
        CopyVertices(vertices);
        return Coverage.Of(vertices, Shape.Goal);
    }

    private void AddAgent()
    {
        agent = Chipmunk.cpBodyNewKinematic();
        Chipmunk.cpBodySetPosition(agent, new Vector(256, 400));
        var disc = Keep(Chipmunk.cpCircleShapeNew(agent, AgentRadius, default));
        Chipmunk.cpSpaceAddBody(space, agent);
        Chipmunk.cpSpaceAddShape(space, disc);
    }

    // Twice the bar's moment: the published environment takes the bar for the stem.
    private void AddBlock()
    {
        fixed (Vector* bar = Shape.Block)
        {
            var stem = bar + Shape.Corners;
            var moment = Chipmunk.cpMomentForPoly(1, Shape.Corners, bar, default, 0);
            block = Chipmunk.cpBodyNew(1, moment + moment);
            var barShape = Keep(Chipmunk.cpPolyShapeNew(block, Shape.Corners, bar, Transform.Identity, 0));
            var stemShape = Keep(Chipmunk.cpPolyShapeNew(block, Shape.Corners, stem, Transform.Identity, 0));
            Chipmunk.cpBodySetCenterOfGravity(block, Shape.Centre);
            Chipmunk.cpBodySetAngle(block, 0);
            Chipmunk.cpBodySetPosition(block, new Vector(256, 300));
            Chipmunk.cpSpaceAddBody(space, block);
            Chipmunk.cpSpaceAddShape(space, barShape);
            Chipmunk.cpSpaceAddShape(space, stemShape);
        }
    }

    private nint Keep(nint shape) => shapes[shapeCount++] = shape;

    private void Free()
    {
        if (space == 0)
            return;
        Chipmunk.cpSpaceFree(space);
        for (var i = 0; i < shapeCount; i++)
            Chipmunk.cpShapeFree(shapes[i]);
        Chipmunk.cpBodyFree(agent);
        Chipmunk.cpBodyFree(block);
        space = 0;
    }
}
