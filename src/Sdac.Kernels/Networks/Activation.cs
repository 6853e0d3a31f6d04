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

    /// <summary>y = x·Φ(x), Φ the normal distribution function (the exact form, not the one by tanh).</summary>
    Gelu,

    /// <summary>y = x where x > 0, else e^x - 1.</summary>
    Elu,
}
