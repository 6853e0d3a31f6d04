module Sdac.Torch.Tests.ErrorTests

open System
open System.IO
open System.Runtime.InteropServices
open TorchSharp
open TorchSharp.Native
open Xunit
open Sdac.Torch.Tests.Support

[<Fact>]
let ``libtorch's text arrives as an exception, without the C++ stack`` () =
    use _ = torch.NewDisposeScope()

    let error =
        Assert.Throws<ExternalException>(fun () -> torch.ones(3L, 4L).mm(torch.ones (256L, 256L)) |> ignore)

    Assert.Equal("mat1 and mat2 shapes cannot be multiplied (3x4 and 256x256)", error.Message)

[<Fact>]
let ``shapes that do not broadcast are reported with their sizes`` () =
    use _ = torch.NewDisposeScope()
    let message = messageOf (fun () -> torch.ones (3L) + torch.ones (4L) |> ignore)
    Assert.Contains("The size of tensor a (3) must match the size of tensor b (4)", message)
    Assert.DoesNotContain("Exception raised from", message)

[<Fact>]
let ``CUDA asked for and absent is one clear sentence`` () =
    let cuda = torch.device "cuda"

    if torch.cuda.is_available () then
        use t = torch.zeros (2L, device = cuda)
        Assert.True t.is_cuda
    else
        let message = messageOf (fun () -> torch.zeros (2L, device = cuda) |> ignore)
        Assert.StartsWith("CUDA was asked for, but this libtorch or this machine has none", message)
        Assert.Equal(message, messageOf (fun () -> new torch.Generator(1UL, cuda) |> ignore))
        Assert.Equal(message, messageOf (fun () -> torch.as_tensor (torch.ones (1L), device = cuda) |> ignore))
        Assert.Equal(0, torch.cuda.device_count ())

[<Fact>]
let ``a name that is no device is refused`` () =
    Assert.Contains("'gpu' is not a device", messageOf (fun () -> torch.device "gpu" |> ignore))
    Assert.Contains("'cuda:x' is not a device", messageOf (fun () -> torch.device "cuda:x" |> ignore))
    Assert.Equal("cuda:1", torch.device("cuda:1").ToString())

[<Fact>]
let ``a missing native part says where it was looked for and what to run`` () =
    let path = Path.Combine(Path.GetTempPath(), "no-such-folder", "libsdac_torch.so")
    let message = messageOf (fun () -> DoorLoader.Load path |> ignore)
    Assert.Contains(path, message)
    Assert.Contains("./build.sh build", message)

[<Fact>]
let ``a native part that cannot be loaded says what to run`` () =
    let path = Path.GetTempFileName()

    try
        File.WriteAllText(path, "not a library")
        let message = messageOf (fun () -> DoorLoader.Load path |> ignore)
        Assert.StartsWith("libtorch cannot be loaded", message)
        Assert.Contains("./build.sh setup", message)
        Assert.DoesNotContain("\n", message)
    finally
        File.Delete path

[<Fact>]
let ``the number of threads can be set, and is at least one`` () =
    let before = torch.get_num_threads ()

    try
        torch.set_num_threads 1
        Assert.Equal(1, torch.get_num_threads ())
        Assert.Contains("positive", messageOf (fun () -> torch.set_num_threads 0))
    finally
        torch.set_num_threads before

    if isNull (Environment.GetEnvironmentVariable "OMP_NUM_THREADS") then
        Assert.True(before <= Environment.ProcessorCount && (before > 1 || Environment.ProcessorCount = 1))
