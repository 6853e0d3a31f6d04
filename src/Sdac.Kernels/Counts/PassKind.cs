namespace Sdac.Kernels;

/// <summary>What a kernel's call does with its rows.</summary>
public enum PassKind
{
    /// <summary>Forward, nothing kept.</summary>
    Forward,

    /// <summary>Forward, with what a backward pass needs.</summary>
    Recorded,

    /// <summary>Forward and back to the rows' own inputs in one call.</summary>
    Slope,

    /// <summary>Back from a recorded pass, with the gradient of the parameters.</summary>
    BackToParameters,

    /// <summary>Back from a recorded pass to the inputs alone.</summary>
    BackToInputs,
}
