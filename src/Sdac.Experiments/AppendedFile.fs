namespace Sdac.Experiments

open System
open System.IO

/// A file that grows at its end only, and that a resumed run cuts back to where its checkpoint was.
[<Sealed>]
type AppendedFile private (path: string, stream: FileStream) =
    let guarded operation = Files.guarded "write" path operation

    /// Opens (or creates) a file and continues it at byte `position`; what lay behind is dropped.
    static member Continue(path: string, position: int64) =
        Files.guarded "write" path (fun () ->
            let stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, 1 <<< 16)

            try
                if stream.Length < position then
                    Errors.fail (
                        Damaged
                            $"{path} is shorter ({stream.Length} bytes) than the checkpoint says ({position}): resume from an older checkpoint"
                    )

                stream.SetLength position
                stream.Position <- position
                Files.flushFolder (Files.folderOf path)
                new AppendedFile(path, stream)
            with _ ->
                stream.Dispose()
                reraise ())

    /// Bytes written so far: where a resumed run goes on.
    member _.Position = stream.Position

    /// Appends bytes; they may wait in this process until `Flush`.
    member _.Append(bytes: ReadOnlyMemory<byte>) = guarded (fun () -> stream.Write bytes.Span)

    /// Hands what was appended to the system; `toDisk` waits until it is on the disk.
    member _.Flush(toDisk: bool) = guarded (fun () -> if toDisk then Files.flushToDisk stream else stream.Flush())

    interface IDisposable with
        member _.Dispose() = guarded stream.Dispose
