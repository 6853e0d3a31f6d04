namespace Sdac.Kernels;

/// <summary>What the kernels did with one network in one way.</summary>
/// <param name="Network">Its shape: networks of one shape are counted together.</param>
/// <param name="Kind">The way.</param>
/// <param name="Rows">Rows of all calls together; a row that passes two critics counts twice, one that takes the T steps
/// of a reverse chain T times.</param>
/// <param name="MultiplyAdds">Those of the matrix products that the calls make: products that several rows share count
/// once. Activations, norms and sums over rows for biases are not counted.</param>
public readonly record struct PassCount(MlpShape Network, PassKind Kind, long Rows, long MultiplyAdds);
