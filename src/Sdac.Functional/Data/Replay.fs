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

/// A run of consecutive steps of N environments. Step s of environment e is row s·N + e. Each observation is stored
/// once: the next observation of row r is row r + N, except where an episode ended (`Final` then says where it is).
[<Sealed>]
type internal Chunk(steps: int, environments: int, obsDim: int, actionDim: int, extras: int list) =
    member val Obs = Array.zeroCreate<float32>((steps + 1) * environments * obsDim)
    member val Action = Array.zeroCreate<float32>(steps * environments * actionDim)
    member val Reward = Array.zeroCreate<float32>(steps * environments)
    member val Terminated = Array.zeroCreate<bool>(steps * environments)
    /// One array for each of the agent's extras
    member val Extras = [ for width in extras -> Array.zeroCreate<float32>(steps * environments * width) ]
    /// Index of the row's final observation in `Finals`, or -1
    member val Final = Array.create (steps * environments) -1
    member val Finals = Array.zeroCreate<float32> 0 with get, set
    member val FinalCount = 0 with get, set
    /// Steps written so far, by whichever snapshot is furthest
    member val Filled = 0 with get, set
    member _.Steps = steps

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

/// Replay memory as a persistent value: `append` gives a new memory and leaves the old one's content as it was. Appending to
/// the newest snapshot writes in place behind every older snapshot's count; appending to an older one copies a chunk.
/// The oldest chunk is dropped whole when the capacity is reached.
[<NoComparison; NoEquality>]
type Replay =
    internal
        {
            Environments: int
            ObsDim: int
            ActionDim: int
            Capacity: int
            /// Numbers per row of each extra
            ExtraWidths: int list
            ChunkSteps: int
            MaxChunks: int
            /// Chunks that are written no more, with the number of their steps that belong to this memory
            Closed: struct (Chunk * int)[]
            /// Transitions in all closed chunks before each one, and in all of them
            Starts: int[]
            Open: Chunk
            OpenSteps: int
            /// The observations where the last step led to: what the next step's begin with, unless the memory starts anew
            Current: float32[]
            Appended: int64
            /// What observations are normalised by when they are gathered, and clipped to; None: they come as they are
            Shown: struct (float * RunningMoments) option
        }

    /// Transitions held now.
    member r.Count = r.Starts[r.Closed.Length] + r.OpenSteps * r.Environments
    /// Transitions ever appended.
    member r.Total = r.Appended

[<RequireQualifiedAccess>]
module Replay =
    /// An empty memory for `capacity` transitions of `environments` environments stepped together, with so many numbers per
    /// transition for each extra.
    let createWith (extras: int list) (environments: int) (obsDim: int) (actionDim: int) (capacity: int) : Replay =
        if environments < 1 || obsDim < 1 || actionDim < 1 || capacity < environments then
            invalidArg
                (nameof capacity)
                $"a replay memory of %d{capacity} transitions for %d{environments} environments, %d{obsDim} observations and %d{actionDim} actions is impossible"

        // Dropping whole chunks keeps at least 15/16 of the capacity.
        let chunkSteps = max 1 ((min 8192 (capacity / 16)) / environments)

        { Environments = environments
          ObsDim = obsDim
          ActionDim = actionDim
          Capacity = capacity
          ExtraWidths = extras
          ChunkSteps = chunkSteps
          MaxChunks = max 1 (capacity / (chunkSteps * environments))
          Closed = [||]
          Starts = [| 0 |]
          Open = Chunk(chunkSteps, environments, obsDim, actionDim, extras)
          OpenSteps = 0
          Current = [||]
          Appended = 0L
          Shown = None }

    /// An empty memory that stores nothing beside the transitions.
    let create: int -> int -> int -> int -> Replay = createWith []

    /// A memory like this one, with nothing in it.
    let cleared (r: Replay) : Replay =
        { r with
            Closed = [||]
            Starts = [| 0 |]
            Open = Chunk(r.ChunkSteps, r.Environments, r.ObsDim, r.ActionDim, r.ExtraWidths)
            OpenSteps = 0
            Current = [||] }

    /// The same transitions, whose observations `gather` and `sample` give normalised by these moments, clipped to ±`limit`.
    let normalised (limit: float) (moments: RunningMoments) (r: Replay) : Replay =
        { r with Shown = Some(struct (limit, moments)) }

    let private row width index (values: 'a[]) = values.AsSpan(index * width, width)

    let private checkLengths (r: Replay) (t: Transitions) =
        let expect name wanted actual =
            if wanted <> actual then
                invalidArg name $"{name} holds {actual} numbers for {r.Environments} environments; {wanted} are needed"

        expect (nameof t.Obs) (r.Environments * r.ObsDim) t.Obs.Length
        expect (nameof t.Action) (r.Environments * r.ActionDim) t.Action.Length
        expect (nameof t.Reward) r.Environments t.Reward.Length
        expect (nameof t.Terminated) r.Environments t.Terminated.Length
        expect (nameof t.Truncated) r.Environments t.Truncated.Length
        expect (nameof t.NextObs) (r.Environments * r.ObsDim) t.NextObs.Length
        expect (nameof t.Current) (r.Environments * r.ObsDim) t.Current.Length
        expect "the number of Extras" r.ExtraWidths.Length t.Extras.Length

        List.iter2
            (fun width (values: float32[]) -> expect (nameof t.Extras) (r.Environments * width) values.Length)
            r.ExtraWidths
            t.Extras

    /// A copy of the first `steps` steps, free to be written.
    let private fork (r: Replay) =
        let source, n = r.Open, r.OpenSteps
        let rows = n * r.Environments
        let chunk = Chunk(r.ChunkSteps, r.Environments, r.ObsDim, r.ActionDim, r.ExtraWidths)
        Array.blit source.Obs 0 chunk.Obs 0 ((n + 1) * r.Environments * r.ObsDim)
        Array.blit source.Action 0 chunk.Action 0 (rows * r.ActionDim)
        Array.blit source.Reward 0 chunk.Reward 0 rows
        Array.blit source.Terminated 0 chunk.Terminated 0 rows
        Array.blit source.Final 0 chunk.Final 0 rows

        List.iter2
            (fun (from: float32[], width) (into: float32[]) -> Array.blit from 0 into 0 (rows * width))
            (List.zip source.Extras r.ExtraWidths)
            chunk.Extras

        chunk.FinalCount <- 1 + Array.fold max -1 chunk.Final
        chunk.Finals <- Array.sub source.Finals 0 (chunk.FinalCount * r.ObsDim)
        chunk.Filled <- n
        { r with Open = chunk }

    /// Closes the open chunk and drops the oldest where the memory is full.
    let private roll (r: Replay) =
        let closed = Array.append r.Closed [| struct (r.Open, r.OpenSteps) |]
        let surplus = max 0 (closed.Length + 1 - r.MaxChunks)
        let closed = closed[surplus..]

        { r with
            Closed = closed
            Starts = closed |> Array.scan (fun sum struct (_, steps) -> sum + steps * r.Environments) 0
            Open = Chunk(r.ChunkSteps, r.Environments, r.ObsDim, r.ActionDim, r.ExtraWidths)
            OpenSteps = 0 }

    let private addFinal (r: Replay) (chunk: Chunk) (obs: ReadOnlySpan<float32>) =
        let needed = (chunk.FinalCount + 1) * r.ObsDim

        if chunk.Finals.Length < needed then
            let larger = Array.zeroCreate (max needed (2 * chunk.Finals.Length))
            Array.blit chunk.Finals 0 larger 0 (chunk.FinalCount * r.ObsDim)
            chunk.Finals <- larger

        obs.CopyTo(row r.ObsDim chunk.FinalCount chunk.Finals)
        chunk.FinalCount <- chunk.FinalCount + 1
        chunk.FinalCount - 1

    /// The memory with one more step of every environment.
    let append (t: Transitions) (r: Replay) : Replay =
        checkLengths r t
        let width = r.Environments * r.ObsDim

        // A loop hands on the very array that the last step ended with: there is nothing to compare.
        let continues =
            r.OpenSteps = 0
            || obj.ReferenceEquals(t.Obs, r.Current)
            || (row width r.OpenSteps r.Open.Obs).SequenceEqual(ReadOnlySpan<float32> t.Obs)

        let r = if r.OpenSteps = r.ChunkSteps || not continues then roll r else r
        // Another snapshot has already written behind this one's count: leave its content alone.
        let r = if r.Open.Filled <> r.OpenSteps then fork r else r
        let chunk, step = r.Open, r.OpenSteps
        t.Obs.AsSpan().CopyTo(row width step chunk.Obs)
        t.Current.AsSpan().CopyTo(row width (step + 1) chunk.Obs)
        t.Action.AsSpan().CopyTo(row (r.Environments * r.ActionDim) step chunk.Action)
        t.Reward.AsSpan().CopyTo(row r.Environments step chunk.Reward)
        t.Terminated.AsSpan().CopyTo(row r.Environments step chunk.Terminated)

        List.iter2
            (fun (from: float32[], width) into -> from.AsSpan().CopyTo(row (r.Environments * width) step into))
            (List.zip t.Extras r.ExtraWidths)
            chunk.Extras


        for e in 0 .. r.Environments - 1 do
            chunk.Final[step * r.Environments + e] <-
                if t.Terminated[e] || t.Truncated[e] then
                    addFinal r chunk (Span.op_Implicit (row r.ObsDim e t.NextObs))
                else
                    -1

        chunk.Filled <- step + 1

        { r with OpenSteps = step + 1; Current = t.Current; Appended = r.Appended + int64 r.Environments }

    /// One more than the largest index into a chunk's final observations.
    let private finals (final: ReadOnlySpan<int>) =
        let mutable count = 0

        for index in final do
            count <- max count (index + 1)

        count

    let private segment (r: Replay) (chunk: Chunk) (steps: int) (first: int64) (closed: bool) : ReplaySegment =
        let rows = steps * r.Environments
        let view (values: 'a[]) count = ReadOnlyMemory(values, 0, count)

        { First = first
          Closed = closed
          Steps = steps
          Obs = view chunk.Obs ((steps + 1) * r.Environments * r.ObsDim)
          Action = view chunk.Action (rows * r.ActionDim)
          Reward = view chunk.Reward rows
          Terminated = view chunk.Terminated rows
          Final = view chunk.Final rows
          Finals = view chunk.Finals (finals (ReadOnlySpan(chunk.Final, 0, rows)) * r.ObsDim)
          Extras = List.map2 (fun values width -> view values (rows * width)) chunk.Extras r.ExtraWidths }

    /// The whole memory, oldest first. All segments but the last are closed: they stay the same, number for number, in
    /// every later memory that still holds them.
    let segments (r: Replay) : ReplaySegment list =
        let first = r.Appended - int64 r.Count

        [ for i in 0 .. r.Closed.Length - 1 do
              let struct (chunk, steps) = r.Closed[i]
              segment r chunk steps (first + int64 r.Starts[i]) true
          segment r r.Open r.OpenSteps (first + int64 r.Starts[r.Closed.Length]) false ]

    /// A chunk with room for `room` steps that holds a segment's.
    let private chunkOf (r: Replay) (room: int) (s: ReplaySegment) : Chunk =
        let chunk = Chunk(room, r.Environments, r.ObsDim, r.ActionDim, r.ExtraWidths)
        let rows = s.Steps * r.Environments

        let take name (wanted: int) (from: ReadOnlyMemory<'a>) (into: 'a[]) =
            if from.Length <> wanted || wanted > into.Length then
                invalidArg
                    name
                    $"{name} of the steps from transition {s.First} holds {from.Length} numbers, not {wanted}"

            from.CopyTo(into.AsMemory())

        take (nameof s.Obs) ((s.Steps + 1) * r.Environments * r.ObsDim) s.Obs chunk.Obs
        take (nameof s.Action) (rows * r.ActionDim) s.Action chunk.Action
        take (nameof s.Reward) rows s.Reward chunk.Reward
        take (nameof s.Terminated) rows s.Terminated chunk.Terminated
        take (nameof s.Final) rows s.Final chunk.Final
        chunk.FinalCount <- finals s.Final.Span
        chunk.Finals <- Array.zeroCreate (chunk.FinalCount * r.ObsDim)
        take (nameof s.Finals) chunk.Finals.Length s.Finals chunk.Finals

        if s.Extras.Length <> r.ExtraWidths.Length then
            invalidArg
                (nameof s.Extras)
                $"the steps from transition {s.First} hold {s.Extras.Length} extras, not {r.ExtraWidths.Length}"

        List.iter2
            (fun (from, width) into -> take (nameof s.Extras) (rows * width) from into)
            (List.zip s.Extras r.ExtraWidths)
            chunk.Extras

        chunk.Filled <- s.Steps
        chunk

    /// The memory that `segments` described, for memories of the sizes and capacity of `like`: it holds, draws and grows as that
    /// one does. Raises ArgumentException for segments that are not one memory's.
    let ofSegments (like: Replay) (segments: ReplaySegment list) : Replay =
        let empty = cleared like
        let environments = like.Environments
        let next (s: ReplaySegment) = s.First + int64 (s.Steps * environments)
        let consecutive = segments |> List.pairwise |> List.forall (fun (a, b) -> a.Closed && next a = b.First)

        match List.rev segments with
        | last :: closed when
            consecutive
            && not last.Closed
            && closed.Length < empty.MaxChunks
            && segments |> List.forall (fun s -> s.Steps >= 0 && s.Steps <= empty.ChunkSteps)
            ->
            let chunks = [| for s in List.rev closed -> struct (chunkOf empty s.Steps s, s.Steps) |]

            { empty with
                Closed = chunks
                Starts = chunks |> Array.scan (fun sum struct (_, steps) -> sum + steps * environments) 0
                Open = chunkOf empty empty.ChunkSteps last
                OpenSteps = last.Steps
                Appended = next last }
        | _ ->
            invalidArg
                (nameof segments)
                $"these {segments.Length} segments are not one replay memory of {like.Capacity} transitions"

    /// The i-th extra of all transitions, oldest first, [Count, width].
    let extra (i: int) (r: Replay) : float32[] =
        let part (chunk: Chunk) steps = Array.sub chunk.Extras[i] 0 (steps * r.Environments * r.ExtraWidths[i])

        Array.concat
            [ for struct (chunk, steps) in r.Closed do
                  yield part chunk steps
              yield part r.Open r.OpenSteps ]

    /// The rewards of all transitions, oldest first, [Count].
    let rewards (r: Replay) : float32[] =
        let part (chunk: Chunk) steps = Array.sub chunk.Reward 0 (steps * r.Environments)

        Array.concat
            [ for struct (chunk, steps) in r.Closed do
                  yield part chunk steps
              yield part r.Open r.OpenSteps ]

    /// Which transitions, oldest first, ended their episode by the task's rules, and which at the time limit alone; [Count] each.
    let ends (r: Replay) : struct (bool[] * bool[]) =
        let part (chunk: Chunk) steps =
            let rows = steps * r.Environments
            struct (Array.sub chunk.Terminated 0 rows, Array.sub chunk.Final 0 rows)

        let parts =
            [ for struct (chunk, steps) in r.Closed do
                  yield part chunk steps
              yield part r.Open r.OpenSteps ]

        let terminated = parts |> List.map (fun struct (terminated, _) -> terminated) |> Array.concat
        let final = parts |> List.map (fun struct (_, final) -> final) |> Array.concat
        struct (terminated, Array.map2 (fun final terminated -> final >= 0 && not terminated) final terminated)

    /// The chunk and row of the i-th oldest transition.
    let private locate (r: Replay) (i: int) =
        if i >= r.Starts[r.Closed.Length] then
            struct (r.Open, i - r.Starts[r.Closed.Length])
        else
            let found = Array.BinarySearch(r.Starts, i)
            let part = if found >= 0 then found else ~~~found - 1
            let struct (chunk, _) = r.Closed[part]
            struct (chunk, i - r.Starts[part])

    let private copyRow width from (source: float32[]) into (target: Span<float32>) =
        (row width from source).CopyTo(target.Slice(into * width, width))

    /// The transitions with the given indices, 0 the oldest.
    let gather (compute: Compute) (indices: int[]) (r: Replay) : Batch =
        let n = indices.Length
        let obs, next = Tensors.empty [ n; r.ObsDim ], Tensors.empty [ n; r.ObsDim ]

        let action, reward, terminated =
            Tensors.empty [ n; r.ActionDim ], Tensors.empty [ n ], Tensors.empty [ n ]

        // A span costs a call into libtorch: one for each tensor, not for each row.
        let obsRows = Tensors.span obs
        let nextRows = Tensors.span next
        let actionRows = Tensors.span action
        let rewards = Tensors.span reward
        let ends = Tensors.span terminated

        for b in 0 .. n - 1 do
            if indices[b] < 0 || indices[b] >= r.Count then
                invalidArg (nameof indices) $"transition %d{indices[b]} was asked for; the memory holds {r.Count}"

            let struct (chunk, i) = locate r indices[b]
            copyRow r.ObsDim i chunk.Obs b obsRows
            copyRow r.ActionDim i chunk.Action b actionRows
            copyRow 1 i chunk.Reward b rewards
            ends[b] <- if chunk.Terminated[i] then 1.0f else 0.0f

            if chunk.Final[i] >= 0 then
                copyRow r.ObsDim chunk.Final[i] chunk.Finals b nextRows
            else
                copyRow r.ObsDim (i + r.Environments) chunk.Obs b nextRows

        match r.Shown with
        | Some(struct (limit, moments)) ->
            RunningMoments.normaliseInPlace limit moments obsRows
            RunningMoments.normaliseInPlace limit moments nextRows
        | None -> ()

        Tensors.keepAlive [ obs; next; action; reward; terminated ]
        let place = Tensors.place compute

        { Obs = place obs
          Action = place action
          Reward = place reward
          NextObs = place next
          Terminated = place terminated }

    /// Indices of `size` transitions drawn uniformly with replacement.
    let sampleIndices (key: Key) (size: int) (r: Replay) : int[] =
        if r.Count = 0 then
            invalidArg (nameof r) "the replay memory is empty: collect transitions before drawing a batch"

        Key.integers r.Count size key

    /// `size` transitions drawn uniformly with replacement.
    let sample (compute: Compute) (key: Key) (size: int) (r: Replay) : Batch =
        gather compute (sampleIndices key size r) r

    /// The actions of the last n transitions, oldest first, [n, A].
    let newestActions (n: int) (r: Replay) : float32[] =
        let actions = Array.zeroCreate<float32>(n * r.ActionDim)

        for i in 0 .. n - 1 do
            let struct (chunk, at) = locate r (r.Count - n + i)
            copyRow r.ActionDim at chunk.Action i (actions.AsSpan())

        actions
