// An experiment of one's own: SDAC with a stage that is not in the library. Run it with
//   dotnet fsi --exec scripts/compose.fsx          (after ./build.sh build)
#load "sdac.fsx"

open Sdac

// Everything that decides the result, as a value.
let experiment =
    Experiment.sdac "InvertedPendulum-v4"
    |> Experiment.seed 1L
    |> Experiment.iterations 2_000L
    |> Experiment.configure (fun published ->
        { published with
            Hidden = [ 64; 64 ]
            BatchSize = 64
            Particles = 4
            MonteCarloDraws = 8
            Timesteps = 10
            WarmUp = 500 })

// A stage is a function Step -> Step. This one trains the critics on rewards clipped to [-1, 1].
let clipRewards: Stage =
    fun step ->
        let clip (u: Update) =
            let reward = u.Batch.Reward.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
            { u with Batch = { u.Batch with Reward = reward } }

        { step with Update = Option.map clip step.Update }

let stages =
    Pipeline.collect
    >> clipRewards
    >> Pipeline.evaluateQ
    >> Pipeline.reverseSample
    >> Pipeline.rssmUpdate

let struct (last, episodes) = Pipeline.run stages experiment

let tenth = List.chunkBySize (max 1 (episodes.Length / 10)) episodes

for part in tenth do
    let steps = fst (List.last part)
    printfn "%6d steps: mean return %6.1f" steps (part |> List.averageBy (fun (_, e) -> e.Return))

printfn "λ = %.3f after %d updates" last.State.Temperature.Lambda last.State.Updates
Pipeline.dispose last
