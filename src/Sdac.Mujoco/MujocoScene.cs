using System;
using System.Collections.Generic;
using System.Linq;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>The geoms of a model as a scene, as MuJoCo's own viewer shows them at first.</summary>
internal static class MujocoScene
{
    private const int World = 0;
    private const int MeshType = 7;
    private const int ShownGroups = 3; // of six: the viewer hides the others, which hold collision shapes mostly

    // What the compiler gives a geom that says nothing about its colour.
    private static readonly double[] NoColor = [0.5f, 0.5f, 0.5f, 1];

    // By mjtGeom; height fields (1) are not drawn.
    private static readonly ShapeKind?[] Kinds =
    [
        ShapeKind.Plane, null, ShapeKind.Sphere, ShapeKind.Capsule,
        ShapeKind.Ellipsoid, ShapeKind.Cylinder, ShapeKind.Box, ShapeKind.Mesh,
    ];

    /// <summary>The scene of a model.</summary>
    public static Scene Of(Model model)
    {
        var parents = model["body_parentid"].Ints;
        var bodies = new List<SceneBody>();
        for (var i = World + 1; i < model.NBody; i++)
            bodies.Add(new SceneBody(model.NameOf("body", i), parents[i]));
        return new Scene
        {
            Bodies = bodies,
            Shapes = [.. Enumerable.Range(0, model["geom_type"].Length).Select(i => ShapeOf(model, i)).OfType<SceneShape>()],
            Followed = Heaviest(model),
        };
    }

    // Of the bodies that stand on the world themselves, with all that hangs on them; the first of equals.
    private static int Heaviest(Model model)
    {
        var parents = model["body_parentid"].Ints;
        var masses = model["body_subtreemass"].Doubles;
        var best = World;
        for (var i = World + 1; i < model.NBody; i++)
        {
            if (parents[i] == World && (best == World || masses[i] > masses[best]))
                best = i;
        }

        return best;
    }

    private static SceneShape? ShapeOf(Model model, int geom)
    {
        var type = model["geom_type"].Ints[geom];
        if (type >= Kinds.Length || Kinds[type] is not { } kind || model["geom_group"].Ints[geom] >= ShownGroups)
            return null;
        var color = ColorOf(model, geom);
        if (color is [.., 0])
            return null;
        var (points, faces) = type == MeshType ? MeshOf(model, model["geom_dataid"].Ints[geom]) : ([], []);
        return new SceneShape
        {
            Kind = kind,
            Body = model["geom_bodyid"].Ints[geom],
            Name = model.NameOf("geom", geom),
            Size = Row(model, "geom_size", geom),
            Pose = [.. Row(model, "geom_pos", geom), .. Row(model, "geom_quat", geom)],
            Color = color,
            Points = points,
            Faces = faces,
        };
    }

    // As the viewer: a colour of the geom's own goes before its material's.
    private static double[] ColorOf(Model model, int geom)
    {
        var own = Row(model, "geom_rgba", geom);
        if (!own.SequenceEqual(NoColor))
            return own;
        var material = model["geom_matid"].Ints[geom];
        return material < 0 ? [] : Row(model, "mat_rgba", material);
    }

    private static (double[] Points, int[] Faces) MeshOf(Model model, int mesh)
    {
        var (firstPoint, points) = (model["mesh_vertadr"].Ints[mesh], model["mesh_vertnum"].Ints[mesh]);
        var (firstFace, faces) = (model["mesh_faceadr"].Ints[mesh], model["mesh_facenum"].Ints[mesh]);
        return (
            model["mesh_vert"].ToArray()[(3 * firstPoint)..(3 * (firstPoint + points))],
            model["mesh_face"].Ints.Slice(3 * firstFace, 3 * faces).ToArray());
    }

    private static double[] Row(Model model, string name, int row)
    {
        var field = model[name];
        return field.ToArray()[(row * field.Columns)..((row + 1) * field.Columns)];
    }
}
