namespace Sdac.Experiments

open System
open Sdac.Functional
open Sdac.Environments

/// An episode to be watched. Frames are every `Stride`-th step of the recording, the start and the end included.
type RecordedEpisode =
    {
        Return: float
        /// Steps
        Length: int
        /// By the task's rule, not by its time limit
        Terminated: bool
        /// [frames, bodies · numbers of a pose]; None where there are no bodies
        Poses: Track option
        /// [steps, 1]
        Rewards: Track
        /// In [-1, 1], [steps, A]
        Actions: Track
        /// [frames, O]; None where there are bodies to look at
        Observations: Track option
    }

/// Episodes of one policy.
type Recording =
    {
        Task: string
        /// Whose policy this is, in a few words each
        Facts: string list
        /// Seconds of a step
        Dt: float
        /// Steps from frame to frame
        Stride: int
        Scene: Scene option
        Episodes: RecordedEpisode[]
    }

/// Recording what a policy does.
[<RequireQualifiedAccess>]
module Recording =
    /// Frames a second that are about enough: the player moves bodies evenly from one to the next.
    let private FramesPerSecond = 60.0

    /// Steps from frame to frame of a task with so many seconds a step.
    let stride (dt: float) = max 1 (int (Math.Round(1.0 / (dt * FramesPerSecond))))

    /// A tenth of a millimetre, and a quaternion's 1 as 2^15; of a table a hundredth, and 1e-4 of an angle.
    let private poseUnits (scene: Scene) =
        if scene.PoseSize = Scene.FlatPose then
            [| 1e-2; 1e-2; 1e-4 |]
        else
            [| 1e-4; 1e-4; 1e-4; yield! Array.create 4 (1.0 / 32768.0) |]

    /// What is noted of one environment until its episode ends.
    type private Log(scene: Scene option, stride: int) =
        let poses, rewards = ResizeArray<float>(), ResizeArray<float>()
        let actions, observations = ResizeArray<float>(), ResizeArray<float>()
        let room = Array.zeroCreate<float>(scene |> Option.map _.PosesSize |> Option.defaultValue 0)
        member val Ended: struct (Episode * bool) option = None with get, set

        /// Where the task is after so many steps.
        member _.Frame(poser: IPoser option, step: int, isLast: bool, state: float[], obs: float32 seq) =
            if step % stride = 0 || isLast then
                match poser with
                | Some poser ->
                    match poser.Pose(ReadOnlySpan<float> state, Span<float> room) with
                    | null -> poses.AddRange room
                    | complaint -> Errors.fail (Diverged $"a state of step {step} cannot be shown: {complaint}")
                | None -> observations.AddRange(Seq.map float obs)

        member _.Step(reward: float32, action: float32 seq) =
            rewards.Add(float reward)
            actions.AddRange(action |> Seq.map (fun a -> Math.Clamp(float a, -1.0, 1.0)))

        member _.Steps = rewards.Count

        member log.Packed(obsDim: int, actionDim: int) : RecordedEpisode =
            let struct (episode, terminated) = log.Ended.Value
            let fine columns values = Packing.pack (Packing.unitsOf 3e6 columns values) columns values

            let pack columns (values: ResizeArray<float>) =
                let values = values.ToArray()
                Packing.pack (Packing.unitsOf 32768.0 columns values) columns values

            { Return = episode.Return
              Length = episode.Length
              Terminated = terminated
              Poses =
                scene |> Option.map (fun scene -> Packing.pack (poseUnits scene) scene.PosesSize (poses.ToArray()))
              Rewards = fine 1 (rewards.ToArray())
              Actions = Packing.pack [| 0.01 |] actionDim (actions.ToArray())
              Observations = if scene.IsNone then Some(pack obsDim observations) else None }

    let private note (environment: Environment) (poser: IPoser option) (logs: Log[]) (played: PlayedStep) =
        let outcome = played.Outcome
        let row width (values: float32[]) e = ArraySegment(values, e * width, width)

        for e, log in Array.indexed logs do
            if log.Ended.IsNone then
                let ended = outcome.Terminated[e] || outcome.Truncated[e]
                log.Step(outcome.Reward[e], row environment.ActionDim played.Action e)

                // without bodies nobody asks for the state
                let state =
                    if poser.IsSome then
                        Environment.stateAfter e played.Action played.Before outcome environment
                    else
                        [||]

                log.Frame(poser, log.Steps, ended, state, row environment.ObsDim outcome.NextObs e)

        for struct (e, episode) in outcome.Ended do
            if logs[e].Ended.IsNone then
                logs[e].Ended <- Some(struct (episode, outcome.Terminated[e]))

    /// Plays one episode in each environment as `Evaluation.run` does, and records them. Poses are computed apart from the
    /// simulation, which goes on as if nobody looked.
    let make (facts: string list) (agent: Agent<'s, 'w>) (environment: Environment) (key: Key) (state: 's) : Recording =
        let scene = Environment.scene environment
        let stride = stride environment.Spec.Dt
        let logs = Array.init environment.Count (fun _ -> Log(scene, stride))

        use poser =
            if scene.IsSome then
                Environment.poser environment
            else
                Unchecked.defaultof<IPoser>

        let poser = scene |> Option.map (fun _ -> poser)
        use steps = (Evaluation.steps agent environment key state).GetEnumerator()
        let mutable isFirst = true

        while logs |> Array.exists _.Ended.IsNone && steps.MoveNext() do
            if isFirst then
                isFirst <- false
                let start = steps.Current.Before
                let obs = Environment.obs start |> Array.chunkBySize environment.ObsDim

                for e, log in Array.indexed logs do
                    log.Frame(poser, 0, false, Environment.state e start, obs[e])

            note environment poser logs steps.Current

        { Task = environment.Task
          Facts = facts
          Dt = environment.Spec.Dt
          Stride = stride
          Scene = scene
          Episodes = logs |> Array.map _.Packed(environment.ObsDim, environment.ActionDim) }
