using System;
using System.IO;
using System.Runtime.InteropServices;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

using Mlp = global::Sdac.Kernels.Mlp;

/// <summary>A fused layer with mish, ours and oneDNN's, over the same numbers.</summary>
internal sealed unsafe partial class OneDnnLayer
{
    // Where ./build.sh bench --peer puts it.
    private const string Library = "libonednn_layer.so";
    private static readonly string Folder = Path.Combine(Artifacts.Folder, "onednn");

    private readonly int rows;
    private readonly MlpShape shape;
    private readonly float[] parameters;
    private readonly float[] x;
    private readonly float[] y;
    private readonly nint output;
    private readonly PanelLayer panels;

    static OneDnnLayer() => NativeLibrary.SetDllImportResolver(typeof(OneDnnLayer).Assembly, Resolve);

    /// <exception cref="InvalidOperationException">The library is missing or refuses the sizes.</exception>
    public OneDnnLayer(int rows, int width)
    {
        this.rows = rows;
        shape = new MlpShape([width, width], Activation.Identity, Activation.Mish);
        parameters = KernelCases.Numbers(shape.ParameterCount, 0.1f);
        x = KernelCases.Numbers(rows * width, 1);
        y = new float[rows * width];
        output = KernelCases.Native(y);
        var own = (float*)KernelCases.Native(parameters);
        var input = KernelCases.Native(x);
        panels = new PanelLayer(shape, (nint)own, rows, input);
        var status = Open(
            rows, width, width, (float*)input, own + shape.WeightOffset(0), own + shape.BiasOffset(0),
            (float*)output);
        if (status != 0)
            throw new InvalidOperationException($"oneDNN refuses a layer of {rows} x {width} x {width}: status {status}.");
    }

    public void Ours() => Mlp.Forward(shape, parameters, default, 1, x, rows, y);

    /// <summary>The same with the rows already as networks hold them.</summary>
    public void OursInPanels() => panels.Run();

    public void Its()
    {
        if (Run(Workers.Threads) is var status and not 0)
            throw new InvalidOperationException($"oneDNN's layer failed: status {status}.");
    }

    /// <summary>Runs both and compares: they must be doing the same thing.</summary>
    /// <exception cref="InvalidOperationException">They are not.</exception>
    public void Check()
    {
        Ours();
        Its();
        for (var i = 0; i < y.Length; i++)
        {
            var other = ((float*)output)[i];
            if (!(MathF.Abs(y[i] - other) <= 1e-4f * (1 + MathF.Abs(other))))
                throw new InvalidOperationException($"Entry {i} is {y[i]} here and {other} in oneDNN.");
        }
    }

    private static nint Resolve(string name, System.Reflection.Assembly assembly, DllImportSearchPath? search)
    {
        var path = Path.Combine(Folder, name);
        return name == Library && File.Exists(path) ? NativeLibrary.Load(path) : 0;
    }

    [LibraryImport(Library, EntryPoint = "onednn_open")]
    private static partial int Open(
        int rows, int inputs, int outputs, float* input, float* weights, float* bias, float* output);

    [LibraryImport(Library, EntryPoint = "onednn_run")]
    private static partial int Run(int threads);
}
