using System;

namespace Sdac.Kernels;

/// <summary>
/// The noise network ε_θ(s, a_t, t): the sinusoidal encoding of t passes through <see cref="Time"/>, and [s | a_t |
/// that] through <see cref="Main"/>. Parameters: first Time's, then Main's, in one flat vector.
/// </summary>
public sealed class NoiseNetworkShape
{
    /// <summary>Both networks have one activation and end in a linear layer.</summary>
    /// <param name="obsDim">Columns of an observation.</param>
    /// <param name="actionDim">Columns of an action.</param>
    /// <param name="timeDim">Width of the time encoding, even.</param>
    /// <param name="timeHidden">Width of Time's hidden layer.</param>
    /// <param name="hidden">Widths of Main's hidden layers; with none Main is linear.</param>
    /// <param name="activation">Follows every hidden layer of both.</param>
    /// <param name="layerNormEpsilon">ε of the layer norm of Main's hidden layers; null: no layer norm.</param>
    /// <exception cref="ArgumentException">A width below 1, an odd <paramref name="timeDim"/>, or an ε that is no
    /// positive number.</exception>
    public NoiseNetworkShape(
        int obsDim, int actionDim, int timeDim, int timeHidden, ReadOnlySpan<int> hidden,
        Activation activation = Activation.Mish, float? layerNormEpsilon = null)
    {
        Check.Positive(nameof(obsDim), obsDim);
        Check.Positive(nameof(actionDim), actionDim);
        TimeEncoding.CheckDim(nameof(timeDim), timeDim);
        ObsDim = obsDim;
        ActionDim = actionDim;
        TimeDim = timeDim;
        Time = new MlpShape([timeDim, timeHidden, timeDim], activation, Activation.Identity);
        Main = new MlpShape(
            [obsDim + actionDim + timeDim, .. hidden, actionDim], activation, Activation.Identity, layerNormEpsilon);
    }

    /// <summary>Columns of an observation.</summary>
    public int ObsDim { get; }

    /// <summary>Columns of an action.</summary>
    public int ActionDim { get; }

    /// <summary>Width of the time encoding.</summary>
    public int TimeDim { get; }

    /// <summary>timeDim → timeHidden → timeDim.</summary>
    public MlpShape Time { get; }

    /// <summary>obsDim + actionDim + timeDim → hidden → actionDim.</summary>
    public MlpShape Main { get; }

    /// <summary>Length of the flat parameter vector.</summary>
    public int ParameterCount => Time.ParameterCount + Main.ParameterCount;
}
