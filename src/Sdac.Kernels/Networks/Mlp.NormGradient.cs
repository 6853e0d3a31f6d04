using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>The gradients of the layer norms' parameters.</content>
public static unsafe partial class Mlp
{
    /// <summary>dg = Σ_rows dz ⊙ x̂ and dc = Σ_rows dz, one block per 32 columns of a norm.</summary>
    private struct NormGradientWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public BackwardKernel Kernel;

        /// <summary>dz, layer after layer, panels [width, 32].</summary>
        public float* NormGradients;

        /// <summary>Columns of all norms together.</summary>
        public static int Columns(MlpShape shape) => (int)Offset(shape, shape.LayerCount, 1);

        /// <summary>Where a layer's panels start, for so many rows.</summary>
        public static nint Offset(MlpShape shape, int layer, int rows)
        {
            nint offset = 0;
            for (var before = 0; before < layer; before++)
                offset += shape.HasNorm(before) ? (nint)shape.Widths[before + 1] * rows : 0;
            return offset;
        }

        public static int Blocks(MlpShape shape)
        {
            var blocks = 0;
            for (var layer = 0; layer < shape.LayerCount; layer++)
                blocks += shape.HasNorm(layer) ? Panel.Count(shape.Widths[layer + 1]) : 0;
            return blocks;
        }

        public readonly void Run(int block, int worker)
        {
            var shape = Kernel.Tape.Shape;
            for (var layer = 0; shape.HasNorm(layer); layer++)
            {
                var blocks = Panel.Count(shape.Widths[layer + 1]);
                if (block < blocks)
                {
                    Sum(layer, block * Panel.Rows);
                    return;
                }

                block -= blocks;
            }
        }

        private readonly void Sum(int layer, int first)
        {
            var tape = Kernel.Tape;
            var shape = tape.Shape;
            var width = shape.Widths[layer + 1];
            var panels = Panel.Count(tape.Rows);
            var dz = NormGradients + Offset(shape, layer, panels * Panel.Rows);
            var normalised = tape.Normalised(layer);
            var weight = Kernel.ParameterGradient + shape.NormWeightOffset(layer);
            var bias = Kernel.ParameterGradient + shape.NormBiasOffset(layer);
            var weightSums = stackalloc float[Panel.Rows];
            var biasSums = stackalloc float[Panel.Rows];
            for (var column = first; column < Math.Min(first + Panel.Rows, width); column++)
            {
                for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
                {
                    var at = (column * Panel.Rows) + lane;
                    Column(at, dz, normalised, width, panels, weightSums + lane, biasSums + lane);
                }

                weight[column] = InOrder(weightSums);
                bias[column] = InOrder(biasSums);
            }
        }

        private static void Column(
            nint at, float* dz, float* normalised, int width, int panels, float* weightSums, float* biasSums)
        {
            var weight = TSimd.Splat(0f);
            var bias = weight;
            for (var panel = 0; panel < panels; panel++, at += (nint)width * Panel.Rows)
            {
                var gradient = TSimd.Load(dz + at);
                weight = TSimd.Fma(gradient, TSimd.Load(normalised + at), weight);
                bias = TSimd.Add(bias, gradient);
            }

            TSimd.Store(weightSums, weight);
            TSimd.Store(biasSums, bias);
        }

        private static float InOrder(float* sums)
        {
            var sum = sums[0];
            for (var lane = 1; lane < Panel.Rows; lane++)
                sum += sums[lane];
            return sum;
        }
    }
}
