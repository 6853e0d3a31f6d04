using System;
using System.Globalization;
using System.IO;
using System.Linq;
using Sdac.Functional;

namespace Sdac.Benchmarks;

/// <summary>The stages of every registered algorithm, and a process that trains for very long.</summary>
internal sealed class AlgorithmBenchmarks(TextWriter table, TextWriter? json, double seconds)
{
    /// <summary>Every registered algorithm by its name, and what measures it.</summary>
    public (string Name, Action Run)[] Stages() =>
        [.. RegistryModule.all(RegistryModule.standard).Select(a => (a.Name, new Action(() => Run(a))))];

    private void Run(IAlgorithm algorithm)
    {
        table.WriteLine();
        table.WriteLine($"{algorithm.Title + ", HalfCheetah-v4, published settings",-72} {"ms",9}");
        foreach (var (name, ms) in Benchmarks.Stages.measure(seconds, algorithm))
        {
            table.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {name,-70} {ms,9:F2}"));
            json?.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"bench\":\"{algorithm.Name}\",\"config\":\"{name}\",\"ms\":{ms:G5}}}"));
        }
    }

    /// <summary>Whole iterations of PPO, physics included, in turn with TorchSharp's.</summary>
    public void PpoIterations()
    {
        table.WriteLine();
        table.WriteLine($"{"an iteration of PPO, HalfCheetah-v4, 2,048 steps, 10 epochs, 64x64",-72} {"ms",9}");
        foreach (var (name, ms) in PpoIteration.measure(seconds))
        {
            table.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {name,-70} {ms,9:F1}"));
            json?.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"bench\":\"ppo-iteration\",\"config\":\"{name}\",\"median_ms\":{ms:G5}}}"));
        }
    }

    /// <summary>What the updates of all algorithms cost, by cause; counts: without times.</summary>
    public void Costs(bool counts) => AlgorithmCosts.run(
        typeof(AlgorithmBenchmarks).Assembly.Location, counts ? 1e-3 : seconds, !counts, "artifacts/benchmarks",
        Microsoft.FSharp.Core.FuncConvert.FromAction<string>(table.WriteLine));

    public void Soak(long rounds)
    {
        table.WriteLine();
        table.WriteLine($"{"rounds of a very small SDAC",28} {"resident MiB",14} {"live tensors",14}");
        var readings = Benchmarks.Soak.run(rounds, Microsoft.FSharp.Core.FuncConvert.FromAction<SoakReading>(r =>
            table.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{r.Rounds,28:N0} {r.ResidentMiB,14:F1} {r.LiveTensors,14}"))));
        var (first, last) = (readings.First(), readings.Last());
        var ratio = last.ResidentMiB / first.ResidentMiB;
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"  resident set at the end over that after {first.Rounds:N0} rounds: {ratio:F4}; live tensors {first.LiveTensors} and {last.LiveTensors}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{{\"bench\":\"soak\",\"config\":\"{rounds}\",\"ratio\":{ratio:G5}}}"));
    }
}
