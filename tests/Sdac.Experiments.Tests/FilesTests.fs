module Sdac.Experiments.Tests.FilesTests

open System
open System.IO
open System.Net.Sockets
open System.Threading.Tasks
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

[<Tests>]
let tests =
    testList
        "files"
        [ testCase "a written file holds the bytes and leaves nothing beside it" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.bin")
                  Files.writeAtomic path (fun stream -> stream.Write(ReadOnlySpan [| 1uy; 2uy |]))
                  Files.writeAtomic path (fun stream -> stream.Write(ReadOnlySpan [| 3uy |]))
                  Expect.equal (File.ReadAllBytes path) [| 3uy |] "content of path"
                  Expect.equal (Directory.GetFileSystemEntries folder) [| path |] "content of the folder"))

          testCase "a write that fails half way leaves the old file and nothing beside it" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.bin")
                  File.WriteAllText(path, "old")

                  let broken (stream: Stream) =
                      stream.Write(ReadOnlySpan(Array.zeroCreate<byte> 100_000))
                      invalidOp "half way"

                  Expect.raises<InvalidOperationException>(fun () -> Files.writeAtomic path broken) |> ignore
                  Expect.equal (File.ReadAllText path) "old" "content of path"
                  Expect.equal (Directory.GetFileSystemEntries folder) [| path |] "content of the folder"))

          testCase "a reader sees the old content until the write is complete" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.txt")
                  File.WriteAllText(path, "old")

                  Files.writeAtomic path (fun stream ->
                      stream.Write(ReadOnlySpan "new"B)
                      stream.Flush()
                      Expect.equal (File.ReadAllText path) "old" "content of path")

                  Expect.equal (File.ReadAllText path) "new" "content of path"))

          testCase "what is no file is refused at once where a file is to be read" (fun () ->
              inFolder (fun folder ->
                  let pipe, link, socket =
                      Path.Combine(folder, "pipe"), Path.Combine(folder, "link"), Path.Combine(folder, "socket")

                  Expect.isTrue ((Commands.tryRun "mkfifo" [ pipe ]) |> Option.exists _.IsOk) "a pipe is made"
                  File.CreateSymbolicLink(link, pipe) |> ignore
                  use listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
                  listener.Bind(UnixDomainSocketEndPoint socket)

                  /// A pipe that is opened after all is fed, so that its reader ends.
                  let atOnce (read: string -> unit) (path: string) =
                      let reading = Task.Run(fun () -> failureOf (fun () -> read path))

                      if not (Task.WaitAny([| reading :> Task |], TimeSpan.FromSeconds 20.0) = 0) then
                          use _ = new FileStream(pipe, FileMode.Open, FileAccess.ReadWrite)
                          failtest $"reading {path} waits"

                      reading.GetAwaiter().GetResult()

                  let run: RunFolder = { Path = Path.Combine(folder, "run") }
                  Directory.CreateDirectory run.Checkpoints |> ignore
                  File.CreateSymbolicLink(run.Spec, pipe) |> ignore

                  for path, kind in
                      [ pipe, "a pipe"
                        link, "a pipe"
                        socket, "a socket"
                        folder, "a folder"
                        "/dev/zero", "a device" ] do
                      for name, read in
                          [ "readText", Files.readText >> ignore
                            "readUtf8", Files.readUtf8 >> ignore
                            "a checkpoint", Safetensors.read >> ignore
                            "a checkpoint's header", Safetensors.metadata >> ignore
                            "a trace", (fun path -> Trace.run path None) ] do
                          let failure = atOnce read path
                          Expect.isTrue failure.IsStorage $"{name}: {failure}"
                          failure |> says [ path; $"it is {kind}"; "give a file" ]

                  atOnce (fun _ -> SpecFile.ofRun Registry.standard run |> ignore) run.Spec
                  |> says [ run.Spec; "a pipe" ]

                  atOnce (fun _ -> Runner.resume Registry.standard run.Path 1 true |> ignore) run.Spec
                  |> says [ run.Spec; "a pipe" ]))

          testCase "a full disk is named as such" (fun () ->
              if not (File.Exists "/dev/full") then
                  skiptest "there is no /dev/full, the device that has no room"

              let writing () =
                  Files.guarded "write" "checkpoint" (fun () ->
                      use stream =
                          new FileStream("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0)

                      stream.Write(ReadOnlySpan [| 1uy |]))

              failureOf writing |> says [ "disk is full"; "checkpoint"; "free some space" ])

          testCase "a missing folder, a missing file and a place that cannot be written are named" (fun () ->
              inFolder (fun folder ->
                  let deep = Path.Combine(folder, "none", "a.txt")
                  failureOf (fun () -> Files.writeText deep "x") |> says [ deep; "create it" ]
                  let none = Path.Combine(folder, "none.txt")
                  failureOf (fun () -> Files.readText none) |> says [ none; "no such file" ]
                  let file = Path.Combine(folder, "file")
                  File.WriteAllText(file, "")

                  failureOf (fun () -> Files.createFolder (Path.Combine(file, "below")))
                  |> says [ file; "choose another" ]))

          testCase "an existing run is refused without overwrite and emptied with it" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "run")
                  let run = RunFolder.create path false
                  Files.writeText run.Spec "{}"
                  Files.writeText run.Metrics "old"
                  Files.writeText (Checkpoint.path run 20L) "old"
                  failureOf (fun () -> RunFolder.create path false) |> says [ path; "--overwrite"; "--out" ]
                  Expect.equal (File.ReadAllText run.Metrics) "old" "metrics"
                  let again = RunFolder.create path true
                  Expect.isFalse (File.Exists again.Metrics) "metrics"
                  Expect.isEmpty (Directory.GetFileSystemEntries again.Checkpoints) "checkpoints"))

          testCase "a folder with something else in it is refused even with overwrite" (fun () ->
              inFolder (fun folder ->
                  File.WriteAllText(Path.Combine(folder, "thesis.tex"), "precious")
                  failureOf (fun () -> RunFolder.create folder true) |> says [ folder; "not a run" ]
                  Expect.isTrue (File.Exists(Path.Combine(folder, "thesis.tex"))) "folder"))

          testCase
              "a folder left by a process that was killed before it wrote its specification is used again"
              (fun () ->
                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "run")
                      let run = RunFolder.create path false
                      (RunFolder.lock run).Dispose()
                      File.WriteAllText(Path.Combine(path, ".spec.json.77.tmp"), "{")
                      Expect.equal (RunFolder.create path false) run "path"
                      File.WriteAllText(Path.Combine(run.Checkpoints, "a"), "precious")
                      failureOf (fun () -> RunFolder.create path false) |> says [ path; "not a run" ]))

          testCase "a second writer is refused while the first holds the lock" (fun () ->
              inFolder (fun folder ->
                  let run = RunFolder.create folder false
                  let first = RunFolder.lock run
                  failureOf (fun () -> RunFolder.lock run) |> says [ folder; "another process" ]
                  first.Dispose()
                  (RunFolder.lock run).Dispose()))

          testCase "a folder that is no run cannot be opened as one" (fun () ->
              inFolder (fun folder ->
                  failureOf (fun () -> RunFolder.openExisting folder) |> says [ folder; "spec.json" ]
                  let none = Path.Combine(folder, "none")
                  failureOf (fun () -> RunFolder.openExisting none) |> says [ none; "check the path" ]))

          testCase "a folder that the system refuses to make is named, with another place as the mend" (fun () ->
              if not (Directory.Exists "/proc/self") then
                  skiptest "there is no /proc, where the system lets nobody make a folder"

              failureOf (fun () -> RunFolder.create "/proc/run" false)
              |> says [ "cannot create /proc/run"; "choose another place" ]) ]
