namespace Sdac.Benchmarks

open System
open Sdac.Functional
open TorchSharp

/// A piece of work to be timed.
[<NoComparison; NoEquality>]
type Work =
    {
        Name: string
        /// Sizes, for the reader
        Config: string
        /// Arithmetic of one run
        Gflop: float
        /// Updates that a run makes
        Updates: int
        Run: Action
    }

/// A task's sizes; the arithmetic does not ask for its physics.
type TaskSize = { Task: string; ObsDim: int; ActionDim: int }

/// Whole updates, and their parts.
[<RequireQualifiedAccess>]
module Updates =
    let halfCheetah = { Task = "HalfCheetah"; ObsDim = 17; ActionDim = 6 }
    let humanoid = { Task = "Humanoid"; ObsDim = 376; ActionDim = 17 }

    let spaceOf (size: TaskSize) : Space = { ObsDim = size.ObsDim; ActionDim = size.ActionDim }

    /// One particle, one draw: the smallest setting of the method.
    let light =
        { SdacConfig.published with
            Particles.Particles = 1
            Draws.MonteCarloDraws = 1
            Draws.Weights = RssmWeights.Raw }

    let private describe (size: TaskSize) (c: SdacConfig) =
        let hidden = c.Hidden |> List.map string |> String.concat "x"
        $"{size.Task}: {c.Data.BatchSize} x {c.Particles.Particles}, K {c.Draws.MonteCarloDraws}, T {c.Diffusion.Timesteps}, {hidden}"

    /// A model, a fresh state and a batch. They live as long as the process.
    let private setting (compute: Compute) (size: TaskSize) (config: SdacConfig) =
        let model = Sdac.model compute (spaceOf size) config
        let key = Key.ofSeed 1L
        let normal shape i = Key.normal compute shape (Key.foldIn i key)
        let b = config.Data.BatchSize

        let batch =
            { Obs = normal [ b; size.ObsDim ] 1L
              Action = (normal [ b; size.ActionDim ] 2L).clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
              Reward = normal [ b ] 3L
              NextObs = normal [ b; size.ObsDim ] 4L
              Terminated = Tensors.zeros compute [ b ] }

        struct (model, ActorCriticState.init model key, batch, key)

    /// As many updates in a row as the policy's delay: one of them moves the policy.
    let wholeOn (compute: Compute) (name: string) (size: TaskSize) (config: SdacConfig) : Work =
        let struct (model, first, batch, key) = setting compute size config
        let mutable state = first

        let update () =
            let struct (next, _) = Sdac.update model (Key.foldIn state.Updates key) batch state
            Parts.disposeReplaced ActorCriticState.parts next state
            state <- next

        { Name = name
          Config = describe size config
          Gflop = Gflop.update (spaceOf size) config * float config.Policy.PolicyDelay
          Updates = config.Policy.PolicyDelay
          Run =
            Action(fun () ->
                for _ in 1 .. config.Policy.PolicyDelay do
                    update ()) }

    /// The same with this project's kernels.
    let whole (name: string) (size: TaskSize) (config: SdacConfig) : Work = wholeOn Compute.cpu name size config

    /// The parts of an update with the times that an update has of each, on average.
    let parts (size: TaskSize) (config: SdacConfig) : (Work * float) list =
        let struct (model, state, batch, key) = setting Compute.cpu size config
        let c, compute, space = config, Compute.cpu, spaceOf size
        let moves = 1.0 / float c.Policy.PolicyDelay
        let noise = UpdateNoise.draw model c.Data.BatchSize key
        let normal shape i = Key.normal compute shape (Key.foldIn i key)
        let particles = normal [ c.Data.BatchSize; c.Particles.Particles; size.ActionDim ] 11L
        let draws = normal [ c.Data.BatchSize; c.Draws.MonteCarloDraws; size.ActionDim ] 12L
        let target = normal [ c.Data.BatchSize ] 13L
        let gradient (p: Params) = normal [ Tensors.size 0 p.Flat ] 14L
        let qGradient, policyGradient = gradient state.Critics.Q1, gradient state.Policy
        let minQ actions = Critic.minQ compute model.Critics.Net state.Critics.Q1 state.Critics.Q2 batch.Obs actions

        let work name gflop times (run: unit -> unit) =
            { Name = name
              Config = describe size c
              Gflop = gflop
              Updates = 1
              Run =
                Action(fun () ->
                    use _ = torch.NewDisposeScope()
                    run ()) },
            times

        let adam p optimiser gradient =
            Adam.step compute (AdamSettings.ofSettings model.Adam) c.Adam.LearningRate gradient p optimiser
            |> ignore

        let rssm () = Sdac.rssmGradient model state noise batch.Obs batch.Action |> ignore

        [ work
              "reverse sampling"
              (Gflop.sampling space c c.Data.BatchSize c.Particles.Particles)
              (1.0 + moves)
              (fun () ->
                  Diffusion.sample
                      compute
                      model.Schedule
                      model.Noise
                      state.Policy
                      0.5
                      c.Particles.Particles
                      (SamplerNoise.Drawn key)
                      batch.Obs
                  |> ignore)
          if c.Particles.Particles > 1 then
              work
                  "Q of the particles"
                  (Gflop.twinQ space c c.Data.BatchSize c.Particles.Particles)
                  (1.0 + moves)
                  (fun () -> minQ particles |> ignore)
          work "Q of the draws" (Gflop.twinQ space c c.Data.BatchSize c.Draws.MonteCarloDraws) moves (fun () ->
              minQ draws |> ignore)
          work "critics' targets" (Gflop.twinQ space c c.Data.BatchSize 1) 1.0 (fun () ->
              ActorCritic.criticTarget model state batch batch.Action |> ignore)
          work "critics' gradients" (Gflop.critics space c) 1.0 (fun () ->
              for q in [ state.Critics.Q1; state.Critics.Q2 ] do
                  TwinCritics.gradient model.Critics q batch target |> ignore)
          work
              "RSSM loss and gradient"
              (Gflop.twinQ space c c.Data.BatchSize c.Draws.MonteCarloDraws + Gflop.policy space c)
              moves
              rssm
          work "Adam" 0.0 1.0 (fun () ->
              adam state.Critics.Q1 state.Critics.Q1Adam qGradient
              adam state.Critics.Q2 state.Critics.Q2Adam qGradient)
          work "Adam of the policy, moving averages" 0.0 moves (fun () ->
              adam state.Policy state.PolicyAdam policyGradient

              for target, online in
                  [ state.TargetPolicy, state.Policy
                    state.Critics.TargetQ1, state.Critics.Q1
                    state.Critics.TargetQ2, state.Critics.Q2 ] do
                  Polyak.step compute c.Critics.Tau target online |> ignore) ]

    /// A decade of each size, the others as in `middle`: the setting's name, its value, the update.
    let decades: (string * float * Work) list =
        let middle =
            { SdacConfig.published with
                Data.BatchSize = 128
                Particles.Particles = 8
                Draws.MonteCarloDraws = 32
                Diffusion.Timesteps = 10 }

        let sizes = [ 4; 8; 16; 24; 32; 40 ]

        let vary name (values: int list) change =
            [ for value in values -> name, float value, whole "update" halfCheetah (change value) ]

        vary "particles" sizes (fun n -> { middle with Particles.Particles = n })
        @ vary "draws" [ for n in sizes -> 4 * n ] (fun n -> { middle with Draws.MonteCarloDraws = n })
        @ vary "timesteps" sizes (fun n -> { middle with Diffusion.Timesteps = n })
        @ vary "batch" [ for n in sizes -> 16 * n ] (fun n -> { middle with Data.BatchSize = n })
