using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>
/// Begins an episode of the Control Suite in a simulation, all noise from the key; returns null or what MuJoCo complained
/// about.
/// </summary>
internal delegate string? BeginFunction(PhiloxKey key, Simulation simulation);
