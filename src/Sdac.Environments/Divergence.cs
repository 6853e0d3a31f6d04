namespace Sdac.Environments;

/// <summary>
/// What to do when the engine warns (MuJoCo: bad acceleration, full buffers) or an observation or reward is not finite.
/// </summary>
public enum Divergence
{
    /// <summary>Throw a SimulationException.</summary>
    Stop,

    /// <summary>
    /// Truncate the episode: reward 0, the final observation is the one before the step, and the next episode begins.
    /// </summary>
    Reset,
}
