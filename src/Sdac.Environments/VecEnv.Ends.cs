using System;
using static System.FormattableString;

namespace Sdac.Environments;

/// <content>How an episode ended.</content>
public sealed partial class VecEnv
{
    /// <summary>
    /// The engine's state that an action leads one environment to, before any reset: what an episode's last moment is,
    /// since the states that a step gives hold the next one's first there.
    /// </summary>
    /// <param name="states">Where the environments are; unchanged.</param>
    /// <param name="environment">Which one.</param>
    /// <param name="action">[ActionDim] in the task's units.</param>
    /// <exception cref="ArgumentException">No such environment, an action of the wrong length, states of another task.</exception>
    /// <exception cref="SimulationException">The simulation diverged.</exception>
    public double[] StateAfter(EnvStates states, int environment, ReadOnlySpan<float> action)
    {
        CheckStates(states, nameof(states));
        if (environment < 0 || environment >= Count)
            throw new RefusedArgumentException(Invariant($"{spec.Task}: there is no environment {environment} among {Count}."));
        if (action.Length != spec.ActionDim)
            throw new RefusedArgumentException($"{spec.Task}: an action has {spec.ActionDim} components, not {action.Length}.");
        Enter();
        try
        {
            var (control, next) = (new double[spec.ActionDim], new double[stateSize]);
            for (var i = 0; i < control.Length; i++)
                control[i] = action[i];
            var complaint = rooms[0].Scratch.Step(environment, PhysicsOf(states, environment), control, next);
            return complaint is null
                ? next
                : throw new SimulationException(spec.Task, environment, states.ElapsedSteps[environment] + 1, complaint);
        }
        finally
        {
            Leave();
        }
    }
}
