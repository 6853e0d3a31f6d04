namespace Sdac.Kernels;

/// <summary>
/// Names one stream of random numbers: Philox's two key words and the upper two words of its counter.
/// </summary>
/// <param name="K0">First key word.</param>
/// <param name="K1">Second key word.</param>
/// <param name="S0">Third counter word.</param>
/// <param name="S1">Fourth counter word.</param>
public readonly record struct PhiloxKey(uint K0, uint K1, uint S0, uint S1);
