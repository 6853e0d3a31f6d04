using System;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>dog-stand, -walk, -trot, -run: a dog of 38 muscles, up on its feet, at 0, 1, 3 and 9 m/s.</summary>
internal static class SuiteDog
{
    private const int Torso = 1;
    private const int Pelvis = 9;
    private const int Skull = 48;
    private const int Inertial = 0; // accelerometer, velocimeter, gyro
    private const int Velocity = 9; // of the torso's mass centre
    private const int Touch = 15; // palms, soles
    private const int Feet = 19; // forces on feet and hands

    // 0.9 of the heights of torso and pelvis in the default pose; 9.81 of the mass
    private const double TorsoHeight = 0.373698;
    private const double PelvisHeight = 0.42854840999999994;
    private const double Weight = 106.01392102602846;

    private static readonly double Upright = Math.Cos(30 * Math.PI / 180);

    /// <summary>The four tasks.</summary>
    public static readonly TaskDefinition[] Tasks =
    [
        Task("dog-stand", 0),
        Task("dog-walk", 1),
        Task("dog-trot", 3),
        Task("dog-run", 9),
    ];

    private static TaskDefinition Task(string name, double speed) =>
        ControlSuite.Task(
            name,
            "dog",
            subSteps: 3,
            obsDim: 223,
            Observe,
            Begin,
            new SuiteReward(
                ["torso_height", "pelvis_height", "upright_skull", "upright_torso", "upright_pelvis", "touch", "speed"],
                (physics, info) => Reward(physics, speed, info)));

    // The default pose; heading U(0, 2π); velocities along x and y and about z 2·N(0, 1); activations over the controls' range.
    private static string? Begin(PhiloxKey key, Simulation simulation)
    {
        if (simulation.SuiteClear() is { } complaint)
            return complaint;
        var qpos = simulation.Qpos.Writable;
        var qvel = simulation.Qvel.Writable;
        var act = simulation.Act.Writable;
        Span<double> heading = stackalloc double[1];
        Span<double> speeds = stackalloc double[3];
        Philox.Uniform(Philox.Derive(key, 0), 0, heading);
        Philox.Normal(Philox.Derive(key, 1), 0, speeds);
        Philox.Uniform(Philox.Derive(key, 2), 0, act);
        (qpos[6], qpos[3]) = Math.SinCos(Math.PI * heading[0]);
        (qpos[4], qpos[5]) = (0, 0);
        (qvel[0], qvel[1], qvel[5]) = (2 * speeds[0], 2 * speeds[1], 2 * speeds[2]);
        var range = simulation.Model["actuator_ctrlrange"].Doubles;
        for (var i = 0; i < act.Length; i++)
            act[i] = range[2 * i] + (range[2 * i + 1] - range[2 * i]) * act[i];
        return simulation.SuiteSettle();
    }

    // angles, their velocities, two heights, three verticals, velocity of the mass centre in the torso's frame, inertial
    // sensors, forces on the feet, touch, activations
    private static void Observe(Physics physics, Span<double> obs)
    {
        var rest = TaskMath.Append(physics.Qpos[7..], obs);
        rest = TaskMath.Append(physics.Qvel[6..], rest);
        (rest[0], rest[1]) = (physics.BodyPosition(Torso)[2], physics.BodyPosition(Pelvis)[2]);
        rest = TaskMath.Append(physics.Rotation(Skull)[6..], rest[2..]);
        rest = TaskMath.Append(physics.Rotation(Torso)[6..], rest);
        rest = TaskMath.Append(physics.Rotation(Pelvis)[6..], rest);
        TaskMath.IntoFrame(physics.SensorData.Slice(Velocity, 3), physics.Rotation(Torso), rest);
        rest = TaskMath.Append(physics.SensorData.Slice(Inertial, 9), rest[3..]);
        rest = TaskMath.Append(physics.SensorData.Slice(Feet, 12), rest);
        rest = TaskMath.Append(physics.SensorData.Slice(Touch, 4), rest);
        physics.Act.CopyTo(rest);
    }

    // F, the product of what standing takes; at a speed V F·(4·tol(forward; V, 2V, max(1, V), linear, 0) + 1)/5
    private static double Reward(Physics physics, double wanted, Span<double> info)
    {
        Span<double> velocity = stackalloc double[3];
        TaskMath.IntoFrame(physics.SensorData.Slice(Velocity, 3), physics.Rotation(Torso), velocity);
        (info[0], info[1]) = (physics.BodyPosition(Torso)[2], physics.BodyPosition(Pelvis)[2]);
        info[2] = physics.Rotation(Skull)[8];
        info[3] = physics.Rotation(Torso)[8];
        info[4] = physics.Rotation(Pelvis)[8];
        info[5] = 0;
        foreach (var touch in physics.SensorData.Slice(Touch, 4))
            info[5] += touch;
        info[6] = velocity[0];
        var standing = Tolerance.AtLeast(info[0], TorsoHeight, TorsoHeight)
            * Tolerance.AtLeast(info[1], PelvisHeight, PelvisHeight);
        for (var i = 2; i <= 4; i++)
            standing *= Tolerance.AtLeast(info[i], Upright, 1 + Upright, Falloff.Linear, 0);
        standing *= Tolerance.AtLeast(info[5], Weight, Weight, Falloff.Linear, 0.9);
        return wanted == 0
            ? standing
            : standing
                * (4 * Tolerance.Of(info[6], wanted, 2 * wanted, Math.Max(1, wanted), Falloff.Linear, 0) + 1) / 5;
    }
}
