namespace Sdac.Benchmarks

open System
open Sdac.Functional
open Sdac.Kernels
open TorchSharp

/// DACER's action and the gradient of its parameters through all steps of the chain.
[<RequireQualifiedAccess>]
module ChainGradient =
    /// Forward and backward of a batch at the published sizes.
    let private work (size: TaskSize) (activations: ChainActivations) (what: string) : Work =
        let c, space = DacerConfig.published, Updates.spaceOf size
        let model = Dacer.model Compute.cpu space { c with ChainActivations = activations }
        let state = Dacer.init model (Key.ofSeed 1L)
        let rows, steps = c.Data.BatchSize, c.Diffusion.Timesteps
        let obs = Key.normal Compute.cpu [ rows; size.ObsDim ] (Key.ofSeed 2L)
        let noise = ChainNoise.draw Compute.cpu steps rows size.ActionDim (Key.ofSeed 3L)
        let toAction = Key.normal Compute.cpu [ rows; size.ActionDim ] (Key.ofSeed 4L)

        { Name = "chain-gradient"
          Config = $"{size.Task}: {rows} x {steps} steps, 3x256, {what}"
          Gflop = Gflop.chainGradient space c.Hidden rows steps
          Updates = 1
          Run =
            Action(fun () ->
                use _ = torch.NewDisposeScope()

                use chain =
                    ReverseChain.vjp
                        model.Compute
                        model.Schedule
                        model.Policy
                        state.Policy
                        activations
                        c.Diffusion.InitialNoiseScale
                        noise
                        obs

                chain.PullbackParameters toAction |> ignore) }

    let all: Work list =
        [ for size in [ Updates.halfCheetah; Updates.humanoid ] do
              work size ChainActivations.Recorded "activations kept"
              work size ChainActivations.Recomputed "activations computed again" ]

    /// Bytes that a chain keeps between forward and backward.
    let memory: struct (string * int64) list =
        [ for size in [ Updates.halfCheetah; Updates.humanoid ] do
              for recorded, what in [ true, "activations kept"; false, "activations computed again" ] do
                  let c, space = DacerConfig.published, Updates.spaceOf size
                  let shape = (Dacer.model Compute.cpu space c).Policy.Shape
                  let rows = c.Data.BatchSize
                  struct ($"{size.Task}, {what}", ChainTape.BytesFor(shape, c.Diffusion.Timesteps, rows, recorded)) ]
