/// What makes the TorchSharp path fit for a GPU can be measured without one: how many operations an update starts, what the
/// reverse chain does in one step, that its random numbers are the kernels' own.
module Sdac.Tests.DeviceTests

open System
open System.Runtime.InteropServices
open Expecto
open Sdac.Functional
open Sdac.LibTorch
open Sdac.Testing
open Sdac.Tests.Figures
open TorchSharp

let private obsDim, actionDim = 17, 6

/// The published settings but for the rows, which operations do not count.
let private published = { SdacConfig.published with Data.BatchSize = 8 }

let private batch (c: DataSettings) : Batch =
    let normal shape i = Key.normal Compute.libtorch shape (Key.foldIn i (Key.ofSeed 3L))

    { Obs = normal [ c.BatchSize; obsDim ] 0L
      Action = (normal [ c.BatchSize; actionDim ] 1L).clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
      Reward = normal [ c.BatchSize ] 2L
      NextObs = normal [ c.BatchSize; obsDim ] 3L
      Terminated = Tensors.zeros Compute.libtorch [ c.BatchSize ] }

/// Operations of the `index`-th update (from 0) of an algorithm.
let private operations update (model: ActorCriticModel) (index: int64) : int64 =
    use _ = torch.NewDisposeScope()
    let state = { ActorCriticState.init model (Key.ofSeed 1L) with Updates = index }
    let batch = batch model.Data
    use profile = new OperationProfile()
    let struct (next, _) = update model (Key.ofSeed 2L) batch state
    profile.Dispose()
    Parts.disposeReplaced ActorCriticState.parts next state
    Parts.dispose ActorCriticState.parts next
    profile.Count

/// Calls by name of a reverse chain of `timesteps` steps over given noise.
let private chain (timesteps: int) : Map<string, int64> =
    use _ = torch.NewDisposeScope()
    let c = { published with Diffusion.Timesteps = timesteps }
    let model = Sdac.model Compute.libtorch { ObsDim = obsDim; ActionDim = actionDim } c
    let state = ActorCriticState.init model (Key.ofSeed 1L)
    let shape = [ c.Data.BatchSize; c.Particles.Particles; actionDim ]
    let normal shape i = Key.normal Compute.libtorch shape (Key.foldIn i (Key.ofSeed 4L))

    let noise =
        SamplerNoise.Given(normal shape 0L, normal (timesteps :: shape) 1L, normal [ c.Data.BatchSize; actionDim ] 2L)

    let obs = normal [ c.Data.BatchSize; obsDim ] 3L
    use profile = new OperationProfile()

    Diffusion.sample model.Compute model.Schedule model.Noise state.Policy 0.5 c.Particles.Particles noise obs
    |> ignore

    profile.Dispose()
    Parts.dispose ActorCriticState.parts state
    Map [ for o in profile.Operations() -> o.Name, o.Calls ]

[<Tests>]
let tests =
    testList
        "The TorchSharp path on a device"
        [ test "a published update is at most 1,200 operations, whatever its rows" {
              let space = { ObsDim = obsDim; ActionDim = actionDim }
              let sdac c = Sdac.model Compute.libtorch space c
              let dpmd c = Dpmd.model Compute.libtorch space (DpmdConfig.ofSdac c)

              for name, update, model in [ "SDAC", Sdac.update, sdac; "DPMD", Dpmd.update, dpmd ] do
                  let moving, resting = operations update (model published) 0L, operations update (model published) 1L
                  Expect.isLessThanOrEqual moving 1200L $"{name}: an update that moves the policy"
                  Expect.isLessThan resting moving $"{name}: one that does not"
                  Expect.isGreaterThan resting 400L $"{name}: the count counts"

                  let larger =
                      { published with Data.BatchSize = 16; Particles.Particles = 8; Draws.MonteCarloDraws = 32 }

                  Expect.equal (operations update (model larger) 0L) moving $"{name}: with other rows"
          }

          test
              "one more step of the reverse chain is 16 operations, and none of them moves data between host and device" {
              let shorter, longer = chain 12, chain 13

              let step =
                  longer
                  |> Map.map (fun name calls -> calls - (shorter |> Map.tryFind name |> Option.defaultValue 0L))
                  |> Map.filter (fun _ calls -> calls <> 0L)

              let expected =
                  Map
                      [ "aten::mm", 1L // a_t times its rows of the first layer
                        "aten::view", 1L
                        "aten::add_", 3L // the shared part; estimate and mean of the posterior
                        "aten::mish_", 3L
                        "aten::addmm", 3L
                        "aten::mul", 1L
                        "aten::clamp_", 1L
                        "aten::add", 1L ] // the step's noise

              Expect.equal step expected "names and calls"
          }

          test "the numbers of an update by tensor operations are those that its key gives the kernels" {
              use _ = torch.NewDisposeScope()
              let c = { published with Particles.TargetParticles = Some 3 }

              let noise compute =
                  UpdateNoise.draw
                      (Sdac.model compute { ObsDim = obsDim; ActionDim = actionDim } c)
                      c.Data.BatchSize
                      (Key.ofSeed 9L)

              let kernels, device = noise Compute.cpu, noise Compute.libtorch
              let close what a b = closeTo 4e-6 what (values a) (values b)
              close "forward noise" kernels.Forward device.Forward
              close "reverse noise" kernels.Reverse device.Reverse
              Expect.equal device.Timesteps kernels.Timesteps "timesteps"

              for name, particles, mine, theirs in
                  [ "next action", 3, kernels.Next, device.Next; "new action", 32, kernels.New, device.New ] do
                  match mine, theirs with
                  | SamplerNoise.Drawn key, SamplerNoise.Given(initial, steps, explore) ->
                      let expected =
                          SamplerNoise.streams c.Diffusion.Timesteps c.Data.BatchSize particles actionDim key
                          |> Key.normals Compute.cpu

                      for part, wanted, found in
                          List.zip3 [ "x_T"; "steps"; "exploration" ] expected [ initial; steps; explore ] do
                          Expect.equal (Tensors.shape found) (Tensors.shape wanted) $"{name}: shape of {part}"
                          close $"{name}: {part}" wanted found
                  | _ -> failtest $"{name}: drawn by the kernels, given on a device"
          }

          test "kernels have libtorch's one thread, libtorch alone all processors" {
              try
                  Expect.isFalse (Compute.create "cpu" false).Kernels "no kernels"

                  if isNull (Environment.GetEnvironmentVariable "OMP_NUM_THREADS") then
                      Expect.equal (torch.get_num_threads ()) Environment.ProcessorCount "libtorch alone"
              finally
                  Expect.isTrue (Compute.create "cpu" true).Kernels "kernels"

              Expect.equal (torch.get_num_threads ()) 1 "with kernels"
          }

          test "an unknown device is refused with the ones there are" {
              for device in [ "banana"; ""; "cuda:"; "cuda:x"; "cuda:-1"; "CPU"; "cpu:0:1" ] do
                  failsWith [ $"'{device}'"; "use cpu, cuda or cuda:N" ] (fun () ->
                      Compute.create device true |> ignore)
          }

          test "what libtorch refuses inside the library is one sentence" {
              let refused = fun () -> (Tensors.zeros Compute.cpu [ 2; 3 ]).mm(Tensors.zeros Compute.cpu [ 2; 3 ])

              for run in
                  [ fun () -> Tensors.owning List.singleton refused |> ignore
                    fun () -> Tensors.scoped List.singleton refused |> ignore ] do
                  let error = Expect.raises<LibtorchException> run
                  Expect.equal error.Message "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)" "sentence"
                  Expect.isTrue (error.InnerException :? ExternalException) "the original is inside"
          } ]
