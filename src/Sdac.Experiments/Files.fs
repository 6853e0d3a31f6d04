namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open System.Text
open System.Text.RegularExpressions
open Microsoft.Win32.SafeHandles

/// int fsync(int).
[<UnmanagedFunctionPointer(CallingConvention.Cdecl, SetLastError = true)>]
type private Fsync = delegate of descriptor: int -> int

/// Files that are either wholly there or not there.
[<RequireQualifiedAccess>]
module Files =
    /// As the whole process has it, so that a library that stands before the system's can make it fail.
    let private fsync =
        lazy
            (NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "fsync")
             |> Marshal.GetDelegateForFunctionPointer<Fsync>)

    [<DllImport("libc", SetLastError = true)>]
    extern int private ``open``(string path, int flags)

    /// struct flock of fcntl.
    [<Struct; StructLayout(LayoutKind.Sequential)>]
    type private RecordLock = { mutable Kind: int16; Whence: int16; Start: int64; Length: int64; Holder: int }

    [<DllImport("libc", SetLastError = true)>]
    extern int private fcntl(int descriptor, int command, RecordLock& lock)

    [<DllImport("libc", SetLastError = true)>]
    extern nativeint private realpath(string path, nativeint buffer)

    [<DllImport("libc")>]
    extern void private free(nativeint memory)

    [<DllImport("libc", SetLastError = true)>]
    extern int private mkdir(string path, uint32 mode)

    [<DllImport("libc", SetLastError = true)>]
    extern int private statx(int folder, string path, int flags, uint32 mask, byte[] found)

    /// POSIX error numbers, which .NET passes on as the HResult of an IOException.
    [<Literal>]
    let private Exists = 17

    [<Literal>]
    let private NoSpace = 28

    [<Literal>]
    let private Interrupted = 4

    [<Literal>]
    let private Invalid = 22

    [<Literal>]
    let private ReadOnlyFileSystem = 30

    [<Literal>]
    let private NotSupported = 95

    [<Literal>]
    let private QuotaUsedUp = 122

    /// Runs a file operation on `path`; what the system refuses becomes a Storage failure that names path and fix.
    let guarded (doing: string) (path: string) (operation: unit -> 'a) : 'a =
        let storage text = Errors.fail (Storage text)
        // only writing is all or nothing
        let unchanged = if doing = "write" then " (what was there before is unchanged)" else ""

        try
            operation ()
        with
        | :? UnauthorizedAccessException ->
            storage $"no permission to {doing} {path}: choose another place or change its permissions"
        | :? DirectoryNotFoundException ->
            storage
                $"cannot {doing} {path}: a folder on the way does not exist or is a file; create it or choose another place"
        | :? FileNotFoundException when doing = "read" ->
            storage $"cannot {doing} {path}: there is no such file; check the path"
        | :? IOException as error when error.HResult = NoSpace || error.HResult = QuotaUsedUp ->
            storage $"the disk is full: cannot {doing} {path}; free some space{unchanged}"
        | :? IOException as error when error.HResult = ReadOnlyFileSystem ->
            storage $"cannot {doing} {path}: the file system is read-only; choose another place"
        | :? IOException as error -> storage $"cannot {doing} {path}: {error.Message.TrimEnd '.'}; choose another place"

    /// What a path leads to where that is no regular file: reading from a pipe waits for somebody who writes, and a device has no end.
    /// None for a regular file, for nothing at all, and where the system does not tell. The numbers are those of Linux's statx.
    let private otherThanFile (path: string) : string option =
        let currentFolder, typeOnly, size, modeAt = -100, 1u, 256, 28
        let found = Array.zeroCreate<byte> size

        if not (OperatingSystem.IsLinux()) || statx (currentFolder, path, 0, typeOnly, found) <> 0 then
            None
        else
            match int (BitConverter.ToUInt16(found, modeAt)) &&& 0o170000 with
            | 0o100000 -> None
            | 0o040000 -> Some "a folder"
            | 0o010000 -> Some "a pipe"
            | 0o140000 -> Some "a socket"
            | _ -> Some "a device"

    /// Runs an operation that reads the file `path`. Fails with Storage where it cannot be read; what is no regular file is refused
    /// before it is opened.
    let reading (path: string) (operation: unit -> 'a) : 'a =
        match otherThanFile path with
        | Some kind -> Errors.fail (Storage $"cannot read {path}: it is {kind}, not a file; give a file's name")
        | None -> guarded "read" path operation

    let private raiseSystemError (error: int) = raise (IOException(Marshal.GetPInvokeErrorMessage error, error))

    /// Waits until a file is on the disk; IOException where the system could not do so, which .NET's own Flush keeps to itself. File
    /// systems that cannot do it at all answer EINVAL or ENOTSUP.
    let rec private flushHandle (handle: SafeFileHandle) =
        if fsync.Value.Invoke(int (handle.DangerousGetHandle())) <> 0 then
            match Marshal.GetLastPInvokeError() with
            | Interrupted -> flushHandle handle
            | Invalid
            | NotSupported -> ()
            | error -> raiseSystemError error

    /// Waits until all that was written to a file is on the disk. IOException where the system could not do so.
    let flushToDisk (stream: FileStream) =
        if OperatingSystem.IsLinux() then
            stream.Flush()
            flushHandle stream.SafeFileHandle
        else
            stream.Flush true

    /// Makes a rename or a new name in `folder` survive a power cut. Fails with Storage where the system could not do so.
    let flushFolder (folder: string) =
        if OperatingSystem.IsLinux() then
            guarded "flush" folder (fun () ->
                let descriptor = ``open`` (folder, 0)

                if descriptor < 0 then
                    raiseSystemError (Marshal.GetLastPInvokeError())

                use handle = new SafeFileHandle(nativeint descriptor, true)
                flushHandle handle)

    /// The folder that holds a file or folder.
    let folderOf (path: string) =
        match Path.GetDirectoryName(Path.GetFullPath path) with
        | null -> "/"
        | folder -> folder

    /// Writes a file so that at every moment either the old content or the whole new content is there: temporary file
    /// beside it, flushed to disk, renamed, folder flushed. Fails with Storage; the old file is then untouched.
    let writeAtomic (path: string) (write: Stream -> unit) =
        let folder = folderOf path
        let temporary = Path.Combine(folder, $".{Path.GetFileName path}.{Environment.ProcessId}.tmp")

        guarded "write" path (fun () ->
            if Directory.Exists path then
                raise (IOException "a folder has this name")

            try
                using
                    (new FileStream(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 <<< 16))
                    (fun stream ->
                        write stream
                        flushToDisk stream)

                File.Move(temporary, path, true)
                flushFolder folder
            finally
                File.Delete temporary)

    /// The name of a file that `writeAtomic` was writing when its process was killed.
    let isUnfinished (file: string) = Regex.IsMatch(string (Path.GetFileName file), @"^\..+\.[0-9]+\.tmp\z")

    /// Removes what killed processes left half written in a folder. The caller is its only writer.
    let removeUnfinished (folder: string) =
        if Directory.Exists folder then
            for file in Directory.GetFiles(folder, ".*.tmp") |> Array.filter isUnfinished do
                guarded "delete" file (fun () -> File.Delete file)

    /// Writes a text file (UTF-8, no byte order mark) atomically.
    let writeText (path: string) (text: string) =
        writeAtomic path (fun stream -> stream.Write(ReadOnlySpan(Encoding.UTF8.GetBytes text)))

    /// The first line of a small file, also of one that another process has locked; empty where it cannot be read.
    let peek (path: string) =
        let descriptor = ``open`` (path, 0)

        if descriptor < 0 then
            ""
        else
            use handle = new SafeFileHandle(nativeint descriptor, true)
            let buffer = Array.zeroCreate<byte> 256
            let length = RandomAccess.Read(handle, Span buffer, 0L)
            Encoding.UTF8.GetString(buffer, 0, length).Split('\n')[0]

    [<Literal>]
    let private GetRecordLock = 5

    [<Literal>]
    let private Unlocked = 2s

    /// Has another process a record lock (fcntl) on a file? That is what a flock becomes on network file systems, where it is seen from
    /// other machines. Only looks.
    let hasRecordLock (path: string) =
        let descriptor = ``open`` (path, 0)

        if descriptor < 0 then
            false
        else
            use _ = new SafeFileHandle(nativeint descriptor, true)
            // what would be in the way of a lock for reading
            let mutable lock = { Kind = 0s; Whence = 0s; Start = 0L; Length = 0L; Holder = 0 }
            fcntl (descriptor, GetRecordLock, &lock) = 0 && lock.Kind <> Unlocked

    /// Reads a text file; bytes that are no UTF-8 become replacement characters.
    let readText (path: string) = reading path (fun () -> File.ReadAllText path)

    /// Reads a file that people and other programs write. Fails with Damaged where it is no UTF-8: names in it would be read as
    /// others than those it holds.
    let readUtf8 (path: string) : string =
        try
            reading path (fun () -> File.ReadAllText(path, UTF8Encoding(false, true)))
        with :? DecoderFallbackException ->
            Errors.fail (Damaged $"{path} is no text in UTF-8: save it in that encoding")

    /// Creates a folder and those above it that are missing; each of them survives a power cut.
    let createFolder (path: string) =
        let rec missing (folder: string) = if Directory.Exists folder then [] else folder :: missing (folderOf folder)

        guarded "create" path (fun () ->
            let created = missing (Path.TrimEndingDirectorySeparator(Path.GetFullPath path))
            Directory.CreateDirectory path |> ignore
            // a folder's name lies in the one above it
            created |> List.rev |> List.iter (folderOf >> flushFolder))

    /// Makes a folder; false where something of that name is there already. .NET makes no difference between the two.
    let tryMakeFolder (path: string) : bool =
        guarded "create" path (fun () ->
            if mkdir (path, 0o777u) = 0 then
                flushFolder (folderOf path)
                true
            else
                match Marshal.GetLastPInvokeError() with
                | Exists -> false
                | error -> raiseSystemError error)

    /// The path without links, "." and "..": two paths to the same file have the same one. None where it leads to nothing.
    let realPath (path: string) : string option =
        match realpath (path, 0n) with
        | 0n -> None
        | found ->
            try
                Marshal.PtrToStringUTF8 found |> Option.ofObj
            finally
                free found
