using Sdac.Environments;

namespace Sdac.PushT;

/// <summary>Chipmunk simulating PushT: for each environment of a batch the episode that it was in last.</summary>
internal sealed class PushTEngine : IEngine
{
    private readonly PushTOptions options;
    private readonly PerEnvironment<Episode> episodes = new(static () => new Episode());

    public PushTEngine(PushTTask task)
    {
        ChipmunkLibrary.Load();
        options = task.PushTOptions;
        Spec = new EnvSpec
        {
            Task = task.Name,
            ObsDim = Rules.ObsDim(options.ObsType),
            ActionLow = [0, 0],
            ActionHigh = [PushTTask.Table, PushTTask.Table],
            FrameSkip = World.Substeps,
            Dt = World.Substeps * World.Dt,
            MaxEpisodeSteps = PushTTask.MaxEpisodeSteps,
            InfoNames = Rules.InfoNames,
            EpisodeFigures = Rules.EpisodeFigures,
            Options = task.Options,
        };
    }

    /// <inheritdoc/>
    public EnvSpec Spec { get; }

    /// <inheritdoc/>
    public int StateSize => Episode.StateSize;

    /// <inheritdoc/>
    public int MeasureDim => 0;

    /// <inheritdoc/>
    public IScratch NewScratch() => new PushTScratch(this, options);

    /// <inheritdoc/>
    public Scene Scene => PushTScene.Scene;

    /// <inheritdoc/>
    public IPoser NewPoser() => new PushTPoser();

    /// <summary>The episode of an environment. Its own thread alone asks for it.</summary>
    public Episode EpisodeOf(int environment) => episodes[environment];

    /// <summary>Frees all worlds.</summary>
    public void Dispose() => episodes.Dispose();
}
