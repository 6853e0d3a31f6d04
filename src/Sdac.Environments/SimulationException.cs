namespace Sdac.Environments;

/// <summary>
/// A simulation left the numbers' range, or the engine warned about it: which task, environment and step.
/// </summary>
public sealed class SimulationException : EngineException
{
    /// <summary>
    /// Names the task, the environment (from 0), the step of its episode (from 1; 0 is the reset) and the cause.
    /// </summary>
    public SimulationException(string task, int environment, int step, string cause)
        : base($"{task}, environment {environment}, step {step} of its episode: {cause}")
    {
        Task = task;
        Environment = environment;
        Step = step;
        Cause = cause;
    }

    /// <summary>The task's name.</summary>
    public string Task { get; }

    /// <summary>The environment's index in its batch, from 0.</summary>
    public int Environment { get; }

    /// <summary>The step of the episode, from 1; 0 is the reset.</summary>
    public int Step { get; }

    /// <summary>The engine's own words, or the name of the quantity that is not a finite number.</summary>
    public string Cause { get; }
}
