using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Strips of actions through all timesteps, then through the critics.</content>
public sealed unsafe partial class PackedPolicy
{
    private const int StripSize = Strip.Rows * Strip.Stride;

    // Rows of a critic's block: as many as keep the second cache for the weights.
    private const int MostCriticRows = 32;

    private struct ActKernel : IKernel
    {
        public PackedPolicy Policy;
        public float* Obs;
        public float* TimeStarts;
        public int Particles;
        public PhiloxKey InitialKey;
        public PhiloxKey StepKey;
        public float* Actions;
        public float* FirstValues;
        public float* SecondValues;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var networks = 1 + Policy.critics.Length;
            var timesteps = Policy.coefficients.Timesteps;
            var threads = Cutting.Threads((long)Particles * Policy.shape.Main.ParameterCount * timesteps);
            var strips = StripsOf(Particles);
            const int scratchSize = 3 * MostCriticRows * Strip.Stride;
            var own = (networks * (long)Strip.Stride) + (strips * (long)StripSize);
            var floats = own + ((long)threads * scratchSize) + StripQueue.Words(strips);
            var memory = NativePool.Rent(floats);
            try
            {
                var scratch = memory + own;
                var words = (int*)(scratch + ((nint)threads * scratchSize));
                new Span<int>(words, StripQueue.Words(strips)).Clear();
                Policy.policies[0].Start<TSimd, V>(Obs, memory);
                var chains = new ChainWork<TSimd, V>
                {
                    Kernel = this,
                    Start = memory,
                    Strips = memory + (networks * Strip.Stride),
                    Queue = new StripQueue(words, strips, timesteps),
                    Scratch = scratch,
                    ScratchSize = scratchSize,
                };
                Workers.For(Math.Min(threads, strips), ref chains, threads);
                for (var i = 1; i < networks; i++)
                    Policy.critics[i - 1].Start<TSimd, V>(Obs, memory + (i * Strip.Stride));
                var values = new ValueWork<TSimd, V>(this, memory + Strip.Stride, scratch, scratchSize, threads);
                Workers.For(values.Blocks, ref values, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }
    }

    private static int StripsOf(int rows) => (rows + Strip.Rows - 1) / Strip.Rows;

    /// <summary>One thread's share of the chain: strips of actions, a timestep each time, until none is left to take.</summary>
    private struct ChainWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public ActKernel Kernel;

        /// <summary>What the observation adds to the first layer's sums.</summary>
        public float* Start;

        /// <summary>The strips' x_t.</summary>
        public float* Strips;
        public StripQueue Queue;
        public float* Scratch;
        public int ScratchSize;

        private readonly NoiseNetworkShape Shape => Kernel.Policy.shape;

        private readonly int Lanes => Strip.Padded(Shape.ActionDim);

        public readonly void Run(int block, int worker)
        {
            while (Queue.TryTake(worker, out var strip, out var done))
            {
                Advance(strip, done, worker);
                Queue.Return(strip, done);
            }
        }

        /// <summary>A strip from x_{t+1} to x_t, with what comes before the first timestep and behind the last.</summary>
        private readonly void Advance(int strip, int done, int worker)
        {
            var timesteps = Kernel.Policy.coefficients.Timesteps;
            var t = timesteps - 1 - done;
            var network = Kernel.Policy.policies[worker % Kernel.Policy.policies.Length];
            var first = strip * Strip.Rows;
            var present = Math.Min(Strip.Rows, Kernel.Particles - first);
            var x = Strips + ((nint)strip * StripSize);
            var noise = Scratch + ((nint)worker * ScratchSize);
            var hidden = noise + StripSize;
            var spare = hidden + StripSize;
            var numbers = spare + StripSize;
            var start = numbers + StripSize;

            if (done == 0)
            {
                Noise(Kernel.InitialKey, 0, first, present, numbers, x);
                Scale(x);
            }

            StartAt(t, start);
            var epsilon = network.Forward<TSimd, V>(start, Strip.Rows, x, hidden, spare);
            if (t > 0)
                Noise(Kernel.StepKey, done, first, present, numbers, noise);
            Step(t, x, epsilon, noise);
            if (t > 0)
                return;

            Finish(x);
            for (var row = 0; row < present; row++)
                Row(x, row).CopyTo(new Span<float>(
                    Kernel.Actions + ((nint)(first + row) * Shape.ActionDim), Shape.ActionDim));
        }

        private readonly Span<float> Row(float* strip, int row) => new(strip + (row * Strip.Stride), Shape.ActionDim);

        /// <summary>The observation's start and the timestep's, zero where outputs are padding.</summary>
        private readonly void StartAt(int t, float* start)
        {
            var width = Shape.Main.Widths[1];
            ReverseSampler.Add<TSimd, V>(Start, Kernel.TimeStarts + ((nint)t * width), width, start);
            new Span<float>(start + width, Strip.Padded(width) - width).Clear();
        }

        /// <summary>Normals of the strip's rows; zeros where there is no action.</summary>
        private readonly void Noise(PhiloxKey key, int draw, int first, int present, float* numbers, float* strip)
        {
            var columns = Shape.ActionDim;
            Philox.Fill<TSimd, V>(
                key, (((long)draw * Kernel.Particles) + first) * columns, numbers, present * columns, normal: true);
            for (var row = 0; row < Strip.Rows; row++)
            {
                new Span<float>(strip + (row * Strip.Stride), Lanes).Clear();
                if (row < present)
                    new ReadOnlySpan<float>(numbers + (row * columns), columns).CopyTo(Row(strip, row));
            }
        }

        private readonly void Step(int t, float* x, float* epsilon, float* noise)
        {
            var step = new ReverseStep<TSimd, V>(Kernel.Policy.coefficients, t);
            for (var row = 0; row < Strip.Rows; row++)
            {
                for (var at = row * Strip.Stride; at < (row * Strip.Stride) + Lanes; at += TSimd.Width)
                    TSimd.Store(
                        x + at, step.Next(TSimd.Load(x + at), TSimd.Load(epsilon + at), TSimd.Load(noise + at)));
            }
        }

        private readonly void Scale(float* x)
        {
            var scale = TSimd.Splat(Kernel.Policy.initialScale);
            for (var row = 0; row < Strip.Rows; row++)
            {
                for (var at = row * Strip.Stride; at < (row * Strip.Stride) + Lanes; at += TSimd.Width)
                    TSimd.Store(x + at, TSimd.Mul(TSimd.Load(x + at), scale));
            }
        }

        private readonly void Finish(float* x)
        {
            for (var row = 0; row < Strip.Rows; row++)
            {
                for (var at = row * Strip.Stride; at < (row * Strip.Stride) + Lanes; at += TSimd.Width)
                    TSimd.Store(x + at, ReverseStep<TSimd, V>.Unit(TSimd.Load(x + at)));
            }
        }
    }

    /// <summary>Some actions through one critic, so that each thread reads one network's weights alone.</summary>
    private struct ValueWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        private readonly ActKernel kernel;
        private readonly float* starts;
        private readonly float* scratch;
        private readonly int scratchSize;
        private readonly int rows;
        private readonly int pieces;

        public ValueWork(ActKernel kernel, float* starts, float* scratch, int scratchSize, int threads)
        {
            this.kernel = kernel;
            this.starts = starts;
            this.scratch = scratch;
            this.scratchSize = scratchSize;
            var wanted = Math.Max(1, (threads + 1) / 2);
            rows = Math.Min(MostCriticRows, StripsOf((kernel.Particles + wanted - 1) / wanted) * Strip.Rows);
            pieces = (kernel.Particles + rows - 1) / rows;
            Blocks = kernel.Policy.critics.Length * pieces;
        }

        public int Blocks { get; }

        public readonly void Run(int block, int worker)
        {
            var critic = block / pieces;
            var first = block % pieces * rows;
            var present = Math.Min(rows, kernel.Particles - first);
            var padded = StripsOf(present) * Strip.Rows;
            var columns = kernel.Policy.shape.ActionDim;
            var x = scratch + ((nint)worker * scratchSize);
            for (var row = 0; row < padded; row++)
            {
                var to = new Span<float>(x + (row * Strip.Stride), columns);
                if (row < present)
                    new ReadOnlySpan<float>(kernel.Actions + ((nint)(first + row) * columns), columns).CopyTo(to);
                else
                    to.Clear();
            }

            var size = rows * Strip.Stride;
            var y = kernel.Policy.critics[critic].Forward<TSimd, V>(
                starts + (critic * Strip.Stride), padded, x, x + size, x + (2 * size));
            var values = (critic == 0 ? kernel.FirstValues : kernel.SecondValues) + first;
            for (var row = 0; row < present; row++)
                values[row] = y[row * Strip.Stride];
        }
    }
}
