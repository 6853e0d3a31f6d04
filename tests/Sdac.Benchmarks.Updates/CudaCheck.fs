namespace Sdac.Benchmarks

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open Sdac.Functional
open Sdac.Experiments
open Sdac.LibTorch
open TorchSharp

/// What a machine with a GPU has to show: the same update as on the CPU, for every algorithm, a run that learns, times, and where they go.
/// Under five minutes. On the device "cpu" it is a rehearsal of itself.
[<RequireQualifiedAccess>]
module CudaCheck =
    /// Largest difference allowed between the devices, relative to the largest entry.
    [<Literal>]
    let private Tolerance = 1e-4

    /// The same for the first iteration of each algorithm, whose transitions and actions come from the device as well.
    [<Literal>]
    let private AlgorithmTolerance = 1e-3

    /// Seconds of the learning run at the most, and the return that it must reach by then.
    [<Literal>]
    let private LearningSeconds = 240.0

    [<Literal>]
    let private LearningReturn = 500.0

    let private size = Updates.halfCheetah
    let private config = SdacConfig.published

    /// What keeps CUDA from being used here, one sentence; None where it can be.
    let private missing () : string option =
        let mutable driver = 0n

        if not (NativeLibrary.TryLoad("libcuda.so.1", &driver)) then
            Some "no NVIDIA driver: libcuda.so.1 cannot be loaded, so this machine has no GPU to check"
        elif not (File.Exists(Path.Combine(AppContext.BaseDirectory, "libtorch_cuda.so"))) then
            Some
                "this build has no CUDA: run `./build.sh cuda-check`, which builds with -p:Cuda=true (package TorchSharp-cuda-linux 0.107.0)"
        elif not (torch.cuda.is_available ()) then
            Some "libtorch sees no GPU: the driver is older than its CUDA, or CUDA_VISIBLE_DEVICES hides all of them"
        else
            None

    let private synchronize (compute: Compute) =
        if compute.Device.``type`` <> DeviceType.CPU then
            torch.cuda.synchronize ()

    let private batch (compute: Compute) : Batch =
        let normal shape i = Key.normal Compute.cpu shape (Key.foldIn i (Key.ofSeed 7L)) |> Tensors.place compute
        let b = config.Data.BatchSize

        { Obs = normal [ b; size.ObsDim ] 1L
          Action = (normal [ b; size.ActionDim ] 2L).clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
          Reward = normal [ b ] 3L
          NextObs = normal [ b; size.ObsDim ] 4L
          Terminated = Tensors.zeros compute [ b ] }

    /// Parameters and moments after one published update that moves the policy.
    let private updated (compute: Compute) : float32[] list =
        use _ = torch.NewDisposeScope()
        let model = Sdac.model compute (Updates.spaceOf size) config
        let state = ActorCriticState.init model (Key.ofSeed 1L)
        let struct (next, _) = Sdac.update model (Key.ofSeed 2L) (batch compute) state
        let values = Parts.tensors ActorCriticState.parts next |> List.map Tensors.toArray
        Parts.dispose ActorCriticState.parts state

        for t in Parts.tensorsNotIn ActorCriticState.parts state next do
            t.Dispose()

        values

    let private difference (a: float32[]) (b: float32[]) =
        let largest = a |> Array.fold (fun m x -> max m (abs x)) 1e-30f
        Array.fold2 (fun m x y -> max m (abs (x - y))) 0.0f a b / largest |> float

    let private sameUpdate (say: string -> unit) (compute: Compute) : bool =
        let worst =
            List.map2 difference (updated Compute.libtorch) (updated compute)
            |> List.fold (fun m x -> if Double.IsNaN x then infinity else max m x) 0.0

        say $"same update on cpu and {compute.Device}: largest relative difference {worst:E1} (at most {Tolerance:E0})"
        worst <= Tolerance

    /// Gradients and their squares, averaged, after the first iteration of an algorithm's preset `tiny`. (Adam's first steps have the
    /// size of the rate whatever the gradient's: parameters would differ where a gradient of nearly 0 changes its sign.)
    let private firstIteration (device: string) (algorithm: IAlgorithm) : float32[] list =
        algorithm.Open
            { new IOpen<float32[] list> with
                member _.Open algorithm =
                    let step =
                        Experiment.preset "tiny" algorithm
                        |> Experiment.device device
                        |> Experiment.kernels false
                        |> Experiment.iterations 1L
                        |> Pipeline.start
                        |> Pipeline.warm
                        |> Pipeline.consume Pipeline.standard

                    let moments = ResizeArray()

                    let visit =
                        { new IVisit with
                            member _.Params(_, value) = value

                            member _.Adam(_, value) =
                                moments.Add(Tensors.toArray value.M)
                                moments.Add(Tensors.toArray value.V)
                                value

                            member _.Float(_, value) = value
                            member _.Int(_, value) = value
                            member _.Numbers(_, value) = value
                            member _.Rows(_, value) = value }

                    step.Agent.Parts visit step.State |> ignore
                    Pipeline.dispose step
                    List.ofSeq moments }

    /// Every algorithm's first iteration is the same on both devices.
    let private sameAlgorithms (say: string -> unit) (device: string) : bool =
        [ for algorithm in Registry.all Registry.standard do
              let worst =
                  List.map2 difference (firstIteration "cpu" algorithm) (firstIteration device algorithm)
                  |> List.fold (fun m x -> if Double.IsNaN x then infinity else max m x) 0.0

              say $"{algorithm.Name}: first gradients on cpu and {device}: largest relative difference {worst:E1}"
              worst <= AlgorithmTolerance ]
        |> List.forall id

    let private learns (say: string -> unit) (device: string) : bool =
        let experiment =
            Experiment.preset "quick" Sdac.algorithm |> Experiment.device device |> Experiment.kernels false

        let clock = Stopwatch.StartNew()
        let mutable step = Pipeline.start experiment |> Pipeline.warm
        let returns = ResizeArray()

        let best () =
            if returns.Count < 10 then
                0.0
            else
                returns.GetRange(returns.Count - 10, 10) |> Seq.average

        while step.Iteration < experiment.Iterations
              && best () < LearningReturn
              && clock.Elapsed.TotalSeconds < LearningSeconds do
            step <- Pipeline.consume Pipeline.sdac step
            returns.AddRange(step.Episodes |> Seq.map _.Return)

        say
            $"learning run of quick: mean return {best ():F0} over ten episodes after {step.Iteration} updates, {clock.Elapsed.TotalSeconds:F0} s (wanted {LearningReturn})"

        Pipeline.dispose step
        best () >= LearningReturn

    let private median (run: unit -> unit) (compute: Compute) (rounds: int) : float =
        run ()
        synchronize compute

        let one _ =
            let start = Stopwatch.GetTimestamp()
            run ()
            synchronize compute
            Stopwatch.GetElapsedTime(start).TotalMilliseconds

        (Array.init rounds one |> Array.sort)[rounds / 2]

    let private times (say: string -> unit) (compute: Compute) =
        let model = Sdac.model compute (Updates.spaceOf size) config
        let mutable state = ActorCriticState.init model (Key.ofSeed 1L)
        let batch = batch compute

        let update () =
            let struct (next, _) = Sdac.update model (Key.foldIn state.Updates (Key.ofSeed 2L)) batch state
            Parts.disposeReplaced ActorCriticState.parts next state
            state <- next

        let pair () =
            for _ in 1 .. config.Policy.PolicyDelay do
                update ()

        let act () =
            use _ = torch.NewDisposeScope()
            let obs = batch.Obs.narrow (0L, 0L, 1L)

            ActorCritic.act
                model
                state.TargetPolicy
                state
                config.Particles.Particles
                0.0
                (SamplerNoise.Drawn(Key.ofSeed 3L))
                obs
            |> Tensors.toArray
            |> ignore

        let where = if compute.Kernels then "cpu, kernels" else string compute.Device
        let perUpdate = median pair compute 10 / float config.Policy.PolicyDelay

        say
            $"{where}: published update {perUpdate:F1} ms, one action (batch 1, best of {config.Particles.Particles}) {median act compute 50:F2} ms"

        if not compute.Kernels then
            use profile = new OperationProfile(fun () -> synchronize compute)
            pair ()
            profile.Dispose()
            say $"operations of {config.Policy.PolicyDelay} updates, {profile.Count} in all; each is waited for:"

            for o in profile.Operations() |> Seq.truncate 12 do
                say $"  {o.Name, -28} {o.Calls + o.Nested, 6} {1e3 * o.Seconds, 9:F2} ms"

        Parts.dispose ActorCriticState.parts state

    /// Runs all parts on a device and says what each found; 0 where all held, 1 where one did not, 8 where there is no GPU.
    let run (device: string) (say: string -> unit) : int =
        match (if device = "cpu" then None else missing ()) with
        | Some sentence ->
            say $"cuda-check: {sentence}"
            (Missing "").ExitCode
        | None ->
            let compute = Compute.create device false

            if device = "cpu" then
                say "a rehearsal on the CPU, where both sides are the same device"

            let held = [ sameUpdate say compute; sameAlgorithms say device; learns say device ]

            times say compute
            times say (Compute.create "cpu" true)
            if List.forall id held then 0 else 1
