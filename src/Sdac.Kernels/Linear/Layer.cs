using System;
using System.Runtime.CompilerServices;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>One layer on one panel of activations, or on some lanes of it.</summary>
internal static unsafe class Layer<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>y = activation(LN(start + bias + W·x)); see <see cref="Product"/>.</summary>
    /// <param name="packed">Packed weights, [inputs, outputs] before packing.</param>
    /// <param name="inputs">Columns of x.</param>
    /// <param name="outputs">Columns of y.</param>
    /// <param name="bias">[outputs].</param>
    /// <param name="start">A panel [outputs, 32] to add to, or null.</param>
    /// <param name="x">Panel [inputs, 32].</param>
    /// <param name="y">Panel [outputs, 32].</param>
    /// <param name="derivative">Panel [outputs, 32] for the activation's derivative, or null.</param>
    /// <param name="activation">What follows the product.</param>
    /// <param name="lanes">16 or 32 lanes, from the pointers on.</param>
    /// <param name="norm">The layer norm LN, or none.</param>
    public static void Forward(
        float* packed, int inputs, int outputs, float* bias, float* start, float* x, float* y, float* derivative,
        Activation activation, int lanes, in Norm norm = default)
    {
        for (var first = 0; first < outputs; first += TSimd.TileRows)
        {
            var rows = Math.Min(TSimd.TileRows, outputs - first);
            var tile = y + (first * Panel.Rows);
            if (start != null)
                AddBias(start + (first * Panel.Rows), bias + first, rows, lanes, tile);
            Product(
                packed + ((nint)first * inputs), inputs, rows, start == null ? bias + first : null, x, tile, lanes);
            if (norm.IsPresent)
                continue;
            var slope = derivative == null ? null : derivative + (first * Panel.Rows);
            Epilogue<TSimd, V>.Activate(activation, tile, slope, rows, lanes);
        }

        if (!norm.IsPresent)
            return;
        LayerNorm<TSimd, V>.Forward(norm, y, outputs, lanes);
        Epilogue<TSimd, V>.Activate(activation, y, derivative, outputs, lanes);
    }

    /// <summary>dx = (Wᵀ·dy) ⊙ derivative, the gradient that reaches the layer below.</summary>
    /// <param name="packed">Weights packed for the backward product.</param>
    /// <param name="inputs">Columns of dx.</param>
    /// <param name="outputs">Columns of dy.</param>
    /// <param name="zeros">[inputs] zeros.</param>
    /// <param name="dy">Panel [outputs, 32].</param>
    /// <param name="dx">Panel [inputs, 32].</param>
    /// <param name="derivative">Panel [inputs, 32] of the activation below, or null where that is the identity.</param>
    /// <param name="lanes">16 or 32 lanes, from the pointers on.</param>
    public static void Backward(
        float* packed, int inputs, int outputs, float* zeros, float* dy, float* dx, float* derivative, int lanes)
    {
        for (var first = 0; first < inputs; first += TSimd.TileRows)
        {
            var rows = Math.Min(TSimd.TileRows, inputs - first);
            var tile = dx + (first * Panel.Rows);
            Product(packed + ((nint)first * outputs), outputs, rows, zeros, dy, tile, lanes);
            if (derivative != null)
                Epilogue<TSimd, V>.Scale(tile, derivative + (first * Panel.Rows), rows, lanes);
        }
    }

    private static void Product(float* packed, int depth, int rows, float* bias, float* x, float* y, int lanes)
    {
        var pair = 2 * TSimd.Width;
        var lane = 0;
        for (; lane + pair <= lanes; lane += pair)
            Tile<TSimd, V>.Multiply<Count.Two, Packed>(rows, 1, depth, packed, 0, x + lane, bias, y + lane, Panel.Rows);
        for (; lane < lanes; lane += TSimd.Width)
            Tile<TSimd, V>.Multiply<Count.One, Packed>(rows, 1, depth, packed, 0, x + lane, bias, y + lane, Panel.Rows);
    }

    private static void AddBias(float* start, float* bias, int rows, int lanes, float* y)
    {
        for (var row = 0; row < rows; row++)
        {
            var b = TSimd.Splat(bias[row]);
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
                TSimd.Store(
                    y + (row * Panel.Rows) + lane, TSimd.Add(TSimd.Load(start + (row * Panel.Rows) + lane), b));
        }
    }
}
