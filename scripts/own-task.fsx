// A task of one's own in an MJCF file and a few small functions. Train it by its name, by any algorithm:
//   dotnet fsi --exec scripts/own-task.fsx train --task rail --iterations 4000      (after ./build.sh build)
// It also evaluates, sweeps and reports, beside the library's tasks: `own-task.fsx --help`.
#load "sdac.fsx"

open System.IO
open Sdac.Functional
open Sdac.Experiments
open Sdac.Mujoco

/// A block on a rail, pushed left or right, that should come to rest at the origin: 1 a step there, 1/2 at 0.1 m from it, and next
/// to nothing where it starts.
let rail =
    TaskDefinition(
        Name = "rail",
        LoadModel = (fun () -> Model.FromFile(Path.Combine(__SOURCE_DIRECTORY__, "rail.xml"))),
        FrameSkip = 5,
        MaxEpisodeSteps = 100,
        ObsDim = 2,
        Observe =
            ObserveFunction(fun physics obs ->
                obs[0] <- physics.Qpos[0]
                obs[1] <- physics.Qvel[0]),
        InfoNames = [| "near"; "push" |],
        Reward =
            RewardFunction(fun step info ->
                let x, push = step.Physics.Qpos[0], step.Action[0]
                info[0] <- 1.0 / (1.0 + 100.0 * x * x)
                info[1] <- -0.01 * push * push
                info[0] + info[1]),
        Terminated = TerminatedFunction(fun physics -> abs physics.Qpos[0] > 2.0),
        Start =
            StartFunction(fun key qpos _ ->
                // from 0.5 to 1 m away, on either side
                StartNoise.AddUniform(key, 0.5, qpos)
                qpos[0] <- qpos[0] + (if qpos[0] < 0.0 then -0.5 else 0.5))
    )

Registry.standard |> Registry.addTask rail |> Main.run fsi.CommandLineArgs |> exit
