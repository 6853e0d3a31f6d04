namespace Sdac.Experiments

open Sdac

/// Playing the checkpoint of a run again.
[<RequireQualifiedAccess>]
module Evaluate =
    let private restore (model: Model) (task: string) (folder: RunFolder) (checkpoint: string option) =
        match checkpoint with
        | Some path -> struct (path, Checkpoint.load model task path, [])
        | None -> Checkpoint.newest model task folder

    /// Plays episodes with a checkpoint of the run in `path` and prints each, their mean and deviation. With the run's own
    /// seed and number of episodes this repeats the run's final evaluation.
    let run
        (path: string)
        (checkpoint: string option)
        (episodes: int option)
        (seed: int64 option)
        (threads: int)
        : unit =
        let folder = RunFolder.openExisting path
        let struct (spec, said) = Spec.ofRunOrPublished folder
        let e = spec.Experiment
        let episodes = defaultArg episodes spec.EvaluationEpisodes

        if episodes < 1 then
            Errors.fail (Usage $"--episodes is %d{episodes}; it must be at least 1")

        for sentence in said do
            eprintfn $"warning: {sentence}"

        let model = Runner.model e
        Machine.useThreads model.Compute threads
        let struct (file, state, complaints) = restore model e.Task folder checkpoint

        for complaint in complaints do
            eprintfn $"warning: {complaint}; an older checkpoint is used"

        try
            let played = Runner.evaluate e model state episodes (defaultArg seed e.Seed)
            let score = Score.ofEpisodes played
            printfn $"{e.Task}, {file}, update {state.Updates}"

            for i, episode in Array.indexed played do
                printfn $"  episode {i + 1, 3}: return %10.2f{episode.Return}, {episode.Length} steps"

            printfn
                $"mean %.2f{score.Mean}, deviation %.2f{score.Deviation}, lowest %.2f{score.Lowest}, highest %.2f{score.Highest} over {episodes} episodes"
        finally
            TrainState.dispose state
