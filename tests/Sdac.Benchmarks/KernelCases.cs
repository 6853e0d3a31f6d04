using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

using Adam = global::Sdac.Kernels.Adam;
using Mlp = global::Sdac.Kernels.Mlp;
using Polyak = global::Sdac.Kernels.Polyak;

/// <summary>The kernels at the sizes of the published experiments.</summary>
internal static unsafe class KernelCases
{
    private const int Batch = 256;
    private const int Particles = 32;
    private const int Timesteps = 20;

    private static readonly (string Task, int Obs, int Action)[] Tasks =
        [("HalfCheetah", 17, 6), ("Humanoid", 376, 17)];

    public static IEnumerable<Case> All()
    {
        yield return RegisterPeak.Case();
        yield return FusedLayer();
        yield return FusedPanels();
        foreach (var (task, obs, action) in Tasks)
            yield return Training(task, obs + action);
        foreach (var (task, obs, action) in Tasks)
        {
            yield return Sampling("sampler", task, obs, action, Batch, Particles);
            yield return Sampling("sampler-light", task, obs, action, Batch, 1);
            yield return Sampling("latency", task, obs, action, 1, Particles);
        }

        yield return Critics("HalfCheetah", 17, 6);
        yield return Optimiser();
        yield return Normals();
    }

    private static Case FusedLayer()
    {
        const int Rows = 8192, Width = 256;
        var shape = new MlpShape([Width, Width], Activation.Identity, Activation.Mish);
        var parameters = Numbers(shape.ParameterCount, 0.1f);
        var x = Numbers(Rows * Width, 1);
        var y = new float[Rows * Width];
        return new Case(
            "layer", $"{Rows}x{Width}x{Width} mish, row-major", Products((Rows, Width, Width)),
            () => Mlp.Forward(shape, parameters, default, 1, x, Rows, y), Sgemm((Rows, Width, Width)));
    }

    /// <summary>The layer as networks use it: panels in, panels out.</summary>
    private static Case FusedPanels()
    {
        const int Rows = 8192, Width = 256;
        var shape = new MlpShape([Width, Width], Activation.Identity, Activation.Mish);
        var parameters = Native(Numbers(shape.ParameterCount, 0.1f));
        var panels = new PanelLayer(shape, parameters, Rows, Native(Numbers(Rows * Width, 1)));
        return new Case(
            "layer-panels", $"{Rows}x{Width}x{Width} mish, inside a network", Products((Rows, Width, Width)),
            panels.Run, Sgemm((Rows, Width, Width)));
    }

    private static Case Training(string task, int inputs)
    {
        var shape = new MlpShape([inputs, 256, 256, 256, 1], Activation.Mish, Activation.Identity);
        var parameters = Numbers(shape.ParameterCount, 0.1f);
        var x = Numbers(Batch * inputs, 1);
        var y = new float[Batch];
        var dy = Numbers(Batch, 1);
        var gradient = new float[shape.ParameterCount];
        var forward = new[] { (Batch, 256, inputs), (Batch, 256, 256), (Batch, 256, 256), (Batch, 1, 256) };
        var inputGradients = new[] { (Batch, 256, 256), (Batch, 256, 256), (Batch, 256, 1) };
        var weightGradients = new[] { (inputs, 256, Batch), (256, 256, Batch), (256, 256, Batch), (256, 1, Batch) };
        (int, int, int)[] products = [.. forward, .. inputGradients, .. weightGradients];
        return new Case(
            "train", $"{task}: {Batch} rows, 3x256, forward + backward", Products(products), () =>
            {
                using var tape = Mlp.ForwardTape(shape, parameters, default, 1, x, Batch, y);
                Mlp.Backward(shape, parameters, tape, dy, gradient, default);
            },
            Sgemm(products));
    }

    private static Case Sampling(string name, string task, int obs, int action, int states, int particles)
    {
        var shape = new NoiseNetworkShape(obs, action, 16, 32, [256, 256, 256]);
        var parameters = Numbers(shape.ParameterCount, 0.1f);
        var coefficients = Schedule();
        var observations = Numbers(states * obs, 1);
        var rows = states * particles;
        var actions = new float[rows * action];
        var perStep = Products((rows, 256, action), (rows, 256, 256), (rows, 256, 256), (rows, action, 256));
        return new Case(
            name, $"{task}: {states} x {particles} x {Timesteps}", Products((states, 256, obs)) + (Timesteps * perStep),
            () => ReverseSampler.Sample(
                shape, parameters, coefficients, observations, states, particles, 0.5f, new PhiloxKey(1, 2, 3, 4),
                new PhiloxKey(5, 6, 7, 8), actions),
            Sgemm((Math.Max(rows, 32), 256, 256)));
    }

    /// <summary>Q of 64 actions for each of 256 states, as the weights of RSSM need it.</summary>
    private static Case Critics(string task, int obs, int action)
    {
        const int Draws = 64;
        var shape = new MlpShape([obs + action, 256, 256, 256, 1], Activation.Mish, Activation.Identity);
        var parameters = Numbers(shape.ParameterCount, 0.1f);
        var observations = Numbers(Batch * obs, 1);
        var rows = Batch * Draws;
        var actions = Numbers(rows * action, 1);
        var q = new float[rows];
        return new Case(
            "critic", $"{task}: Q of {Batch} x {Draws} actions",
            Products((Batch, 256, obs), (rows, 256, action), (rows, 256, 256), (rows, 256, 256), (rows, 1, 256)),
            () => Mlp.Forward(shape, parameters, observations, Draws, actions, rows, q), Sgemm((rows, 256, 256)));
    }

    private static Case Optimiser()
    {
        var count = new NoiseNetworkShape(17, 6, 16, 32, [256, 256, 256]).ParameterCount;
        var p = Numbers(count, 1);
        var g = Numbers(count, 1);
        float[] m = new float[count], v = new float[count], target = Numbers(count, 1);
        long step = 0;
        return new Case("optimiser", $"Adam + Polyak, {count} parameters", 0, () =>
        {
            Adam.Step(p, m, v, g, p, m, v, 3e-4, 0.9, 0.999, 1e-8, ++step);
            Polyak.Step(target, p, 0.005, target);
        });
    }

    private static Case Normals()
    {
        const int Count = Batch * Particles * 6 * Timesteps;
        var values = new float[Count];
        var key = new PhiloxKey(1, 2, 3, 4);
        return new Case("normals", $"{Count} Philox normals", 0, () => Philox.Normal(key, 0, values.AsSpan()));
    }

    internal static Peer Sgemm(params (int Rows, int Columns, int Depth)[] products)
    {
        var a = Native(Numbers(products.Max(p => p.Rows * p.Depth), 1));
        var b = Native(Numbers(products.Max(p => p.Depth * p.Columns), 0.1f));
        var c = Native(new float[products.Max(p => p.Rows * p.Columns)]);
        return new Peer(Products(products), () =>
        {
            foreach (var (rows, columns, depth) in products)
                OpenBlas.Multiply(rows, columns, depth, (float*)a, (float*)b, (float*)c);
        });
    }

    private static double Products(params (int Rows, int Columns, int Depth)[] products) =>
        products.Sum(p => 2e-9 * p.Rows * p.Columns * p.Depth);

    private static ReverseCoefficients Schedule()
    {
        float[] Each(double first, double last) =>
            [.. Enumerable.Range(0, Timesteps).Select(t => (float)(first + ((last - first) * t / (Timesteps - 1))))];
        return new ReverseCoefficients(Each(1, 20), Each(0.01, 19), Each(1, 0.1), Each(0, 0.9), Each(0.01, 0.8));
    }

    internal static float[] Numbers(int count, float scale)
    {
        var random = new Random(count);
        return [.. Enumerable.Range(0, count).Select(_ => scale * (float)((2 * random.NextDouble()) - 1))];
    }

    /// <summary>A copy that stays where it is for the life of the process.</summary>
    internal static nint Native(float[] values)
    {
        var copy = (nint)NativeMemory.AlignedAlloc((nuint)values.Length * sizeof(float), 64);
        values.CopyTo(new Span<float>((void*)copy, values.Length));
        return copy;
    }
}
