namespace Sdac.Mujoco;

/// <summary>How a tolerance falls off outside its interval.</summary>
internal enum Falloff
{
    /// <summary>exp(-½(d·√(-2 ln at))²).</summary>
    Gaussian,

    /// <summary>1 - d(1 - at), at least 0.</summary>
    Linear,

    /// <summary>1 - d²(1 - at), at least 0.</summary>
    Quadratic,

    /// <summary>(1 + cos(π·d·arccos(2at - 1)/π))/2 up to the first 0.</summary>
    Cosine,

    /// <summary>1/(d(1/at - 1) + 1).</summary>
    Reciprocal,

    /// <summary>1/((d·√(1/at - 1))² + 1).</summary>
    LongTail,

    /// <summary>1/cosh(d·arcosh(1/at)).</summary>
    Hyperbolic,

    /// <summary>1 - tanh²(d·artanh√(1 - at)).</summary>
    TanhSquared,
}
