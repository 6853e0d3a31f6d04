using System;

namespace Sdac.Mujoco;

/// <summary>What a task's functions see of the engine: read-only spans over mjData, under MuJoCo's names.</summary>
/// <remarks>
/// qpos and qvel are those after the step. Everything derived from them (xpos, cvel, cfrc_ext, …) is as mj_step left
/// it: of the last forward pass inside it, not of the new qpos. The published environments read them so.
/// </remarks>
public readonly unsafe ref struct Physics
{
    private readonly Simulation simulation;

    internal Physics(Simulation simulation)
    {
        this.simulation = simulation;
    }

    /// <summary>The model.</summary>
    public Model Model => simulation.Model;

    /// <summary>Simulated seconds since the reset.</summary>
    public double Time => *simulation.Time;

    /// <summary>Generalised positions, [Nq].</summary>
    public ReadOnlySpan<double> Qpos => new(simulation.Qpos, Model.Nq);

    /// <summary>Generalised velocities, [Nv].</summary>
    public ReadOnlySpan<double> Qvel => new(simulation.Qvel, Model.Nv);

    /// <summary>Actuator activations, [Na].</summary>
    public ReadOnlySpan<double> Act => new(simulation.Act, Model.Na);

    /// <summary>The controls as given, not clamped, [Nu].</summary>
    public ReadOnlySpan<double> Ctrl => new(simulation.Ctrl, Model.Nu);

    /// <summary>Body frame positions, [NBody, 3].</summary>
    public ReadOnlySpan<double> Xpos => new(simulation.Xpos, 3 * Model.NBody);

    /// <summary>Body frame quaternions, [NBody, 4].</summary>
    public ReadOnlySpan<double> Xquat => new(simulation.Xquat, 4 * Model.NBody);

    /// <summary>Body mass centres, [NBody, 3].</summary>
    public ReadOnlySpan<double> Xipos => new(simulation.Xipos, 3 * Model.NBody);

    /// <summary>Site positions, [sites, 3].</summary>
    public ReadOnlySpan<double> SiteXpos => new(simulation.SiteXpos, 3 * simulation.Sites);

    /// <summary>Body inertias about the subtree's mass centre, [NBody, 10].</summary>
    public ReadOnlySpan<double> Cinert => new(simulation.Cinert, 10 * Model.NBody);

    /// <summary>Body velocities (rotation, translation), [NBody, 6].</summary>
    public ReadOnlySpan<double> Cvel => new(simulation.Cvel, 6 * Model.NBody);

    /// <summary>
    /// External forces on bodies, [NBody, 6]: real only where the task asks for contact forces, otherwise 0.
    /// </summary>
    public ReadOnlySpan<double> CfrcExt => new(simulation.CfrcExt, 6 * Model.NBody);

    /// <summary>Actuator forces in joint space, [Nv].</summary>
    public ReadOnlySpan<double> QfrcActuator => new(simulation.QfrcActuator, Model.Nv);

    /// <summary>Constraint forces in joint space, [Nv].</summary>
    public ReadOnlySpan<double> QfrcConstraint => new(simulation.QfrcConstraint, Model.Nv);

    /// <summary>Sensor readings.</summary>
    public ReadOnlySpan<double> SensorData => new(simulation.SensorData, simulation.Sensors);

    /// <summary>Body masses in kg, [NBody].</summary>
    public ReadOnlySpan<double> BodyMass => new(simulation.BodyMass, Model.NBody);

    /// <summary>Any other field of mjData that holds mjtNum, by MuJoCo's name; slower than the properties.</summary>
    public ReadOnlySpan<double> this[string field] => simulation[field].Doubles;

    /// <summary>A body's frame position, [3].</summary>
    public ReadOnlySpan<double> BodyPosition(int body) => Xpos.Slice(3 * body, 3);

    /// <summary>A body's frame position by its name, [3]; ArgumentException if there is none.</summary>
    public ReadOnlySpan<double> BodyPosition(string body) => BodyPosition(Model.Body(body));

    /// <summary>A site's position, [3].</summary>
    public ReadOnlySpan<double> SitePosition(int site) => SiteXpos.Slice(3 * site, 3);
}
