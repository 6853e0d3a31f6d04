using System.Runtime.InteropServices;
using Sdac.Kernels;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Benchmarks;

/// <summary>One fused layer on activations that already lie in panels.</summary>
internal sealed unsafe class PanelLayer(MlpShape shape, nint parameters, int rows, nint x)
{
    private readonly nint packed = Allocate(shape.ParameterCount);
    private readonly nint y = Allocate(rows * shape.OutputWidth);

    public void Run()
    {
        var kernel = new Kernel(shape, (float*)parameters, rows, (float*)x, (float*)packed, (float*)y);
        KernelPaths.Run(ref kernel);
    }

    private static nint Allocate(int floats) => (nint)NativeMemory.AlignedAlloc((nuint)floats * sizeof(float), 64);

    private readonly struct Kernel(MlpShape shape, float* parameters, int rows, float* x, float* packed, float* y)
        : IKernel
    {
        public void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var pack = new PackWork<TSimd, V>(shape, parameters, 0, 0, packed, backward: false);
            Workers.For(PackWork<TSimd, V>.Blocks(shape, 0, 0, backward: false), ref pack);
            var work = new Work<TSimd, V>(shape, parameters, x, packed, y);
            Workers.For(Panel.Count(rows), ref work);
        }
    }

    private readonly struct Work<TSimd, V>(MlpShape shape, float* parameters, float* x, float* packed, float* y)
        : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public void Run(int block, int worker) =>
            Layer<TSimd, V>.Forward(
                packed, shape.InputWidth, shape.OutputWidth, parameters + shape.BiasOffset(0), null,
                x + ((nint)block * Panel.Rows * shape.InputWidth), y + ((nint)block * Panel.Rows * shape.OutputWidth),
                null, shape.Output, Panel.Rows);
    }
}
