namespace Sdac.Functional

open System

/// Numbers beside the transitions of a replay memory that change after they are stored: rows under the transitions' ids (an id is
/// how many transitions were ever remembered before it). Immutable: a change copies the chunks that it touches and shares the
/// others with the old column.
[<Sealed>]
type Column private (width: int, first: int64, count: int, chunks: float32[][]) =
    // A step of training touches some hundred rows far apart: small chunks, or each of them would copy the whole column.
    static member private ChunkRows = 128

    // Ids of chunk 0 begin here.
    member private _.Base = first / int64 Column.ChunkRows * int64 Column.ChunkRows

    /// Numbers per row.
    member _.Width = width

    /// The id of the oldest row.
    member _.First = first

    /// Rows.
    member _.Count = count

    /// The id that the next row will have.
    member _.Next = first + int64 count

    member private _.Chunks = chunks

    member private c.Locate(id: int64) =
        if id < first || id >= first + int64 count then
            invalidArg
                (nameof id)
                $"row %d{id} was asked for; the column holds the rows %d{first} to %d{first + int64 count - 1L}"

        let at = int (id - c.Base)
        struct (at / Column.ChunkRows, at % Column.ChunkRows)

    /// A column without rows, whose first one will have this id.
    static member Empty(width: int, first: int64) : Column =
        if width < 1 || first < 0L then
            invalidArg (nameof width) $"a column of width %d{width} from row %d{first} is impossible"

        Column(width, first, 0, [||])

    /// The column with further rows, [n, Width] row-major.
    member c.Append(rows: ReadOnlySpan<float32>) : Column =
        if rows.Length % width <> 0 then
            invalidArg (nameof rows) $"{rows.Length} numbers are no rows of {width}"

        let added = rows.Length / width
        let start = int (c.Next - c.Base)
        let total = (start + added + Column.ChunkRows - 1) / Column.ChunkRows
        let fresh = Array.zeroCreate<float32[]> total
        Array.blit chunks 0 fresh 0 chunks.Length
        let firstTouched = start / Column.ChunkRows

        for i in firstTouched .. total - 1 do
            fresh[i] <-
                if i < chunks.Length then
                    Array.copy chunks[i]
                else
                    Array.zeroCreate (Column.ChunkRows * width)

        for r in 0 .. added - 1 do
            let at = start + r

            rows
                .Slice(r * width, width)
                .CopyTo(fresh[at / Column.ChunkRows].AsSpan(at % Column.ChunkRows * width, width))

        Column(width, first, count + added, fresh)

    /// The column without the rows before this id.
    member c.From(id: int64) : Column =
        if id <= first then
            c
        elif id >= c.Next then
            Column.Empty(width, id)
        else
            let whole = int ((id - c.Base) / int64 Column.ChunkRows)
            Column(width, id, int (c.Next - id), chunks[whole..])

    /// The rows with these ids, [n, Width] row-major.
    member c.Gather(ids: int64[]) : float32[] =
        let values = Array.zeroCreate<float32>(ids.Length * width)

        for i in 0 .. ids.Length - 1 do
            let struct (chunk, row) = c.Locate ids[i]
            Array.blit chunks[chunk] (row * width) values (i * width) width

        values

    /// The column with other values in these rows, [n, Width] row-major; of an id given twice the last one stays.
    member c.Put(ids: int64[], values: ReadOnlySpan<float32>) : Column =
        if values.Length <> ids.Length * width then
            invalidArg (nameof values) $"{values.Length} numbers were given for {ids.Length} rows of {width}"

        let fresh = Array.copy chunks

        for i in 0 .. ids.Length - 1 do
            let struct (chunk, row) = c.Locate ids[i]

            if obj.ReferenceEquals(fresh[chunk], chunks[chunk]) then
                fresh[chunk] <- Array.copy chunks[chunk]

            values.Slice(i * width, width).CopyTo(fresh[chunk].AsSpan(row * width, width))

        Column(width, first, count, fresh)

    /// All rows, oldest first, [Count, Width] row-major.
    member c.ToArray() : float32[] = c.Gather(Array.init count (fun i -> first + int64 i))

[<RequireQualifiedAccess>]
module Column =
    /// The column with a row for each transition of the memory and no other: the older ones are dropped, the new ones begin as
    /// the transitions' actions.
    let follow (memory: Replay) (c: Column) : Column =
        let oldest = memory.Appended - int64 memory.Count
        let kept = c.From oldest
        let missing = int (memory.Appended - kept.Next)

        if missing = 0 then
            kept
        else
            kept.Append(ReadOnlySpan(Replay.newestActions missing memory))
