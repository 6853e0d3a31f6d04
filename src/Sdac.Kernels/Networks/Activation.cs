namespace Sdac.Kernels;

/// <summary>What follows a linear layer.</summary>
public enum Activation
{
    /// <summary>y = x.</summary>
    Identity,

    /// <summary>y = max(x, 0).</summary>
    Relu,

    /// <summary>y = tanh(x).</summary>
    Tanh,

    /// <summary>y = x·tanh(softplus(x)).</summary>
    Mish,
}
