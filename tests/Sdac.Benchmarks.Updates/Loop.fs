namespace Sdac.Benchmarks

open System
open System.Diagnostics
open Sdac.Functional
open Sdac.Experiments
open Sdac.Environments
open Sdac.Mujoco
open TorchSharp

/// Where the time of a training loop goes.
type LoopShares =
    {
        /// Milliseconds per iteration, medians over rounds
        Iteration: float
        Physics: float
        Acting: float
        Update: float
        /// What is left of an iteration, as a share of it: median over rounds
        Rest: float
    }

/// The iterations of the laptop preset, in turn with their parts: physics, choosing actions, updates.
[<RequireQualifiedAccess>]
module Loop =
    [<Literal>]
    let private Iterations = 40

    let private time (work: unit -> unit) =
        let start = Stopwatch.GetTimestamp()
        work ()
        Stopwatch.GetElapsedTime(start).TotalMilliseconds / float Iterations

    let measure (seconds: float) : LoopShares =
        let experiment = Experiment.preset "laptop" Sdac.algorithm
        let c = experiment.Config
        let mutable step = Pipeline.start experiment |> Pipeline.warm
        let compute, key = step.Agent.Compute, Key.ofSeed 9L
        let model = Sdac.model compute step.Agent.Space c
        use envs = new VecEnv(Environment.suite.Create experiment.Task, c.Data.Environments)
        let vectorSteps = Iterations / c.Data.UpdatesPerStep

        let loop () =
            for _ in 1..Iterations do
                step <- Pipeline.consume Pipeline.sdac step

        // Physics alone: steps from where the loop stands, into recycled buffers.
        let physics () =
            let next, result = envs.NewStates(), envs.NewResult()
            let action = Array.zeroCreate<float32>(step.Environment.Count * model.Space.ActionDim)
            let mutable states = step.EnvStates

            for _ in 1..vectorSteps do
                envs.StepInto(states, ReadOnlySpan<float32> action, next, result)
                states <- next

        let acting () =
            use _ = torch.NewDisposeScope()

            let obs =
                Environment.obs step.EnvStates
                |> Tensors.ofArray compute [ c.Data.Environments; model.Space.ObsDim ]

            for _ in 1..vectorSteps do
                ActorCritic.act
                    model
                    step.State.TargetPolicy
                    step.State
                    c.Particles.Particles
                    0.1
                    (SamplerNoise.Drawn key)
                    obs
                |> ignore

        let updates () =
            use _ = torch.NewDisposeScope()
            let batch = Replay.sample compute key c.Data.BatchSize step.Memory
            let mutable state = step.State

            for i in 1..Iterations do
                let struct (next, _) = Sdac.update model (Key.foldIn (int64 i) key) batch state

                if i > 1 then
                    Parts.disposeReplaced ActorCriticState.parts next state

                state <- next

            for tensor in Parts.tensorsNotIn ActorCriticState.parts step.State state do
                tensor.Dispose()

        let parts = [| loop; physics; acting; updates |]
        parts |> Array.iter (fun part -> part ())
        let rounds = ResizeArray()
        let clock = Stopwatch.StartNew()

        while rounds.Count < 7 || clock.Elapsed.TotalSeconds < seconds do
            rounds.Add(parts |> Array.map time)

        Pipeline.dispose step
        let median (f: float[] -> float) = (rounds.ToArray() |> Array.map f |> Array.sort)[rounds.Count / 2]

        { Iteration = median (fun t -> t[0])
          Physics = median (fun t -> t[1])
          Acting = median (fun t -> t[2])
          Update = median (fun t -> t[3])
          Rest = median (fun t -> 1.0 - (t[1] + t[2] + t[3]) / t[0]) }
