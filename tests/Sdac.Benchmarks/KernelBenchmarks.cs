using System.Collections.Generic;
using BenchmarkDotNet.Attributes;

namespace Sdac.Benchmarks;

/// <summary>The same cases under BenchmarkDotNet, without the peer.</summary>
[MemoryDiagnoser]
public class KernelBenchmarks
{
    private Case current = null!;

    /// <summary>Names and sizes of the cases.</summary>
    public static IEnumerable<string> Names()
    {
        foreach (var one in KernelCases.All())
            yield return $"{one.Name} {one.Config}";
    }

    /// <summary>The case to run.</summary>
    [ParamsSource(nameof(Names))]
    public string Name { get; set; } = "";

    /// <summary>Prepares the case's data.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        foreach (var one in KernelCases.All())
        {
            if ($"{one.Name} {one.Config}" == Name)
                current = one;
        }
    }

    /// <summary>Runs the case once.</summary>
    [Benchmark]
    public void Run() => current.Run();
}
