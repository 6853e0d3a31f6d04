// An experiment of one's own: SDAC with a stage that is not in the library. Run it with
//   dotnet fsi --exec scripts/compose.fsx          (after ./build.sh build)
#load "sdac.fsx"

open Sdac.Functional

// Everything that decides the result, as a value.
let experiment =
    Experiment.on Sdac.algorithm "InvertedPendulum-v4"
    |> Experiment.seed 1L
    |> Experiment.iterations 3_000L
    |> Experiment.configure (fun published ->
        { published with
            Hidden = [ 64; 64 ]
            Data.BatchSize = 64
            Data.WarmUp = 500
            Particles.Particles = 4
            Draws.MonteCarloDraws = 8
            Diffusion.Timesteps = 10
            Energy.QScale = 20.0
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            Policy.PolicyDelay = 1
            Temperature.InitialTemperature = 1.0 })

// A stage is a function from step to step. This one clips the rewards that an update learns from to [-1, 1].
let clipRewards step =
    Pipeline.onBatch
        "clipRewards"
        (fun batch -> { batch with Reward = batch.Reward.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0) })
        step

let stages =
    Pipeline.collect
    >> clipRewards
    >> Pipeline.evaluateQ
    >> Pipeline.reverseSample
    >> Pipeline.rssmUpdate

let report (episodes: (int64 * Episode) list) =
    for part in List.splitInto 5 episodes do
        let steps = fst (List.last part)
        printfn "%6d steps: mean return %6.1f" steps (part |> List.averageBy (fun (_, e) -> e.Return))

let struct (last, episodes) = Pipeline.run stages experiment
report episodes
printfn "λ = %.3f after %d updates" last.State.Temperature.Lambda last.State.Updates
Pipeline.dispose last

// The same stage in another algorithm, with the settings that both have.
let dpmd =
    Experiment.on Dpmd.algorithm experiment.Task
    |> Experiment.iterations experiment.Iterations
    |> Experiment.configure (fun _ -> DpmdConfig.ofSdac experiment.Config)

let struct (other, itsEpisodes) =
    Pipeline.run (Pipeline.collect >> clipRewards >> Pipeline.evaluateQ >> Pipeline.mirrorDescent) dpmd

printfn "DPMD:"
report itsEpisodes
Pipeline.dispose other
