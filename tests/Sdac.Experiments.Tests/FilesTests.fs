module Sdac.Experiments.Tests.FilesTests

open System
open System.IO
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

[<Fact>]
let ``a written file holds the bytes and leaves nothing beside it`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "a.bin")
        Files.writeAtomic path (fun stream -> stream.Write(ReadOnlySpan [| 1uy; 2uy |]))
        Files.writeAtomic path (fun stream -> stream.Write(ReadOnlySpan [| 3uy |]))
        Assert.Equal<byte[]>([| 3uy |], File.ReadAllBytes path)
        Assert.Equal<string[]>([| path |], Directory.GetFileSystemEntries folder))

[<Fact>]
let ``a write that fails half way leaves the old file and nothing beside it`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "a.bin")
        File.WriteAllText(path, "old")

        let broken (stream: Stream) =
            stream.Write(ReadOnlySpan(Array.zeroCreate<byte> 100_000))
            invalidOp "half way"

        Assert.Throws<InvalidOperationException>(fun () -> Files.writeAtomic path broken) |> ignore
        Assert.Equal("old", File.ReadAllText path)
        Assert.Equal<string[]>([| path |], Directory.GetFileSystemEntries folder))

[<Fact>]
let ``a reader sees the old content until the write is complete`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "a.txt")
        File.WriteAllText(path, "old")

        Files.writeAtomic path (fun stream ->
            stream.Write(ReadOnlySpan "new"B)
            stream.Flush()
            Assert.Equal("old", File.ReadAllText path))

        Assert.Equal("new", File.ReadAllText path))

[<Fact>]
let ``a full disk is named as such`` () =
    if File.Exists "/dev/full" then
        let writing () =
            Files.guarded "write" "checkpoint" (fun () ->
                use stream = new FileStream("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0)
                stream.Write(ReadOnlySpan [| 1uy |]))

        failureOf writing |> says [ "disk is full"; "checkpoint"; "free some space" ]

[<Fact>]
let ``a missing folder, a missing file and a place that cannot be written are named`` () =
    inFolder (fun folder ->
        let deep = Path.Combine(folder, "none", "a.txt")
        failureOf (fun () -> Files.writeText deep "x") |> says [ deep; "create it" ]
        let none = Path.Combine(folder, "none.txt")
        failureOf (fun () -> Files.readText none) |> says [ none; "no such file" ]
        let file = Path.Combine(folder, "file")
        File.WriteAllText(file, "")

        failureOf (fun () -> Files.createFolder (Path.Combine(file, "below")))
        |> says [ file; "choose another" ])

[<Fact>]
let ``an existing run is refused without overwrite and emptied with it`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "run")
        let run = RunFolder.create path false
        Files.writeText run.Spec "{}"
        Files.writeText run.Metrics "old"
        Files.writeText (Path.Combine(run.Checkpoints, "a")) "old"
        failureOf (fun () -> RunFolder.create path false) |> says [ path; "--overwrite"; "--out" ]
        Assert.Equal("old", File.ReadAllText run.Metrics)
        let again = RunFolder.create path true
        Assert.False(File.Exists again.Metrics)
        Assert.Empty(Directory.GetFileSystemEntries again.Checkpoints))

[<Fact>]
let ``a folder with something else in it is refused even with overwrite`` () =
    inFolder (fun folder ->
        File.WriteAllText(Path.Combine(folder, "thesis.tex"), "precious")
        failureOf (fun () -> RunFolder.create folder true) |> says [ folder; "not a run" ]
        Assert.True(File.Exists(Path.Combine(folder, "thesis.tex"))))

[<Fact>]
let ``a folder left by a process that was killed before it wrote its specification is used again`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "run")
        let run = RunFolder.create path false
        (RunFolder.lock run).Dispose()
        File.WriteAllText(Path.Combine(path, ".spec.json.77.tmp"), "{")
        Assert.Equal(run, RunFolder.create path false)
        File.WriteAllText(Path.Combine(run.Checkpoints, "a"), "precious")
        failureOf (fun () -> RunFolder.create path false) |> says [ path; "not a run" ])

[<Fact>]
let ``a second writer is refused while the first holds the lock`` () =
    inFolder (fun folder ->
        let run = RunFolder.create folder false
        let first = RunFolder.lock run
        failureOf (fun () -> RunFolder.lock run) |> says [ folder; "another process" ]
        first.Dispose()
        (RunFolder.lock run).Dispose())

[<Fact>]
let ``a folder that is no run cannot be opened as one`` () =
    inFolder (fun folder ->
        failureOf (fun () -> RunFolder.openExisting folder) |> says [ folder; "spec.json" ]
        let none = Path.Combine(folder, "none")
        failureOf (fun () -> RunFolder.openExisting none) |> says [ none; "check the path" ])

[<Fact>]
let ``a folder that the system refuses to make is named, with another place as the mend`` () =
    if Directory.Exists "/proc/self" then
        failureOf (fun () -> RunFolder.create "/proc/run" false)
        |> says [ "cannot create /proc/run"; "choose another place" ]
