using System;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

/// <summary>A record of one environment under uniform random actions: what the bare loop repeats.</summary>
internal sealed class Episodes
{
    public Episodes(VecEnv env, int steps)
    {
        var spec = env.Spec;
        Steps = steps;
        FrameSkip = spec.FrameSkip;
        StateSize = env.Engine.StateSize;
        ActionDim = spec.ActionDim;
        Actions = new double[steps * ActionDim];
        Starts = new byte[steps];
        Ends = new byte[steps];
        States = new double[steps * StateSize];
        Philox.Uniform(new PhiloxKey(1, 2, 3, 4), 0, Actions);
        for (var i = 0; i < Actions.Length; i++)
        {
            var (low, high) = (spec.ActionLow[i % ActionDim], spec.ActionHigh[i % ActionDim]);
            Actions[i] = low + (high - low) * Actions[i];
        }

        First = env.Reset(new PhiloxKey(5, 6, 7, 8));
        var states = First;
        for (var step = 0; step < steps; step++)
        {
            Starts[step] = (byte)(states.Elapsed[0] == 0 ? 1 : 0);
            states.Physics.CopyTo(States.AsSpan(step * StateSize));
            states = env.Step(states, ActionOf(step)).Next;
            Ends[step] = (byte)(states.Elapsed[0] == 0 ? 1 : 0);
        }

        Last = states;
    }

    public int Steps { get; }

    public int FrameSkip { get; }

    public int StateSize { get; }

    public int ActionDim { get; }

    public double[] Actions { get; }

    public byte[] Starts { get; }

    public byte[] Ends { get; }

    public double[] States { get; }

    public EnvStates First { get; }

    public EnvStates Last { get; }

    public ReadOnlySpan<double> ActionOf(int step) => Actions.AsSpan(step * ActionDim, ActionDim);
}
