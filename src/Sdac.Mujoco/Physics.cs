using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>What a task's functions see of the engine: read-only spans over mjData, under MuJoCo's names.</summary>
/// <remarks>
/// qpos and qvel are those after the step. Everything derived from them (xpos, cvel, cfrc_ext, …) is as mj_step left
/// it: of the last forward pass inside it, not of the new qpos. The published environments read them so.
/// A span shows the numbers of its moment: the next step overwrites them. After Dispose, ObjectDisposedException.
/// </remarks>
public readonly ref struct Physics
{
    private readonly Simulation? simulation;

    internal Physics(Simulation simulation)
    {
        this.simulation = simulation;
    }

    /// <summary>The model.</summary>
    public Model Model => Source.Model;

    /// <summary>Simulated seconds since the reset.</summary>
    public double Time => Source.Time.Number;

    /// <summary>Generalised positions, [Nq].</summary>
    public ReadOnlySpan<double> Qpos => Source.Qpos.Array;

    /// <summary>Generalised velocities, [Nv].</summary>
    public ReadOnlySpan<double> Qvel => Source.Qvel.Array;

    /// <summary>Actuator activations, [Na].</summary>
    public ReadOnlySpan<double> Act => Source.Act.Array;

    /// <summary>The controls as given, not clamped, [Nu].</summary>
    public ReadOnlySpan<double> Ctrl => Source.Ctrl.Array;

    /// <summary>Body frame positions, [NBody, 3].</summary>
    public ReadOnlySpan<double> Xpos => Source.Xpos.Array;

    /// <summary>Body frame quaternions, [NBody, 4].</summary>
    public ReadOnlySpan<double> Xquat => Source.Xquat.Array;

    /// <summary>Body frame rotations, row by row, [NBody, 9].</summary>
    public ReadOnlySpan<double> Xmat => Source.Xmat.Array;

    /// <summary>Body mass centres, [NBody, 3].</summary>
    public ReadOnlySpan<double> Xipos => Source.Xipos.Array;

    /// <summary>Site positions, [sites, 3].</summary>
    public ReadOnlySpan<double> SiteXpos => Source.SiteXpos.Array;

    /// <summary>Body inertias about the subtree's mass centre, [NBody, 10].</summary>
    public ReadOnlySpan<double> Cinert => Source.Cinert.Array;

    /// <summary>Body velocities (rotation, translation), [NBody, 6].</summary>
    public ReadOnlySpan<double> Cvel => Source.Cvel.Array;

    /// <summary>
    /// External forces on bodies, [NBody, 6]: real only where the task asks for contact forces, otherwise 0.
    /// </summary>
    public ReadOnlySpan<double> CfrcExt => Source.CfrcExt.Array;

    /// <summary>Actuator forces in joint space, [Nv].</summary>
    public ReadOnlySpan<double> QfrcActuator => Source.QfrcActuator.Array;

    /// <summary>Constraint forces in joint space, [Nv].</summary>
    public ReadOnlySpan<double> QfrcConstraint => Source.QfrcConstraint.Array;

    /// <summary>Sensor readings.</summary>
    public ReadOnlySpan<double> SensorData => Source.SensorData.Array;

    /// <summary>Body masses in kg, [NBody].</summary>
    public ReadOnlySpan<double> BodyMass => Source.BodyMass.Array;

    /// <summary>Any other field of mjData that holds mjtNum, by MuJoCo's name; slower than the properties.</summary>
    /// <remarks>
    /// Of the constraints' arrays (efc_…) and of wrap_xpos what is in use: the rest holds what earlier steps left.
    /// </remarks>
    public ReadOnlySpan<double> this[string field] => Source.InUse(field);

    private Simulation Source =>
        simulation ?? throw new RefusedOperationException(
            "An empty Physics views no simulation: use the one that a task's function is given.");

    /// <summary>A body's frame position, [3].</summary>
    public ReadOnlySpan<double> BodyPosition(int body) => Xpos.Slice(3 * body, 3);

    /// <summary>A body's frame position by its name, [3]; ArgumentException if there is none.</summary>
    public ReadOnlySpan<double> BodyPosition(string body) => BodyPosition(Model.Body(body));

    /// <summary>A body's frame rotation: xx, xy, xz, yx, …, zz, [9].</summary>
    public ReadOnlySpan<double> Rotation(int body) => Xmat.Slice(9 * body, 9);

    /// <summary>A site's position, [3].</summary>
    public ReadOnlySpan<double> SitePosition(int site) => SiteXpos.Slice(3 * site, 3);
}
