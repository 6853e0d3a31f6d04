namespace Sdac.Functional

open System
open System.Collections.Generic
open Sdac.Environments

/// The sizes of a task.
type Space = { ObsDim: int; ActionDim: int }

/// The states of N environments of one task, an immutable value.
type EnvStates = Sdac.Environments.EnvStates

/// An episode that ended.
[<Struct>]
type Episode =
    {
        /// Unscaled
        Return: float
        /// In steps
        Length: int
        /// What the whole episode came to, in the order of the task's EpisodeFigures
        Figures: float[]
    }

/// What one step of N environments gave.
[<NoComparison; NoEquality>]
type Outcome =
    {
        States: EnvStates
        /// Unscaled, [N]
        Reward: float32[]
        Terminated: bool[]
        Truncated: bool[]
        /// What the step led to, before any reset, [N, O]
        NextObs: float32[]
        /// What the next action is chosen on, after the reset where an episode ended, [N, O]
        Current: float32[]
        /// Episodes that ended, with the index of their environment
        Ended: struct (int * Episode) list
    }

/// N environments of one task as functions over immutable states (`EnvStates`). The engine's own buffers are scratch
/// space: a step depends on its arguments alone.
[<Sealed>]
type Environment(task: ITask, count: int) =
    let engine = new VecEnv(task, count)
    let infoNames = List.ofSeq engine.Spec.InfoNames

    // where the figures of whole episodes stand among those of a step
    let figures = [| for name in engine.Spec.EpisodeFigures -> List.findIndex ((=) name) infoNames |]

    member _.Task = task.Name
    member _.Count = count
    member _.Spec = engine.Spec
    member _.ObsDim = engine.ObsDim
    member _.ActionDim = engine.ActionDim
    member internal _.Engine = engine

    /// What the episode came to that ended in environment `e`.
    member internal _.FiguresOf(e: int, result: StepResult) : float[] =
        figures |> Array.map (fun figure -> result.Info[e * result.InfoDim + figure])

    interface IDisposable with
        member _.Dispose() = engine.Dispose()

[<RequireQualifiedAccess>]
module Environment =
    /// The tasks of the library, by name: those of every engine.
    let suite =
        TaskSuite.Join [ Sdac.Mujoco.Tasks.Suite; Sdac.Mujoco.ControlSuite.Suite; Sdac.PushT.PushTTask.Suite ]

    /// `count` environments of a task among `tasks`; options by Gymnasium's names ("reset_noise_scale", "0.2").
    /// Raises ArgumentException for an unknown task or option, naming the nearest.
    let createFrom (tasks: TaskSuite) (task: string) (options: Map<string, string>) (count: int) : Environment =
        let values = Dictionary<string, obj>()

        for option in options do
            values[option.Key] <- option.Value

        new Environment(tasks.Create(task, values), count)

    /// The same of a task of the library.
    let create (task: string) (options: Map<string, string>) (count: int) : Environment =
        createFrom suite task options count

    /// The first states: every environment reset, all noise from `key`.
    let reset (key: Key) (environment: Environment) : EnvStates = environment.Engine.Reset key.Philox

    /// The observations to act on, [N, O] row-major.
    let obs (states: EnvStates) : float32[] =
        let values = Array.zeroCreate<float32> states.Observations.Length
        states.CopyObservations values
        values

    /// What the task's world looks like; None where there are only numbers to see.
    let scene (environment: Environment) : Scene option = environment.Engine.Engine.Scene |> Option.ofObj

    /// Room to compute the poses of the scene in, apart from all stepping. The caller disposes of it.
    let poser (environment: Environment) : IPoser = environment.Engine.Engine.NewPoser()

    /// The engine's state of environment `e`.
    let state (e: int) (states: EnvStates) : float[] =
        let size = states.Physics.Length / states.Count
        states.Physics.Slice(e * size, size).ToArray()

    let private scaled (environment: Environment) (action: float32[]) : float32[] =
        let scaled = Array.zeroCreate<float32> action.Length
        environment.Engine.Spec.ScaleActions(ReadOnlySpan<float32> action, Span<float32> scaled)
        scaled

    /// One step of every environment. action: [N, A] row-major, as the policy gives it: [-1, 1] is scaled to the task's
    /// range; what lies outside stays outside (MuJoCo clamps, the control cost sees it).
    /// Where an episode ends the new states are those after the reset.
    let step (action: float32[]) (states: EnvStates) (environment: Environment) : Outcome =
        let engine = environment.Engine
        let scaled = scaled environment action
        let next, result = engine.NewStates(), engine.NewResult()
        let nextObs = Array.zeroCreate<float32>(environment.Count * environment.ObsDim)
        let current = Array.zeroCreate<float32>(environment.Count * environment.ObsDim)

        engine.StepInto(
            states,
            ReadOnlySpan<float32> scaled,
            next,
            result,
            Span<float32> nextObs,
            Span<float32> current
        )

        { States = next
          Reward = Array.init environment.Count (fun e -> float32 result.Rewards[e])
          Terminated = result.Terminated.ToArray()
          Truncated = result.Truncated.ToArray()
          NextObs = nextObs
          Current = current
          Ended =
            [ for e in 0 .. environment.Count - 1 do
                  if result.EpisodeLengths[e] > 0 then
                      struct (e,
                              { Return = result.EpisodeReturns[e]
                                Length = result.EpisodeLengths[e]
                                Figures = environment.FiguresOf(e, result) }) ] }

    /// The engine's state that a step led environment `e` to: where an episode ended, its last one, which the new states do
    /// not hold.
    let stateAfter
        (e: int)
        (action: float32[])
        (before: EnvStates)
        (outcome: Outcome)
        (environment: Environment)
        : float[] =
        if outcome.Terminated[e] || outcome.Truncated[e] then
            let width = environment.ActionDim
            let action = ReadOnlySpan<float32>(scaled environment action, e * width, width)
            environment.Engine.StateAfter(before, e, action)
        else
            state e outcome.States
