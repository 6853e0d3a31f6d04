namespace Sdac.Mujoco;

/// <summary>A joint as a random start needs it.</summary>
/// <param name="Type">MuJoCo's: 0 free, 1 ball, 2 slide, 3 hinge.</param>
/// <param name="Address">Where its positions begin in qpos.</param>
/// <param name="Limited">Whether it has a range.</param>
/// <param name="Low">The range's lower end.</param>
/// <param name="High">The range's upper end.</param>
internal readonly record struct Joint(int Type, int Address, bool Limited, double Low, double High);
