namespace Sdac.Functional

open System

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
            Open = r.Open.Empty r.ChunkSteps
            OpenSteps = 0
            Current = [||] }

    /// The same transitions, whose observations `gather` and `sample` give normalised by these moments, clipped to ±`limit`.
    let normalised (limit: float) (moments: RunningMoments) (r: Replay) : Replay =
        { r with Shown = Some(struct (limit, moments)) }

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

    /// Closes the open chunk and drops the oldest where the memory is full.
    let private roll (r: Replay) =
        let closed = Array.append r.Closed [| struct (r.Open, r.OpenSteps) |]
        let surplus = max 0 (closed.Length + 1 - r.MaxChunks)
        let closed = closed[surplus..]

        { r with
            Closed = closed
            Starts = closed |> Array.scan (fun sum struct (_, steps) -> sum + steps * r.Environments) 0
            Open = r.Open.Empty r.ChunkSteps
            OpenSteps = 0 }

    /// The memory with one more step of every environment.
    let append (t: Transitions) (r: Replay) : Replay =
        checkLengths r t

        // A loop hands on the very array that the last step ended with: there is nothing to compare.
        let continues =
            r.OpenSteps = 0 || obj.ReferenceEquals(t.Obs, r.Current) || Chunk.continues t.Obs r.OpenSteps r.Open

        let r = if r.OpenSteps = r.ChunkSteps || not continues then roll r else r
        // Another snapshot has already written behind this one's count: leave its content alone.
        let chunk = if r.Open.Filled = r.OpenSteps then r.Open else Chunk.copy r.OpenSteps r.Open
        Chunk.write t r.OpenSteps chunk

        { r with
            Open = chunk
            OpenSteps = r.OpenSteps + 1
            Current = t.Current
            Appended = r.Appended + int64 r.Environments }

    /// The whole memory, oldest first. All segments but the last are closed: they stay the same, number for number, in
    /// every later memory that still holds them.
    let segments (r: Replay) : ReplaySegment list =
        let first = r.Appended - int64 r.Count

        [ for i in 0 .. r.Closed.Length - 1 do
              let struct (chunk, steps) = r.Closed[i]
              Chunk.segment (first + int64 r.Starts[i]) true steps chunk
          Chunk.segment (first + int64 r.Starts[r.Closed.Length]) false r.OpenSteps r.Open ]

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
            let chunks = [| for s in List.rev closed -> struct (Chunk.fill s (empty.Open.Empty s.Steps), s.Steps) |]

            { empty with
                Closed = chunks
                Starts = chunks |> Array.scan (fun sum struct (_, steps) -> sum + steps * environments) 0
                Open = Chunk.fill last empty.Open
                OpenSteps = last.Steps
                Appended = next last }
        | _ ->
            invalidArg
                (nameof segments)
                $"these {segments.Length} segments are not one replay memory of {like.Capacity} transitions"

    /// A column of all transitions, oldest first; `part` gives that of a chunk's first rows.
    let private column (part: Chunk -> int -> 'a[]) (r: Replay) : 'a[] =
        Array.concat
            [ for struct (chunk, steps) in r.Closed do
                  part chunk (steps * r.Environments)
              part r.Open (r.OpenSteps * r.Environments) ]

    /// The i-th extra of all transitions, oldest first, [Count, width].
    let extra (i: int) (r: Replay) : float32[] =
        column (fun chunk rows -> Array.sub chunk.Extras[i] 0 (rows * r.ExtraWidths[i])) r

    /// The rewards of all transitions, oldest first, [Count].
    let rewards (r: Replay) : float32[] = column (fun chunk rows -> Array.sub chunk.Reward 0 rows) r

    /// Which transitions, oldest first, ended their episode by the task's rules, and which at the time limit alone; [Count] each.
    let ends (r: Replay) : struct (bool[] * bool[]) =
        let terminated = column (fun chunk rows -> Array.sub chunk.Terminated 0 rows) r
        let final = column (fun chunk rows -> Array.sub chunk.Final 0 rows) r
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
        source.AsSpan(from * width, width).CopyTo(target.Slice(into * width, width))

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
