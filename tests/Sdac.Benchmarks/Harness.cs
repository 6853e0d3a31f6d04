using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

/// <summary>
/// Runs each case in turn with its sgemm peer, round after round, so that a bad spell of a shared machine hits both,
/// and reports medians. The fraction of peak is the median over rounds of (case's rate / sgemm's rate).
/// </summary>
internal sealed class Harness(TextWriter table, TextWriter? json, double seconds)
{
    private const int FewestRounds = 7;

    public void Header(int threads)
    {
        table.WriteLine($"threads {threads}, medians, {seconds} s per case");
        table.WriteLine($"{"bench",-14} {"config",-50} {"ms",9} {"p10",9} {"p90",9} {"GFLOP/s",9} {"of sgemm",9}");
    }

    public void Measure(Case wanted)
    {
        var times = new List<double>();
        var peers = new List<double>();
        var repeats = Calibrate(wanted.Run);
        // A long case gets a peer that is not too short, lest it fall between two bad spells.
        var peerRepeats = wanted.Peer is null ? 0 : Calibrate(wanted.Peer.Run, 0.1 * Time(wanted.Run, 1));
        var clock = Stopwatch.StartNew();
        while (times.Count < FewestRounds || clock.Elapsed.TotalSeconds < seconds)
        {
            times.Add(Time(wanted.Run, repeats));
            if (wanted.Peer is not null)
                peers.Add(Time(wanted.Peer.Run, peerRepeats));
        }

        var rate = wanted.Gflop / Quantile(times, 0.5);
        double? ofPeak = wanted.Peer is null
            ? null
            : Quantile(times.Zip(peers, (time, peer) => wanted.Gflop / time / (wanted.Peer.Gflop / peer)), 0.5);
        Report(wanted, times, rate, ofPeak);
    }

    private void Report(Case wanted, List<double> times, double rate, double? ofPeak)
    {
        var median = 1e3 * Quantile(times, 0.5) / wanted.Units;
        var p10 = 1e3 * Quantile(times, 0.1) / wanted.Units;
        var p90 = 1e3 * Quantile(times, 0.9) / wanted.Units;
        var gflops = wanted.Gflop > 0 ? rate.ToString("F1", CultureInfo.InvariantCulture) : "";
        var peak = ofPeak?.ToString("P1", CultureInfo.InvariantCulture) ?? "";
        table.WriteLine(
            $"{wanted.Name,-14} {wanted.Config,-50} {median,9:F4} {p10,9:F4} {p90,9:F4} {gflops,9} {peak,9}");
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"{wanted.Name}\",\"config\":\"{wanted.Config}, threads {Workers.Threads}\"," +
            $"\"median_ms\":{median:G6},\"p10\":{p10:G6},\"p90\":{p90:G6},\"gflop\":{wanted.Gflop / wanted.Units:G6}," +
            $"\"gflops\":{rate:G6}," +
            $"\"of_peak\":{ofPeak?.ToString("G4", CultureInfo.InvariantCulture) ?? "null"}}}"));
    }

    /// <summary>Warms up and finds how many runs make about 5 ms, or the given seconds if more.</summary>
    private static int Calibrate(Action run, double least = 0)
    {
        for (var warm = Stopwatch.StartNew(); warm.ElapsedMilliseconds < 200;)
            run();
        var once = Enumerable.Range(0, 5).Min(_ => Time(run, 1));
        return (int)Math.Clamp(Math.Max(0.005, least) / once, 1, 10_000);
    }

    /// <summary>Seconds per run.</summary>
    internal static double Time(Action run, int repeats)
    {
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < repeats; i++)
            run();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / repeats;
    }

    internal static double Median(IEnumerable<double> values) => Quantile(values, 0.5);

    internal static double Quantile(IEnumerable<double> values, double q)
    {
        var sorted = values.Order().ToArray();
        return sorted[(int)Math.Round(q * (sorted.Length - 1))];
    }
}
