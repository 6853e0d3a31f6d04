/// The one start of libtorch.
module Sdac.LibTorch.Tests.StartTests

open System
open System.Diagnostics
open System.IO
open System.Reflection
open System.Runtime.InteropServices
open System.Runtime.Intrinsics.X86
open Expecto
open Sdac.Kernels
open Sdac.LibTorch
open Sdac.Testing
open TorchSharp

[<DllImport("libc")>]
extern nativeint private getenv(string name)

let private native name = Marshal.PtrToStringUTF8(getenv name)

/// This assembly as a child process that only starts libtorch: exit code, output, error.
let private child (variables: (string * string) list) =
    let start = ProcessStartInfo("dotnet", [ Assembly.GetExecutingAssembly().Location; "start" ])
    start.RedirectStandardOutput <- true
    start.RedirectStandardError <- true

    for name in [ "OMP_NUM_THREADS"; "MKL_NUM_THREADS"; "LD_LIBRARY_PATH" ] do
        start.Environment.Remove name |> ignore

    for name, value in variables do
        start.Environment[name] <- value

    use child = nonNull (Process.Start start)
    let error = child.StandardError.ReadToEndAsync()
    let output = child.StandardOutput.ReadToEnd()
    child.WaitForExit()
    struct (child.ExitCode, output.Trim(), error.Result.Trim())

let private inFolder (test: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("sdac-start-").FullName

    try
        test folder
    finally
        Directory.Delete(folder, true)

[<Tests>]
let tests =
    testList
        "The start of libtorch"
        [ test "tells the C library what libtorch reads when it is loaded, and leaves it one thread" {
              Libtorch.Start()
              Expect.equal (native "OMP_WAIT_POLICY") "passive" "idle workers sleep"

              if Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported then
                  Expect.equal (native "ATEN_CPU_CAPABILITY") "avx512" "widest kernels"

              Expect.equal (torch.get_num_threads ()) 1 "threads"
          }

          test "gives all processors, or as many as the user asks for, where no kernels are in the way" {
              Libtorch.Start()

              try
                  Libtorch.UseProcessors()

                  let wanted =
                      match Environment.GetEnvironmentVariable "OMP_NUM_THREADS" with
                      | null -> Environment.ProcessorCount
                      | text -> int text

                  Expect.equal (torch.get_num_threads ()) wanted "threads"
                  Libtorch.UseThreads 3
                  Expect.equal (torch.get_num_threads ()) 3 "threads asked for"
              finally
                  Libtorch.UseThreads 1
          }

          test "no threads at all are refused: libtorch would end the process" {
              for threads in [ 0; -1; Int32.MinValue ] do
                  failsWith [ string threads; "at least 1" ] (fun () -> Libtorch.UseThreads threads)

              Expect.equal (torch.get_num_threads ()) 1 "threads as before"
          }

          test "a child process starts it with one thread, whatever the environment says" {
              Expect.equal (child []) (struct (0, "1", "")) "plain"
              Expect.equal (child [ "OMP_NUM_THREADS", "2" ]) (struct (0, "1", "")) "two threads asked for"
          }

          test "a libtorch of another make is one sentence that names what is missing" {
              inFolder (fun folder ->
                  // any library by that name: it lacks libtorch's symbols
                  File.Copy(
                      Path.Combine(AppContext.BaseDirectory, "libgomp-98b21ff3.so.1"),
                      Path.Combine(folder, "libc10.so")
                  )

                  let struct (code, output, error) = child [ "LD_LIBRARY_PATH", folder ]
                  Expect.equal (code, output) (8, "") "exit code and output"
                  Expect.stringStarts error "libtorch 2.10.0 cannot be loaded for " "what"
                  Expect.stringContains error "undefined symbol" "why"
                  Expect.stringContains error "LD_LIBRARY_PATH names no other libtorch" "what to do"
                  Expect.equal (error.Split('\n').Length) 1 "one line")
          }

          test "a missing or damaged library is one sentence with its path" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "libLibTorchSharp.so")
                  let load () = Expect.raises<MissingLibraryException>(fun () -> Libtorch.Load path)
                  let missing = load ()
                  Expect.stringContains missing.Message $"missing at {path}: run `./build.sh build`" "missing"
                  File.WriteAllText(path, "no library at all, but long enough to be looked at: " + String('x', 200))
                  let damaged = load ()
                  Expect.stringContains damaged.Message $"cannot be loaded for {path} (" "damaged"
                  Expect.stringContains damaged.Message "invalid ELF header" "why")
          }

          test "a library for another processor is one sentence that says which" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "libLibTorchSharp.so")
                  let original = nonNull (NativeFiles.Find(typeof<torch>.Assembly, "libLibTorchSharp.so"))
                  Expect.isNull (NativeFiles.OtherProcessor original) "ours"
                  let bytes = File.ReadAllBytes original
                  // e_machine of the ELF header
                  for machine, name in [ 183uy, "Arm64"; 62uy, "X64"; 243uy, "processor 243" ] do
                      bytes[18] <- machine
                      File.WriteAllBytes(path, bytes)

                      if name <> string RuntimeInformation.ProcessArchitecture then
                          let error = Expect.raises<MissingLibraryException>(fun () -> Libtorch.Load path)
                          Expect.stringContains error.Message $"{path} cannot be loaded: it is built for {name}" "what"
                          Expect.stringContains error.Message "build Sdac for this processor" "what to do")
          }

          test "a session's libtorch is the first in PATH: the system's own, of another version, is not asked before it" {
              inFolder (fun folder ->
                  let inner name = Path.Combine(folder, name)
                  let file name = Path.Combine(inner name, "libtorch.so")

                  for name in [ "empty"; "first"; "second" ] do
                      Directory.CreateDirectory(inner name) |> ignore

                  for name in [ "first"; "second" ] do
                      File.WriteAllText(file name, "")

                  let path =
                      String.Join(
                          Path.PathSeparator,
                          [ inner "missing"; ""; inner "empty"; inner "first"; inner "second" ]
                      )

                  Expect.equal (Libtorch.FirstIn(path, "libtorch.so")) (file "first") "the first"
                  Expect.isNull (Libtorch.FirstIn(inner "empty", "libtorch.so")) "none"
                  Expect.isNull (Libtorch.FirstIn(null, "libtorch.so")) "no PATH at all")
          }

          test "a package's native library is found where the package has it, and where a program built from it has it" {
              inFolder (fun folder ->
                  // the layout of the package cache: PACKAGE/lib/net10.0 and PACKAGE/runtimes/linux-x64/native
                  let assembly = typeof<NativeFiles>.Assembly.Location
                  let lib = Path.Combine(folder, "lib", "net10.0")
                  let copy = Path.Combine(lib, "Sdac.Kernels.dll")
                  Directory.CreateDirectory lib |> ignore
                  File.Copy(assembly, copy)
                  let context = System.Runtime.Loader.AssemblyLoadContext("packages", true)
                  let loaded = context.LoadFromAssemblyPath copy

                  for place in [ folder; lib ] do
                      let native = Path.Combine(place, "runtimes", "linux-x64", "native")
                      Directory.CreateDirectory native |> ignore
                      let file = Path.Combine(native, "libnothing.so")
                      File.WriteAllText(file, "")
                      Expect.equal (NativeFiles.Find(loaded, "libnothing.so")) file "found"

                  Expect.isNull (NativeFiles.Find(loaded, "libelse.so")) "what is nowhere"
                  context.Unload())
          } ]
