// SDAC on a task of one's own: an MJCF file and four small functions. Run it with
//   dotnet fsi --exec scripts/own-task.fsx          (after ./build.sh build)
#load "sdac.fsx"

open System.IO
open Sdac
open Sdac.Mujoco

/// A block on a rail, pushed left or right, that should come to rest at the origin.
let rail =
    TaskDefinition(
        Name = "Rail",
        LoadModel = (fun () -> Model.FromFile(Path.Combine(__SOURCE_DIRECTORY__, "rail.xml"))),
        FrameSkip = 5,
        MaxEpisodeSteps = 100,
        ObsDim = 2,
        Observe =
            ObserveFunction(fun physics obs ->
                obs[0] <- physics.Qpos[0]
                obs[1] <- physics.Qvel[0]),
        Reward =
            RewardFunction(fun step _ ->
                let x, v, push = step.Physics.Qpos[0], step.Physics.Qvel[0], step.Action[0]
                1.0 - x * x - 0.1 * v * v - 0.01 * push * push),
        Terminated = TerminatedFunction(fun physics -> abs physics.Qpos[0] > 2.0),
        Start = StartFunction(fun key qpos _ -> StartNoise.AddUniform(key, 1.0, qpos))
    )

let config =
    { SdacConfig.published with
        Hidden = [ 64; 64 ]
        Data.BatchSize = 64
        Data.WarmUp = 1_000
        Data.Environments = 4
        Particles.Particles = 4
        Draws.MonteCarloDraws = 16
        Diffusion.Timesteps = 10
        Adam.LearningRate = 1e-3
        Critics.Tau = 0.01 }

let environment, arena = new Environment(rail, config.Data.Environments), new Environment(rail, 10)
let space = { ObsDim = environment.ObsDim; ActionDim = environment.ActionDim }
let agent = Sdac.algorithm.Agent Compute.cpu space { Iterations = 3_000L } config
let mutable step = Round.init agent environment 0L |> Pipeline.warm

while step.Iteration < 3_000L do
    step <- Pipeline.consume Pipeline.sdac step

    if step.Iteration % 500L = 0L then
        let episodes = Evaluation.run agent arena (Key.ofSeed 1L) step.State
        let mean = episodes |> Array.averageBy _.Return
        printfn "%5d updates: mean return %6.1f of at most 100" step.Iteration mean

Pipeline.dispose step
