namespace Sdac.Experiments

open System
open System.IO
open System.Reflection
open System.Runtime.InteropServices
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86
open Sdac.Functional
open Sdac.Kernels
open Sdac.Mujoco
open Sdac.LibTorch

/// What a run was made on. It does not decide results, but explains timings.
type Machine =
    {
        /// Version and commit
        Program: string
        Runtime: string
        Libtorch: string
        Mujoco: string
        System: string
        Processor: string
        Processors: int
        Threads: int
        /// Widest vectors of the processor, in bits
        VectorBits: int
    }

[<RequireQualifiedAccess>]
module Machine =
    /// Sets the threads of all arithmetic in this process. With the kernels on, libtorch gets one: its share is small, its
    /// idle threads would spin, and its sums must not depend on their number.
    let useThreads (compute: Compute) (threads: int) =
        if threads < 1 then
            Errors.fail (Settings $"--threads is %d{threads}; it must be at least 1")

        Workers.Threads <- threads
        Libtorch.UseThreads(if compute.Kernels then 1 else threads)

    let private processor () =
        let named (line: string) = line.StartsWith("model name", StringComparison.Ordinal)

        if File.Exists "/proc/cpuinfo" then
            File.ReadLines "/proc/cpuinfo"
            |> Seq.tryFind named
            |> Option.map (fun line -> line.Substring(line.IndexOf ':' + 1).Trim())
            |> Option.defaultValue (string RuntimeInformation.ProcessArchitecture)
        else
            string RuntimeInformation.ProcessArchitecture

    let private version () =
        typeof<Machine>.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()
        |> Option.ofObj
        |> Option.map _.InformationalVersion
        |> Option.defaultValue "unknown"

    let describe () =
        { Program = version ()
          Runtime = RuntimeInformation.FrameworkDescription
          Libtorch = Libtorch.Version
          Mujoco = MujocoLibrary.Version
          System = RuntimeInformation.OSDescription
          Processor = processor ()
          Processors = Environment.ProcessorCount
          Threads = Workers.Threads
          VectorBits =
            if Avx512F.IsSupported then 512
            elif Vector256.IsHardwareAccelerated then 256
            else 128 }
