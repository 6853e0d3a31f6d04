namespace Sdac.Functional

open System
open System.Runtime.InteropServices
open Sdac.LibTorch
open TorchSharp

type Tensor = torch.Tensor

/// Where the arithmetic runs: a device, and whether the networks' passes use this project's kernels (CPU only)
/// or libtorch alone.
[<NoComparison; CustomEquality>]
type Compute =
    { Device: torch.Device
      Kernels: bool }

    override this.Equals other =
        match other with
        | :? Compute as o -> this.Kernels = o.Kernels && string this.Device = string o.Device
        | _ -> false

    override this.GetHashCode() = hash (this.Kernels, string this.Device)

[<RequireQualifiedAccess>]
module Compute =
    let private onCpu kernels =
        Libtorch.Start()
        { Device = torch.CPU; Kernels = kernels }

    /// The CPU with this project's kernels: the default.
    let cpu = onCpu true

    /// The CPU with libtorch alone, on as many threads as libtorch has now (`Libtorch.UseThreads`).
    let libtorch = onCpu false

    /// The number of the GPU that a name means; None is the CPU.
    let private gpu (device: string) : int option =
        let unknown () =
            invalidArg (nameof device) $"unknown device '{device}': use cpu, cuda or cuda:N with the number of a GPU"

        match device.Split ':' with
        | [| "cpu" |] -> None
        | [| "cuda" |] -> Some 0
        | [| "cuda"; number |] ->
            match
                Int32.TryParse(number, Globalization.NumberStyles.None, Globalization.CultureInfo.InvariantCulture)
            with
            | true, index -> Some index
            | _ -> unknown ()
        | _ -> unknown ()

    // TorchSharp's device cannot even be named where there is no GPU.
    let private onGpu (device: string) (index: int) =
        if not (torch.cuda.is_available ()) then
            invalidArg
                (nameof device)
                $"device '{device}' is not available: this libtorch sees no CUDA GPU; use --device cpu, or a build with -p:Cuda=true on a machine with one (./build.sh cuda-check)"

        let count = torch.cuda.device_count ()

        if index >= count then
            invalidArg
                (nameof device)
                $"device '{device}' is not there: this machine has {count} GPUs, counted from cuda:0"

        { Device = torch.device ("cuda", index); Kernels = false }

    /// The named device ("cpu", "cuda", "cuda:1"). Kernels are ours on the CPU only; elsewhere libtorch does all, and then
    /// has all processors of this process.
    /// Raises ArgumentException for an unknown device, and when CUDA is asked for and absent.
    let create (device: string) (kernels: bool) : Compute =
        let wanted = gpu device
        Libtorch.Start()

        let compute =
            match wanted with
            | Some index -> onGpu device index
            | None -> onCpu kernels

        if compute.Kernels then Libtorch.UseThreads 1 else Libtorch.UseProcessors()
        compute

/// Numbers as libtorch's scalars.
[<RequireQualifiedAccess>]
module Scalars =
    let ofFloat (value: float) : Scalar = Scalar.op_Implicit value

/// What equations of tensors are written with, beside libtorch's operators: `num 0.5 * x + y`.
[<AutoOpen>]
module Equations =
    /// A number among tensors.
    let num (value: float) : Scalar = Scalars.ofFloat value

/// The few tensor helpers that the rest of this library is written with. All tensors are float32.
[<RequireQualifiedAccess>]
module Tensors =
    let private dims (shape: int list) = shape |> List.map int64 |> List.toArray

    let empty (shape: int list) : Tensor =
        Libtorch.Start()
        torch.empty (dims shape, torch.float32)

    let zeros (compute: Compute) (shape: int list) : Tensor = torch.zeros (dims shape, torch.float32, compute.Device)

    /// Ends the use of spans over these tensors: without a dispose scope the collector could free one whose last use is
    /// the call that took its span.
    let keepAlive (ts: Tensor list) = GC.KeepAlive ts

    /// The memory of a contiguous float32 tensor on the CPU, without a copy. The caller keeps the tensor alive.
    let span (t: Tensor) : Span<float32> = MemoryMarshal.Cast<byte, float32> t.bytes

    /// The tensor itself on the CPU, or a copy of it on the device.
    let place (compute: Compute) (t: Tensor) : Tensor =
        if compute.Device.``type`` = DeviceType.CPU then
            t
        else
            torch.empty(t.shape, torch.float32, compute.Device).copy_ t

    /// A tensor of the given shape holding a copy of the values (row-major).
    let ofArray (compute: Compute) (shape: int list) (values: float32[]) : Tensor =
        let expected = List.fold (*) 1 shape

        if values.Length <> expected then
            invalidArg (nameof values) $"a tensor of shape {shape} needs {expected} values, not {values.Length}"

        let t = empty shape
        values.AsSpan().CopyTo(span t)
        place compute t

    /// The values, row-major, copied out.
    let toArray (t: Tensor) : float32[] =
        if t.device_type = DeviceType.CPU && not t.requires_grad && t.is_contiguous () then
            let values = (span t).ToArray()
            keepAlive [ t ]
            values
        else
            use scope = torch.NewDisposeScope()
            let c = t.detach().cpu().contiguous()
            (span c).ToArray()

    let view (shape: int list) (t: Tensor) : Tensor = t.view (dims shape)
    let reshape (shape: int list) (t: Tensor) : Tensor = t.reshape (dims shape)
    let expand (shape: int list) (t: Tensor) : Tensor = t.expand (dims shape)
    let size (dim: int) (t: Tensor) = int (t.size dim)
    let shape (t: Tensor) = t.shape |> Array.map int |> Array.toList
    let cat (dim: int) (ts: Tensor list) : Tensor = torch.cat (List.toArray ts, int64 dim)

    let scalar (t: Tensor) : float = float (t.item<float32>())

    /// The Euclidean norm of all entries.
    let norm (t: Tensor) : float =
        use scope = torch.NewDisposeScope()
        sqrt (scalar (t.square().sum()))

    let private refusing (f: unit -> 'r) : 'r =
        try
            f ()
        with error when LibtorchException.IsRefusal error ->
            raise (LibtorchException.From error)

    /// Runs `f` in a dispose scope of its own: every tensor made inside is freed, but for those that `keep` names
    /// in the result, which become the caller's own (outside any scope).
    /// What libtorch refuses becomes a LibtorchException of one sentence.
    let owning (keep: 'r -> Tensor list) (f: unit -> 'r) : 'r =
        use scope = torch.NewDisposeScope()
        let result = refusing f

        for t in keep result do
            t.DetachFromDisposeScope() |> ignore

        result

    /// Runs `f` in a dispose scope; the tensors that `keep` names go to the caller's scope.
    /// What libtorch refuses becomes a LibtorchException of one sentence.
    let scoped (keep: 'r -> Tensor list) (f: unit -> 'r) : 'r =
        use scope = torch.NewDisposeScope()
        let result = refusing f

        for t in keep result do
            t.MoveToOuterDisposeScope() |> ignore

        result

    /// Raises ArgumentException unless `t` has the given shape; -1 stands for any size.
    let check (name: string) (expected: int list) (t: Tensor) =
        let actual = shape t

        if
            List.length actual <> List.length expected
            || List.exists2 (fun a e -> e >= 0 && a <> e) actual expected
        then
            invalidArg name $"{name} has shape {actual}, but {expected} is needed (-1: any size)"
