using System;

namespace Sdac.Mujoco;

/// <summary>The reward after a step, and the quantities that it is made of.</summary>
internal delegate double SuiteRewardFunction(Physics physics, Span<double> info);

/// <summary>A reward of the Control Suite: it depends on where the step has led, and on the controls.</summary>
/// <param name="InfoNames">Names of the quantities that it is made of.</param>
/// <param name="Of">The reward; writes the quantities.</param>
internal sealed record SuiteReward(string[] InfoNames, SuiteRewardFunction Of);
