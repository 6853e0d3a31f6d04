namespace Sdac.Benchmarks

open System
open Sdac.Functional
open TorchSharp

/// The critics' gradient with respect to actions, which QSM, DQS and DIPO follow.
[<RequireQualifiedAccess>]
module ActionGradient =
    let private batch = 256

    /// Twin critics of DIPO's published sizes with a batch of observations, of `k` actions each.
    let private work (name: string) (size: TaskSize) (k: int) (gflop: float) (what: string) run : Work =
        let c = DipoConfig.published
        let compute, space = Compute.cpu, Updates.spaceOf size
        let model = TwinCritics.model compute space c.Hidden c.Networks c.Critics TargetNoiseSettings.off c.Adam
        let key i = Key.ofSeed i
        let critics = TwinCritics.init model (key 1L) (key 2L)
        let obs = Key.normal compute [ batch; size.ObsDim ] (key 3L)
        let actions = Diffusion.clip (Key.normal compute [ batch; k; size.ActionDim ] (key 4L))

        { Name = name
          Config = $"{size.Task}: {what}"
          Gflop = gflop
          Updates = 1
          Run =
            Action(fun () ->
                use _ = torch.NewDisposeScope()
                run model critics obs actions) }

    /// One pass over 256 states with one action each (QSM, a step of DIPO), and with 64 (iDEM).
    let passes (size: TaskSize) : Work list =
        [ for k in [ 1; 64 ] ->
              work
                  "action-gradient"
                  size
                  k
                  (Gflop.actionGradients (Updates.spaceOf size) DipoConfig.published.Hidden batch k)
                  $"{batch} x {k}, twin critics 3x256"
                  (fun model critics obs actions -> TwinCritics.actionGradients model critics obs actions |> ignore) ]

    /// DIPO's climb of a batch at the published settings for HalfCheetah. Its states stay as they are, so that the mathematics
    /// needs their products once.
    let climb (size: TaskSize) : Work =
        let c = DipoConfig.published
        let steps = c.Climb.ClimbSteps

        // `actions` such rows of a state, but one after the other
        let gflop = Gflop.actionGradients (Updates.spaceOf size) c.Hidden batch steps

        work
            "action-gradient"
            size
            1
            gflop
            $"DIPO's climb, {steps} steps of {batch} actions"
            (fun model critics obs actions ->
                ActionClimb.climb Compute.cpu c.Climb (TwinCritics.actionValue model critics) obs (actions.squeeze 1L)
                |> ignore)

    let all: Work list =
        [ for size in [ Updates.halfCheetah; Updates.humanoid ] do
              yield! passes size
              climb size ]
