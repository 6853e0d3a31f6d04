namespace Sdac.Functional

open System
open System.Collections.Generic
open Sdac.Environments
open Sdac.Kernels

/// A task of plain F# functions, with no engine behind it. The functions depend on their arguments alone; states are never
/// changed. `Registry.addTask` makes it known by its name.
[<NoComparison; NoEquality>]
type PlainTask<'state> =
    {
        Name: string
        /// Bounds of the actions, [A]; what a policy gives is clamped to them
        ActionLow: float list
        ActionHigh: float list
        /// Numbers of an observation
        ObsDim: int
        /// Time limit: it truncates the episode
        MaxEpisodeSteps: int
        /// The first state of an episode, all randomness from the key
        Reset: Key -> 'state
        /// The next state, the reward of the step, and whether the task's rule ends the episode. action: [A], in the task's units;
        /// its array is used again for the next step
        Step: 'state -> float[] -> struct ('state * float * bool)
        /// Writes the observation into the array given, [O]: every entry
        Observe: 'state -> float[] -> unit
        /// The traversal by which states are kept and saved: `visit.Float`, `visit.Int`, `visit.Numbers`, and `PlainTask.key`
        Parts: Parts<'state>
    }

    interface ITask with
        member task.Name = task.Name
        member _.Options = Dictionary<string, obj>()
        member task.Open() = new PlainEngine<'state>(task)

/// A function of a plain task at work: what it throws names the task and the function.
and [<Sealed>] internal PlainScratch<'state>(task: PlainTask<'state>, codec: PlainState.Codec<'state>) =
    // No arithmetic makes it: what still holds it was not written.
    let unwritten = 0x7FFC_5DAC_0BAD_F00DL
    let low, high = Array.ofList task.ActionLow, Array.ofList task.ActionHigh
    let action = Array.zeroCreate<float> low.Length
    let obs = Array.zeroCreate<float> task.ObsDim
    let mutable state = Unchecked.defaultof<'state>
    let mutable reward = 0.0
    let mutable terminated = false

    let failed (what: string) (error: exn) =
        let message = error.Message.ReplaceLineEndings " "
        raise (TaskFunctionException($"{task.Name}: {what} failed with {error.GetType().Name}: {message}", error))

    let write (into: Span<float>) : string | null =
        let bad =
            try
                codec.Write(state, into)
            with error ->
                failed "Parts" error

        if isNull bad then null else $"'{bad}' of the state is NaN"

    interface IScratch with
        member _.Reset(_, key: PhiloxKey, into: Span<float>) =
            try
                state <- task.Reset { Words = key }
            with error ->
                failed "Reset" error

            write into

        member _.Step(_, from: ReadOnlySpan<float>, given: ReadOnlySpan<float>, into: Span<float>) =
            for i in 0 .. action.Length - 1 do
                action[i] <- Math.Clamp(given[i], low[i], high[i])

            let before =
                try
                    codec.Read from
                with error ->
                    failed "Parts" error

            try
                let struct (next, paid, ends) = task.Step before action
                state <- next
                reward <- paid
                terminated <- ends
            with error ->
                failed "Step" error

            write into

        member _.Measure _ = ()

        member _.Observe(into: Span<float>) =
            Array.Fill(obs, BitConverter.Int64BitsToDouble unwritten)

            try
                task.Observe state obs
            with error ->
                failed "Observe" error

            obs.AsSpan().CopyTo into

            let mutable i = 0

            while i < obs.Length && Double.IsFinite obs[i] do
                i <- i + 1

            if i = obs.Length then
                null
            elif BitConverter.DoubleToInt64Bits obs[i] = unwritten then
                invalidArg
                    (nameof task.Observe)
                    $"{task.Name}: Observe does not write entry {i}, but ObsDim is {obs.Length}: write all {obs.Length}"
            else
                $"entry {i} of the observation is {string obs[i]}"

        member _.Reward(_, _) = reward
        member _.Terminated() = terminated
        member _.Dispose() = ()

/// A plain task at work.
and [<Sealed>] internal PlainEngine<'state>(task: PlainTask<'state>) =
    do PlainTaskCheck.sizes task.Name task.ActionLow task.ActionHigh task.ObsDim task.MaxEpisodeSteps

    let reset seed = PlainTaskCheck.attempt task.Name "Reset" (fun () -> task.Reset(Key.ofSeed seed))
    let first = reset 0L

    do
        let action =
            List.map2 (fun low high -> 0.5 * (low + high)) task.ActionLow task.ActionHigh |> Array.ofList

        let start = reset 1L

        let other =
            PlainTaskCheck.attempt task.Name "Step" (fun () ->
                let struct (next, _, _) = task.Step start action
                next)

        PlainTaskCheck.state task.Name task.Parts first other

    let size = PlainState.Codec(task.Parts, first).Size

    let spec =
        EnvSpec(
            Task = task.Name,
            ObsDim = task.ObsDim,
            ActionLow = Array.ofList task.ActionLow,
            ActionHigh = Array.ofList task.ActionHigh,
            FrameSkip = 1,
            Dt = 1.0,
            MaxEpisodeSteps = task.MaxEpisodeSteps
        )

    interface IEngine with
        member _.Spec = spec
        member _.StateSize = size
        member _.MeasureDim = 0
        member _.NewScratch() = new PlainScratch<'state>(task, PlainState.Codec(task.Parts, first)) :> IScratch
        member _.Dispose() = ()

/// For plain tasks.
[<RequireQualifiedAccess>]
module PlainTask =
    /// The traversal of a key that a state carries, for a task whose steps draw random numbers.
    let key (visit: IVisit) (name: string) (key: Key) : Key =
        let words = key.Words
        let low = visit.Int(name + ".low", int64 (uint64 words.K0 ||| (uint64 words.K1 <<< 32)))
        let high = visit.Int(name + ".high", int64 (uint64 words.S0 ||| (uint64 words.S1 <<< 32)))
        let word (bits: int64) shift = uint32 (uint64 bits >>> shift)
        { Words = PhiloxKey(word low 0, word low 32, word high 0, word high 32) }
