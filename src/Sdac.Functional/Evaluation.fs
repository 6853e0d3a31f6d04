namespace Sdac

open TorchSharp

/// Playing a policy without learning from it.
[<RequireQualifiedAccess>]
module Evaluation =
    /// Plays one episode in each environment of `environment` as the agent acts in evaluations (no exploration noise); the
    /// episodes in the environments' order.
    let run (agent: Agent<'s, 'w>) (environment: Environment) (key: Key) (state: 's) : Episode[] =
        let resets, noise = Key.foldIn 0L key, Key.foldIn 1L key
        let results: Episode option[] = Array.create environment.Count None
        let mutable states = Environment.reset resets environment
        let mutable current = Environment.obs states
        let mutable t = 0L

        while Array.exists Option.isNone results do
            use scope = torch.NewDisposeScope()
            let obs = Tensors.ofArray agent.Compute [ environment.Count; environment.ObsDim ] current

            let action = (agent.Act Purpose.Evaluate state (Key.foldIn t noise) obs).Action |> Tensors.toArray

            let outcome = Environment.step action states environment

            for struct (e, episode) in outcome.Ended do
                if results[e].IsNone then
                    results[e] <- Some episode

            states <- outcome.States
            current <- outcome.Current
            t <- t + 1L

        results |> Array.map Option.get
