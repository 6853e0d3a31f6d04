namespace Sdac.Experiments

open System
open System.Diagnostics
open Sdac.Functional

/// What a training process tells of its run: before it, on its way, at its end, and when it is stopped.
[<RequireQualifiedAccess>]
module internal TrainingReport =
    /// Environment steps a second of the training alone.
    let rate (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        float (p.Step.EnvSteps - w.FirstEnvSteps) / (w.Timings.Elapsed - p.Aside)

    /// The figures that a line of progress shows, by their labels.
    let headlines (infos: FigureInfo list) (figures: Figures) =
        [ for info in infos do
              match info.Headline, Map.tryFind info.Name figures with
              | Some label, Some value -> label, value
              | _ -> () ]

    /// What is shown of a run at an activity.
    let told (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) activity (figures: Figures) =
        { Activity = activity
          Iteration = p.Step.Iteration
          EnvSteps = p.Step.EnvSteps
          StepsPerSecond = if p.Step.EnvSteps > w.FirstEnvSteps then rate w p else nan
          RecentReturn = w.Log.RecentReturn
          Headlines = headlines w.Plan.Experiment.Algorithm.Figures figures }

    let private peakMemory () =
        use self = Process.GetCurrentProcess()
        float self.PeakWorkingSet64 / 1048576.0

    /// What summary.json is to say.
    let summary (w: TrainingContext<'c, 's, 'w>) checkpoint final (step: Step<'s, 'w>) : Summary =
        let spec = w.Plan.Spec
        let bestAt, best = w.Log.Best |> Option.defaultValue (step.EnvSteps, final)

        { Algorithm = spec.Algorithm
          Task = spec.Task
          Seed = spec.Seed
          Iterations = step.Iteration
          EnvSteps = step.EnvSteps
          Final = final
          BestMean = best.Mean
          BestAtEnvSteps = bestAt
          RecentTrainingReturn = w.Log.RecentReturn
          Figures = w.Log.Figures
          Checkpoint = IO.Path.GetRelativePath(w.Folder.Path, checkpoint)
          WallClockSeconds = w.Timings.Total
          PeakMemoryMiB = peakMemory ()
          // known at the very end
          TimingLines = 0L
          Files = Map.empty }

    /// What a run says that a signal has stopped: where it is and how it goes on, on one line.
    let stopped (plan: Plan<'c, 's, 'w>) (options: RunOptions) (iteration: int64) (signal: int) : Failure =
        let place =
            if iteration = 0L then
                "before its first iteration"
            else
                $"after iteration {Progress.thousands iteration} of {Progress.thousands plan.Spec.Iterations}, with a checkpoint"

        Interrupted(
            $"the run was stopped by {Sessions.signalName signal} {place}; go on with {RunOptions.resumeCommand options}",
            signal
        )

    /// What of the run's settings can hardly be meant, quiet or not, and what the run is going to take.
    let announce (plan: Plan<'c, 's, 'w>) (options: RunOptions) (step: Step<'s, 'w>) : unit =
        let space, rhythm = step.Agent.Space, step.Agent.Rhythm

        for sentence in Forecast.warnings (Forecast.room ()) options.Threads space rhythm plan.Spec do
            Progress.warn sentence

        if not options.Quiet then
            printfn $"{Forecast.line plan.Experiment.Algorithm.Title space rhythm plan.Spec}"
