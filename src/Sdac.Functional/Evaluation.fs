namespace Sdac.Functional

open TorchSharp

/// One step of all environments while a policy is played.
[<NoComparison; NoEquality>]
type PlayedStep =
    {
        /// Where the environments were
        Before: EnvStates
        /// As the policy gave it, [N, A]
        Action: float32[]
        Outcome: Outcome
    }

/// Playing a policy without learning from it.
[<RequireQualifiedAccess>]
module Evaluation =
    /// The steps of the agent's play as it acts in evaluations (no exploration noise), episode after episode without end.
    let steps (agent: Agent<'s, 'w>) (environment: Environment) (key: Key) (state: 's) : PlayedStep seq =
        let resets, noise = Key.foldIn 0L key, Key.foldIn 1L key

        let step (states: EnvStates) (current: float32[]) (t: int64) =
            use scope = torch.NewDisposeScope()
            let obs = Tensors.ofArray agent.Compute [ environment.Count; environment.ObsDim ] current
            let action = (agent.Act Purpose.Evaluate state (Key.foldIn t noise) obs).Action |> Tensors.toArray
            { Before = states; Action = action; Outcome = Environment.step action states environment }

        let first = Environment.reset resets environment

        Seq.unfold
            (fun struct (states, current, t) ->
                let played = step states current t
                Some(played, struct (played.Outcome.States, played.Outcome.Current, t + 1L)))
            (struct (first, Environment.obs first, 0L))

    /// Plays one episode in each environment of `environment`; the episodes in the environments' order. `tell` hears after every step
    /// how many were made and how many episodes are over.
    let runTelling
        (tell: int * int -> unit)
        (agent: Agent<'s, 'w>)
        (environment: Environment)
        (key: Key)
        (state: 's)
        : Episode[] =
        let results: Episode option[] = Array.create environment.Count None
        use steps = (steps agent environment key state).GetEnumerator()
        let mutable made = 0

        while Array.exists Option.isNone results && steps.MoveNext() do
            for struct (e, episode) in steps.Current.Outcome.Ended do
                if results[e].IsNone then
                    results[e] <- Some episode

            made <- made + 1
            tell (made, results |> Array.sumBy (fun result -> if result.IsSome then 1 else 0))

        results |> Array.map Option.get

    /// The same without a word.
    let run (agent: Agent<'s, 'w>) (environment: Environment) (key: Key) (state: 's) : Episode[] =
        runTelling ignore agent environment key state
