namespace Sdac

open TorchSharp

/// Playing a policy without learning from it.
[<RequireQualifiedAccess>]
module Evaluation =
    /// Plays one episode in each environment of `environment` with the averaged policy, best of N, without exploration
    /// noise; the episodes in the environments' order.
    let run (model: Model) (environment: Environment) (key: Key) (state: TrainState) : Episode[] =
        let particles = Config.evaluationParticles model.Config
        let resets, noise = Key.foldIn 0L key, Key.foldIn 1L key
        let results: Episode option[] = Array.create environment.Count None
        let mutable states = Environment.reset resets environment
        let mutable t = 0L

        while Array.exists Option.isNone results do
            use scope = torch.NewDisposeScope()

            let obs = Tensors.ofArray model.Compute [ environment.Count; model.ObsDim ] (Environment.obs states)

            let action =
                Sdac.act model state.TargetPolicy state particles 0.0 (Drawn(Key.foldIn t noise)) obs
                |> Tensors.toArray

            let outcome = Environment.step action states environment

            for struct (e, episode) in outcome.Ended do
                if results[e].IsNone then
                    results[e] <- Some episode

            states <- outcome.States
            t <- t + 1L

        results |> Array.map Option.get
