namespace Sdac.Experiments

open Sdac.Functional

/// Playing the checkpoint of a run again.
[<RequireQualifiedAccess>]
module Evaluate =
    /// The networks of a checkpoint, or of the run's newest good one, and the file that they were read from.
    let internal networks
        (agent: Agent<'s, 'w>)
        (spec: Spec)
        (folder: RunFolder)
        (checkpoint: string option)
        : struct (string * 's) =
        match checkpoint with
        | Some path -> struct (path, CheckpointRestore.load agent spec.Algorithm spec.Task path)
        | None ->
            let struct (file, state, complaints) = CheckpointRestore.newest agent spec.Algorithm spec.Task folder

            for complaint in complaints do
                eprintfn $"warning: {complaint}; an older checkpoint is used"

            struct (file, state)

    let private play
        (registry: Registry)
        (spec: Spec)
        (folder: RunFolder)
        (checkpoint: string option)
        (episodes: int)
        (seed: int64)
        (threads: int)
        (algorithm: Algorithm<'c, 's, 'w>)
        : Score =
        let experiment = Spec.experiment registry.Tasks algorithm spec
        let agent = Runner.agent experiment
        Machine.useThreads agent.Compute threads

        let struct (file, state) = networks agent spec folder checkpoint

        try
            printfn $"{spec.Task}, {algorithm.Title}, {file}"
            use arena = Training.arena experiment episodes

            let played =
                Progress.playing arena.Spec.MaxEpisodeSteps episodes (fun tell ->
                    Evaluation.runTelling tell agent arena (Training.evaluationKey seed) state)

            let score = Score.ofEpisodes played

            let figures (valueOf: int -> float) =
                String.concat "" [ for i, name in Seq.indexed arena.Spec.EpisodeFigures -> $", {name} %.3f{valueOf i}" ]

            for i, episode in Array.indexed played do
                printfn
                    $"  episode {i + 1, 3}: return %10.2f{episode.Return}, {episode.Length} steps{figures (Array.get episode.Figures)}"

            let means = figures (fun i -> played |> Array.averageBy (fun episode -> episode.Figures[i]))

            printfn
                $"mean %.2f{score.Mean}, deviation %.2f{score.Deviation}, lowest %.2f{score.Lowest}, highest %.2f{score.Highest} over {episodes} episodes{means}"

            score
        finally
            Parts.dispose agent.Parts state

    /// Plays episodes with a checkpoint of the run in `path` and prints each, their mean and deviation. With the run's own
    /// seed and number of episodes this repeats the run's final evaluation.
    let run
        (registry: Registry)
        (path: string)
        (checkpoint: string option)
        (episodes: int option)
        (seed: int64 option)
        (threads: int)
        : Score =
        let folder = RunFolder.openExisting path
        let struct (spec, said) = SpecFile.ofRunOrPublished registry folder
        let episodes = defaultArg episodes spec.EvaluationEpisodes

        if episodes < 1 then
            Errors.fail (Usage $"--episodes is %d{episodes}; it must be at least 1")

        for sentence in said do
            eprintfn $"warning: {sentence}"

        (Spec.algorithmOf registry folder.Spec spec).Open
            { new IOpen<Score> with
                member _.Open algorithm =
                    play registry spec folder checkpoint episodes (defaultArg seed spec.Seed) threads algorithm }
