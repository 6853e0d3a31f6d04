using System;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Sdac.Benchmarks;

/// <summary>What stopping and resuming cost: the pause of a checkpoint, reading it back, all of a run's overhead.</summary>
internal sealed class CheckpointBenchmarks(TextWriter table, TextWriter? json)
{
    public void Run()
    {
        table.WriteLine();
        table.WriteLine($"{"HalfCheetah-v4, published settings, memory full",-72} {"s",9}");
        foreach (var (name, seconds) in Checkpoints.measure())
            Row(name, seconds);
    }

    public void Overhead()
    {
        var rows = Checkpoints.overhead().ToArray();
        var all = rows[0].Item2 + rows[^1].Item2;
        table.WriteLine();
        table.WriteLine($"{"laptop preset, of 10,000 iterations",-72} {"s",9}");
        foreach (var (name, seconds) in rows)
            Row(name, seconds);
        var share = rows.Skip(1).Sum(row => row.Item2) / all;
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  {"logging, progress and checkpoints together",-70} {share,9:P2}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{{\"bench\":\"overhead\",\"config\":\"laptop\",\"share\":{share:G4}}}"));
    }

    private void Row(string name, double seconds)
    {
        table.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {name,-70} {seconds,9:F3}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"checkpoint\",\"config\":\"{name}\",\"seconds\":{seconds:G5}}}"));
    }
}
