namespace Sdac.Experiments

open System
open System.Text.RegularExpressions

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
        /// The command that takes "--resume FOLDER", for what a stopped run says; empty where there is none
        Command: string list
        /// The command that takes the run folder and makes a page of its policy; empty where there is none
        Watch: string list
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
          Command = []
          Watch = [] }

    let internal check (options: RunOptions) =
        if not (options.CheckpointMinutes >= 0.0) then
            Errors.fail (
                Settings
                    $"--checkpoint-minutes is {string options.CheckpointMinutes}; it must be at least 0, which writes none by the clock"
            )

    /// A word as shells take it.
    let private quote (word: string) =
        if Regex.IsMatch(word, @"^[\w./=,:+@%-]+\z", RegexOptions.ECMAScript) then
            word
        else
            "'" + word.Replace("'", "'\\''") + "'"

    /// How a stopped run goes on.
    let internal resumeCommand (options: RunOptions) : string =
        options.Command @ [ "--resume"; options.Out ] |> List.map quote |> String.concat " "

    /// How the trained policy is watched; None where there is no command for it.
    let internal watchCommand (options: RunOptions) : string option =
        if options.Watch.IsEmpty then
            None
        else
            Some(options.Watch @ [ options.Out ] |> List.map quote |> String.concat " ")
