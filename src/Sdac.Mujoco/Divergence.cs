namespace Sdac.Mujoco;

/// <summary>
/// What to do when MuJoCo warns (bad acceleration, full buffers) or an observation or reward is not finite.
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
