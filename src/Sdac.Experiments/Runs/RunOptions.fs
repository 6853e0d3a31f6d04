namespace Sdac.Experiments

open System

/// What decides nothing about a run's results.
type RunOptions =
    {
        /// The run folder
        Out: string
        /// Replace the run that the folder holds
        Overwrite: bool
        /// Threads of the arithmetic
        Threads: int
        /// No progress, only the summary
        Quiet: bool
        /// Minutes between checkpoints by the clock, beside those that the specification plans; 0: none
        CheckpointMinutes: float
        /// How the user starts what takes "--resume FOLDER", for what a stopped run says; empty where there is none
        Command: string
        /// How the user starts what takes the run folder and makes a page of its policy; empty where there is none
        Watch: string
    }

[<RequireQualifiedAccess>]
module RunOptions =
    /// A new run in this folder, on all processors, with progress and a checkpoint every ten minutes.
    let into (out: string) =
        { Out = out
          Overwrite = false
          Threads = Environment.ProcessorCount
          Quiet = false
          CheckpointMinutes = 10.0
          Command = ""
          Watch = "" }

    let internal check (options: RunOptions) =
        if not (options.CheckpointMinutes >= 0.0) then
            Errors.fail (
                Settings
                    $"--checkpoint-minutes is {string options.CheckpointMinutes}; it must be at least 0, which writes none by the clock"
            )

    /// How a stopped run goes on.
    let internal resumeCommand (options: RunOptions) : string =
        $"{options.Command} --resume {Entrance.quote options.Out}".TrimStart()

    /// How the trained policy is watched; None where there is no command for it.
    let internal watchCommand (options: RunOptions) : string option =
        if options.Watch = "" then
            None
        else
            Some $"{options.Watch} {Entrance.quote options.Out}"
