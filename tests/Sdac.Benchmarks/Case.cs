using System;

namespace Sdac.Benchmarks;

/// <summary>One thing to measure.</summary>
/// <param name="Name">What --only selects.</param>
/// <param name="Config">Sizes, for the reader.</param>
/// <param name="Gflop">Arithmetic the mathematics needs (2 per multiply-add), 0 where none is counted.</param>
/// <param name="Run">Does it once.</param>
/// <param name="Peer">The same products by sgemm (Gflop must be theirs too), or null.</param>
/// <param name="Units">How many of what Name says a run makes: times and arithmetic are reported per unit.</param>
internal sealed record Case(
    string Name, string Config, double Gflop, Action Run, Peer? Peer = null, int Units = 1);

/// <summary>Matrix products by sgemm, run in turn with the case.</summary>
internal sealed record Peer(double Gflop, Action Run);
