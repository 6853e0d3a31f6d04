using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>One slab of rows through all timesteps.</content>
public static unsafe partial class ReverseSampler
{
    private struct SampleWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public SampleKernel Kernel;
        public float* Packed;

        /// <summary>bias + obs·W per state, as <see cref="SharedStart"/> wants it.</summary>
        public float* Product;

        /// <summary>[T, first hidden width].</summary>
        public float* TimeBias;
        public float* Scratch;
        public int ScratchSize;
        public int Lanes;

        /// <summary>Actions, noise by row and by column, two hidden panels, a start panel and a bias.</summary>
        public static int ScratchFor(NoiseNetworkShape shape) =>
            Panel.Rows * ((3 * shape.ActionDim) + (3 * Hidden(shape)) + (shape.Main.Widths[1] / Panel.Rows) + 1);

        public readonly void Run(int block, int worker)
        {
            var shape = Kernel.Shape;
            var first = shape.Main.Widths[1];
            var slab = new Slab(block, Lanes, Kernel.Rows);
            var hiddenSize = Panel.Rows * Hidden(shape);
            var x = Scratch + ((nint)worker * ScratchSize);
            var noiseRows = x + (Panel.Rows * shape.ActionDim);
            var noise = noiseRows + (Panel.Rows * shape.ActionDim);
            var hidden = noise + (Panel.Rows * shape.ActionDim);
            var spare = hidden + hiddenSize;
            var startPanel = spare + hiddenSize;
            var startBias = startPanel + hiddenSize;

            var shared = new SharedStart(Product, Kernel.Particles, Kernel.Rows, first);
            var row = shared.Row(slab);
            var start = row == null ? shared.StartPanel(slab, startPanel) : null;

            Noise(Kernel.InitialNoise, Kernel.InitialKey, 0, slab, noiseRows, x);
            Scale(x, slab.Lanes);
            for (var t = Kernel.Coefficients.Timesteps - 1; t >= 0; t--)
            {
                var bias = TimeBias + ((nint)t * first);
                if (row != null)
                {
                    Add<TSimd, V>(row, bias, first, startBias);
                    bias = startBias;
                }

                var epsilon = Network(x, bias, start, hidden, spare, slab.Lanes);
                var draw = Kernel.Coefficients.Timesteps - 1 - t;
                if (t > 0)
                    Noise(Kernel.StepNoise, Kernel.StepKey, draw, slab, noiseRows, noise);
                Step(t, x, epsilon, noise, slab.Lanes);
            }

            Clip(x, slab.Lanes);
            Panel.Scatter(x, Kernel.Rows, shape.ActionDim, slab.First, slab.Lanes, Kernel.Actions);
        }

        private static int Hidden(NoiseNetworkShape shape)
        {
            var widest = 0;
            foreach (var width in shape.Main.Widths[1..])
                widest = Math.Max(widest, width);
            return widest;
        }

        /// <summary>ε_θ for the slab: the first layer from its action columns alone, then the others.</summary>
        private readonly float* Network(float* x, float* bias, float* start, float* y, float* spare, int lanes)
        {
            var main = Kernel.Shape.Main;
            var packed = Packed + ((nint)Kernel.Shape.ObsDim * main.Widths[1]);
            var inputs = Kernel.Shape.ActionDim;
            for (var layer = 0; layer < main.LayerCount; layer++)
            {
                Layer<TSimd, V>.Forward(
                    packed, inputs, main.Widths[layer + 1], bias, start, x, y, null, main.ActivationOf(layer), lanes,
                    Norm.Of(main, layer, Kernel.Main));
                if (layer + 1 == main.LayerCount)
                    break;
                inputs = main.Widths[layer + 1];
                packed = Packed + main.WeightOffset(layer + 1);
                bias = Kernel.Main + main.BiasOffset(layer + 1);
                start = null;
                x = y;
                y = spare;
                spare = x;
            }

            return y;
        }

        /// <summary>Normals of the slab's rows, from memory or from their stream, as a panel.</summary>
        private readonly void Noise(float* given, PhiloxKey key, int draw, Slab slab, float* rows, float* panel)
        {
            var columns = Kernel.Shape.ActionDim;
            if (given != null)
            {
                var all = given + ((nint)draw * Kernel.Rows * columns);
                Panel.Gather(all, Kernel.Rows, columns, slab.First, slab.Lanes, panel);
                return;
            }

            var offset = (((long)draw * Kernel.Rows) + slab.First) * columns;
            Philox.Fill<TSimd, V>(key, offset, rows, slab.Lanes * columns, normal: true);
            Transposition.Run(rows, columns, slab.Lanes, columns, panel, Panel.Rows);
        }

        /// <summary>The posterior step from x_t to x_(t-1).</summary>
        private readonly void Step(int t, float* x, float* epsilon, float* noise, int lanes)
        {
            var step = new ReverseStep<TSimd, V>(Kernel.Coefficients, t);
            for (var column = 0; column < Kernel.Shape.ActionDim; column++)
            {
                for (var lane = 0; lane < lanes; lane += TSimd.Width)
                {
                    var at = (column * Panel.Rows) + lane;
                    TSimd.Store(
                        x + at, step.Next(TSimd.Load(x + at), TSimd.Load(epsilon + at), TSimd.Load(noise + at)));
                }
            }
        }

        private readonly void Scale(float* x, int lanes)
        {
            for (var column = 0; column < Kernel.Shape.ActionDim; column++)
            {
                for (var lane = 0; lane < lanes; lane += TSimd.Width)
                {
                    var at = x + (column * Panel.Rows) + lane;
                    TSimd.Store(at, TSimd.Mul(TSimd.Load(at), TSimd.Splat(Kernel.InitialScale)));
                }
            }
        }

        private readonly void Clip(float* x, int lanes)
        {
            for (var column = 0; column < Kernel.Shape.ActionDim; column++)
            {
                for (var lane = 0; lane < lanes; lane += TSimd.Width)
                {
                    var at = x + (column * Panel.Rows) + lane;
                    TSimd.Store(at, ReverseStep<TSimd, V>.Unit(TSimd.Load(at)));
                }
            }
        }
    }
}
