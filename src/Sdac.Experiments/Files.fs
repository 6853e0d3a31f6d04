namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open System.Text
open Microsoft.Win32.SafeHandles

/// Files that are either wholly there or not there.
[<RequireQualifiedAccess>]
module Files =
    [<DllImport("libc", SetLastError = true)>]
    extern int private ``open``(string path, int flags)

    [<DllImport("libc", SetLastError = true)>]
    extern int private fsync(int descriptor)

    [<DllImport("libc", SetLastError = true)>]
    extern int private close(int descriptor)

    /// POSIX error numbers, which .NET passes on as the HResult of an IOException.
    [<Literal>]
    let private NoSpace = 28

    [<Literal>]
    let private ReadOnlyFileSystem = 30

    [<Literal>]
    let private QuotaUsedUp = 122

    /// Runs a file operation on `path`; what the system refuses becomes a Storage failure that names path and mend.
    let guarded (doing: string) (path: string) (operation: unit -> 'a) : 'a =
        let storage text = Errors.fail (Storage text)

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
            storage $"the disk is full: cannot {doing} {path}; free some space (what was there before is unchanged)"
        | :? IOException as error when error.HResult = ReadOnlyFileSystem ->
            storage $"cannot {doing} {path}: the file system is read-only; choose another place"
        | :? IOException as error -> storage $"cannot {doing} {path}: {error.Message}; choose another place"

    /// Makes a rename or a new name in `folder` survive a power cut. File systems that cannot do so are left alone.
    let flushFolder (folder: string) =
        if OperatingSystem.IsLinux() then
            let descriptor = ``open`` (folder, 0)

            if descriptor >= 0 then
                fsync descriptor |> ignore
                close descriptor |> ignore

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
            try
                using
                    (new FileStream(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 <<< 16))
                    (fun stream ->
                        write stream
                        stream.Flush true)

                File.Move(temporary, path, true)
                flushFolder folder
            finally
                File.Delete temporary)

    /// Removes what killed processes left half written in a folder. The caller is its only writer.
    let removeUnfinished (folder: string) =
        if Directory.Exists folder then
            for file in Directory.GetFiles(folder, ".*.tmp") do
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

    /// Reads a text file; bytes that are no UTF-8 become replacement characters.
    let readText (path: string) = guarded "read" path (fun () -> File.ReadAllText path)

    /// Reads a file that people and other programs write. Fails with Damaged where it is no UTF-8: names in it would be read as
    /// others than those it holds.
    let readUtf8 (path: string) : string =
        try
            guarded "read" path (fun () -> File.ReadAllText(path, UTF8Encoding(false, true)))
        with :? DecoderFallbackException ->
            Errors.fail (Damaged $"{path} is no text in UTF-8: save it in that encoding")

    /// Creates a folder and those above it.
    let createFolder (path: string) =
        guarded "create" path (fun () ->
            Directory.CreateDirectory path |> ignore
            flushFolder (folderOf path))
