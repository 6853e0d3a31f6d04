namespace Sdac.Experiments

open Sdac.Functional

/// An algorithm at work on a run.
[<NoComparison; NoEquality>]
type internal Plan<'config, 'state, 'work> =
    {
        Registry: Registry
        Spec: Spec
        Experiment: Experiment<'config, 'state, 'work>
        /// Of the user's own; None: the algorithm's
        Stages: Stage<'state, 'work> option
    }

/// Why a process leaves a run before its end.
[<RequireQualifiedAccess>]
type internal Halt =
    /// A signal, by its number.
    | Signal of int
    /// It has gone as far as it was to.
    | Until

/// A run between two iterations: all that the loop hands on.
[<NoComparison; NoEquality>]
type internal TrainingState<'state, 'work> =
    {
        Step: Step<'state, 'work>
        /// Of the replay memory, on disk
        Parts: MemoryPart list
        /// Seconds that the speed of the training leaves out
        Aside: float
        /// When this process last wrote a checkpoint, in its seconds
        SavedAt: float
        /// What has stopped it before its end
        Halt: Halt option
    }

/// What a training process works with until it ends.
[<NoComparison; NoEquality>]
type internal TrainingContext<'config, 'state, 'work> =
    {
        Plan: Plan<'config, 'state, 'work>
        Folder: RunFolder
        Arena: Environment
        Log: RunLog
        Timings: Timings
        Stages: Stage<'state, 'work>
        Options: RunOptions
        Request: StopRequest
        /// To the console
        Report: TrainingProgress -> unit
        /// Stop behind this iteration, at the end of its round; None: go on to the end
        Until: int64 option
        /// Where this process began
        FirstEnvSteps: int64
    }

/// Where a process begins with a run: at its beginning, or at a checkpoint.
[<NoComparison; NoEquality>]
type internal Beginning<'state, 'work> = { Step: Step<'state, 'work>; Journal: Journal; Parts: MemoryPart list }
