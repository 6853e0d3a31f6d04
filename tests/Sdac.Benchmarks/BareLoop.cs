using System;
using System.IO;
using System.Runtime.InteropServices;
using Sdac.Mujoco;

namespace Sdac.Benchmarks;

/// <summary>mj_step in a loop, in C, over the same episodes as an environment.</summary>
internal sealed class BareLoop : IDisposable
{
    /// <param name="model">The model's name.</param>
    /// <param name="controlSuite">Whether a step is the Control Suite's.</param>
    /// <param name="drift">Steps without controls that each episode begins with.</param>
    public BareLoop(string model, bool controlSuite, int drift)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, Models.Text(model));
            if (bare_open(path, controlSuite ? 1 : 0, drift) != 0)
                throw new MujocoException($"The bare loop cannot load {path}.");
        }
        finally
        {
            File.Delete(path);
        }

        foreach (var (field, index, number) in Models.Replaced(model))
            bare_replace(field, index, number);
    }

    /// <summary>Runs steps first to first + count - 1 from where the last call left off.</summary>
    public void Run(Episodes episodes, int first, int count) =>
        bare_run(
            first,
            count,
            episodes.FrameSkip,
            episodes.Actions,
            episodes.Starts,
            episodes.Ends,
            episodes.States,
            episodes.StateSize);

    /// <summary>Two loops that share nothing, one after the other and then on two threads.</summary>
    /// <returns>Seconds of both. Their ratio is what a second processor is worth at this moment.</returns>
    public (double InTurn, double SideBySide) RunPair(Episodes episodes, int first, int count)
    {
        var status = bare_pair(
            first,
            count,
            episodes.FrameSkip,
            episodes.Actions,
            episodes.Starts,
            episodes.Ends,
            episodes.States,
            episodes.StateSize,
            out var inTurn,
            out var sideBySide);
        return status == 0 ? (inTurn, sideBySide) : throw new MujocoException("The bare loop's thread does not start.");
    }

    /// <summary>Where the loop has come to: the environment must be there too.</summary>
    public double[] Qpos(int nq)
    {
        var qpos = new double[nq];
        bare_state(qpos);
        return qpos;
    }

    public void Dispose() => bare_close();

    [DllImport("libbare_loop.so")]
    private static extern int bare_open(string path, int controlSuite, int drift);

    [DllImport("libbare_loop.so")]
    private static extern void bare_replace(string field, int index, double number);

    [DllImport("libbare_loop.so")]
    private static extern void bare_close();

    [DllImport("libbare_loop.so")]
    private static extern void bare_run(
        int first, int count, int frameSkip, double[] ctrl, byte[] starts, byte[] ends, double[] states, int size);

    [DllImport("libbare_loop.so")]
    private static extern int bare_pair(
        int first,
        int count,
        int frameSkip,
        double[] ctrl,
        byte[] starts,
        byte[] ends,
        double[] states,
        int size,
        out double inTurn,
        out double sideBySide);

    [DllImport("libbare_loop.so")]
    private static extern void bare_state(double[] qpos);
}
