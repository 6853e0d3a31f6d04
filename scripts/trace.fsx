// Replays given actions in a MuJoCo task and prints what happened, step by step. Run it with
//   dotnet fsi --exec scripts/trace.fsx --in FILE      (-- --help lists the arguments; after `./build.sh build`)
#load "sdac.fsx"

open Argu
open Sdac.Experiments

type Arguments =
    | [<Mandatory; Unique; EqualsAssignmentOrSpaced>] In of file: string
    | [<Unique; EqualsAssignmentOrSpaced>] Out of file: string

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | In _ ->
                "JSON: {\"env\": \"Hopper-v4\", \"options\": {..}, \"qpos\": [..], \"qvel\": [..], \"actions\": [[..], ..]}. "
                + "Options go by Gymnasium's names (numbers, true or false, [low, high]); actions are in the task's own units "
                + "and are not clipped. Without options, qpos or qvel the task's own are used."
            | Out _ -> "where to write the lines; standard output if not given."

let about =
    "Replays actions from a given state of a MuJoCo task, without ever resetting it, and writes JSON lines with\n"
    + "full-precision numbers: first {\"obs\"} of the state, then for every action {\"obs\", \"reward\", \"terminated\",\n"
    + "\"truncated\", \"qpos\", \"qvel\", \"info\"}, info holding the reward's components. Use it to debug an environment or to\n"
    + "compare it with another implementation. Steps are counted from 1 in messages. Example:\n\n"
    + "  echo '{\"env\": \"InvertedPendulum-v4\", \"qpos\": [0, 0.05], \"actions\": [[0.5], [-0.5]]}' > swing.json\n"
    + "  dotnet fsi --exec scripts/trace.fsx --in swing.json\n"

let arguments = List.ofArray fsi.CommandLineArgs |> List.tail |> List.toArray

exit (
    Script.run "trace.fsx" (fun () ->
        let parser = ArgumentParser.Create<Arguments>(programName = "trace.fsx", helpTextMessage = about)
        let parsed = parser.ParseCommandLine arguments
        Trace.run (parsed.GetResult In) (parsed.TryGetResult Out)
        0)
)
