namespace Sdac.Mujoco;

/// <summary>
/// What Ant and Humanoid of v2 and v3 see as contact forces. MuJoCo 1.50 computed them at every step; from 2.0 on they stayed 0
/// where nobody asked for them, and nobody did.
/// </summary>
public enum ContactForces
{
    /// <summary>Zeros, as under MuJoCo 2.0 and 2.1: most numbers published from 2019 to 2022.</summary>
    Zero,

    /// <summary>The forces, as under MuJoCo 1.50.</summary>
    Real,
}
