using System;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>Writes the observation, [ObsDim]: every entry, at every call.</summary>
public delegate void ObserveFunction(Physics physics, Span<double> obs);

/// <summary>
/// The reward of a step; its components go to info, every one at every call, in the order of the task's info names.
/// </summary>
public delegate double RewardFunction(StepView step, Span<double> info);

/// <summary>Whether the episode ends here by the task's own rule (a time limit is not this).</summary>
public delegate bool TerminatedFunction(Physics physics);

/// <summary>
/// Writes the quantities whose value before a step its reward needs, [MeasureDim]: every one, at every call.
/// </summary>
public delegate void MeasureFunction(Physics physics, Span<double> measured);

/// <summary>
/// Adds the start's noise: called with the model's initial positions and zero velocities, all randomness from the key.
/// </summary>
public delegate void StartFunction(PhiloxKey key, Span<double> qpos, Span<double> qvel);

/// <summary>Whether a drawn point is taken.</summary>
public delegate bool AcceptFunction(ReadOnlySpan<double> point);
