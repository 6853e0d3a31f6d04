namespace Sdac.Functional

open System

/// One step of N environments, as plain arrays (row-major, one row per environment).
[<NoComparison; NoEquality>]
type Transitions =
    {
        /// What the action was chosen on, [N, O]
        Obs: float32[]
        /// The action as the policy gave it, in its own units (not the task's), [N, A]
        Action: float32[]
        /// Not scaled, [N]
        Reward: float32[]
        /// The episode ended by the task's rules (no bootstrap), [N]
        Terminated: bool[]
        /// The episode was cut by the time limit (bootstraps), [N]
        Truncated: bool[]
        /// What was observed after the step, before any reset, [N, O]
        NextObs: float32[]
        /// What the next action is chosen on, after the reset where an episode ended, [N, O]
        Current: float32[]
        /// What the agent stores beside the transitions, one array [N, width] for each of its extras
        Extras: float32[] list
    }

/// A batch of transitions drawn for one update.
[<NoComparison; NoEquality>]
type Batch =
    {
        /// [B, O]
        Obs: Tensor
        /// [B, A]
        Action: Tensor
        /// Not scaled, [B]
        Reward: Tensor
        /// [B, O]
        NextObs: Tensor
        /// 1 where the episode terminated, else 0; [B]
        Terminated: Tensor
    }

/// Consecutive steps of a replay memory as plain numbers: what it takes to keep a memory outside of this process. Row
/// s·N + e is step s of environment e. The arrays are views and never change.
[<NoComparison; NoEquality>]
type ReplaySegment =
    {
        /// Transitions that were appended to the memory before this segment's first one
        First: int64
        /// Steps are added to the last segment only; the others are closed
        Closed: bool
        Steps: int
        /// Where each step began, and where the last one led; [(Steps + 1)·N, O]
        Obs: ReadOnlyMemory<float32>
        /// [Steps·N, A]
        Action: ReadOnlyMemory<float32>
        /// [Steps·N]
        Reward: ReadOnlyMemory<float32>
        /// [Steps·N]
        Terminated: ReadOnlyMemory<bool>
        /// Index into `Finals` of the observation that ended the row's episode, or -1; [Steps·N]
        Final: ReadOnlyMemory<int>
        /// [F, O]
        Finals: ReadOnlyMemory<float32>
        /// [Steps·N, width] for each extra
        Extras: ReadOnlyMemory<float32> list
    }

/// A run of consecutive steps of N environments. Step s of environment e is row s·N + e. Each observation is stored
/// once: the next observation of row r is row r + N, except where an episode ended (`Final` then says where it is).
[<Sealed>]
type internal Chunk(steps: int, environments: int, obsDim: int, actionDim: int, extraWidths: int list) =
    member val Obs = Array.zeroCreate<float32>((steps + 1) * environments * obsDim)
    member val Action = Array.zeroCreate<float32>(steps * environments * actionDim)
    member val Reward = Array.zeroCreate<float32>(steps * environments)
    member val Terminated = Array.zeroCreate<bool>(steps * environments)
    /// One array for each of the agent's extras
    member val Extras = [ for width in extraWidths -> Array.zeroCreate<float32>(steps * environments * width) ]
    /// Index of the row's final observation in `Finals`, or -1
    member val Final = Array.create (steps * environments) -1
    member val Finals = Array.zeroCreate<float32> 0 with get, set
    member val FinalCount = 0 with get, set
    /// Steps written so far, by whichever snapshot is furthest
    member val Filled = 0 with get, set
    /// Numbers per row of each extra
    member _.ExtraWidths = extraWidths
    /// Numbers of so many steps: of an observation, of the row where they lead to included, of an action, and rows
    member _.ObsOf(count: int) = (count + 1) * environments * obsDim
    member _.ActionOf(count: int) = count * environments * actionDim
    member _.RowsOf(count: int) = count * environments
    member _.ObsDim = obsDim
    /// An empty chunk of these sizes with room for so many steps
    member _.Empty(room: int) = Chunk(room, environments, obsDim, actionDim, extraWidths)
    member this.Empty() = this.Empty steps

/// The steps of a chunk: written, copied, and as plain numbers outside of this process.
[<RequireQualifiedAccess>]
module internal Chunk =
    let private row width index (values: 'a[]) = values.AsSpan(index * width, width)

    /// Writes an observation behind the final ones; its index.
    let private addFinal (obs: ReadOnlySpan<float32>) (chunk: Chunk) : int =
        let needed = (chunk.FinalCount + 1) * chunk.ObsDim

        if chunk.Finals.Length < needed then
            let larger = Array.zeroCreate (max needed (2 * chunk.Finals.Length))
            Array.blit chunk.Finals 0 larger 0 (chunk.FinalCount * chunk.ObsDim)
            chunk.Finals <- larger

        obs.CopyTo(row chunk.ObsDim chunk.FinalCount chunk.Finals)
        chunk.FinalCount <- chunk.FinalCount + 1
        chunk.FinalCount - 1

    /// Do these observations begin where so many steps led to?
    let continues (obs: float32[]) (steps: int) (chunk: Chunk) : bool =
        (row obs.Length steps chunk.Obs).SequenceEqual(ReadOnlySpan<float32> obs)

    /// Writes a step behind so many.
    let write (t: Transitions) (step: int) (chunk: Chunk) =
        let environments = chunk.RowsOf 1
        t.Obs.AsSpan().CopyTo(row t.Obs.Length step chunk.Obs)
        t.Current.AsSpan().CopyTo(row t.Obs.Length (step + 1) chunk.Obs)
        t.Action.AsSpan().CopyTo(row t.Action.Length step chunk.Action)
        t.Reward.AsSpan().CopyTo(row environments step chunk.Reward)
        t.Terminated.AsSpan().CopyTo(row environments step chunk.Terminated)

        List.iter2 (fun (from: float32[]) into -> from.AsSpan().CopyTo(row from.Length step into)) t.Extras chunk.Extras

        for e in 0 .. environments - 1 do
            chunk.Final[step * environments + e] <-
                if t.Terminated[e] || t.Truncated[e] then
                    addFinal (Span.op_Implicit (row chunk.ObsDim e t.NextObs)) chunk
                else
                    -1

        chunk.Filled <- step + 1

    /// One more than the largest index into a chunk's final observations.
    let private finals (final: ReadOnlySpan<int>) =
        let mutable count = 0

        for index in final do
            count <- max count (index + 1)

        count

    /// The first steps of a chunk as plain numbers; `first` transitions were appended before them.
    let segment (first: int64) (closed: bool) (steps: int) (chunk: Chunk) : ReplaySegment =
        let rows = chunk.RowsOf steps
        let view (values: 'a[]) count = ReadOnlyMemory(values, 0, count)

        { First = first
          Closed = closed
          Steps = steps
          Obs = view chunk.Obs (chunk.ObsOf steps)
          Action = view chunk.Action (chunk.ActionOf steps)
          Reward = view chunk.Reward rows
          Terminated = view chunk.Terminated rows
          Final = view chunk.Final rows
          Finals = view chunk.Finals (finals (ReadOnlySpan(chunk.Final, 0, rows)) * chunk.ObsDim)
          Extras = List.map2 (fun values width -> view values (rows * width)) chunk.Extras chunk.ExtraWidths }

    /// A segment's steps written into this empty chunk. Raises ArgumentException where they are of other sizes.
    let fill (s: ReplaySegment) (chunk: Chunk) : Chunk =
        let rows = chunk.RowsOf s.Steps

        let take name (wanted: int) (from: ReadOnlyMemory<'a>) (into: 'a[]) =
            if from.Length <> wanted || wanted > into.Length then
                invalidArg
                    name
                    $"{name} of the steps from transition {s.First} holds {from.Length} numbers, not {wanted}"

            from.CopyTo(into.AsMemory())

        take (nameof s.Obs) (chunk.ObsOf s.Steps) s.Obs chunk.Obs
        take (nameof s.Action) (chunk.ActionOf s.Steps) s.Action chunk.Action
        take (nameof s.Reward) rows s.Reward chunk.Reward
        take (nameof s.Terminated) rows s.Terminated chunk.Terminated
        take (nameof s.Final) rows s.Final chunk.Final
        chunk.FinalCount <- finals s.Final.Span
        chunk.Finals <- Array.zeroCreate (chunk.FinalCount * chunk.ObsDim)
        take (nameof s.Finals) chunk.Finals.Length s.Finals chunk.Finals

        if s.Extras.Length <> chunk.ExtraWidths.Length then
            invalidArg
                (nameof s.Extras)
                $"the steps from transition {s.First} hold {s.Extras.Length} extras, not {chunk.ExtraWidths.Length}"

        List.iter2
            (fun (from, width) into -> take (nameof s.Extras) (rows * width) from into)
            (List.zip s.Extras chunk.ExtraWidths)
            chunk.Extras

        chunk.Filled <- s.Steps
        chunk

    /// A copy of the first steps, free to be written.
    let copy (steps: int) (chunk: Chunk) : Chunk = chunk.Empty() |> fill (segment 0L false steps chunk)
