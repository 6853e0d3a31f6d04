namespace Sdac.Experiments

open Argu

/// Replaying given actions from the command line.
[<RequireQualifiedAccess>]
module TraceCommand =
    /// The arguments of a replay.
    [<RequireQualifiedAccess>]
    type TraceArguments =
        | [<Mandatory; Unique; EqualsAssignmentOrSpaced>] In of FILE: string
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FILE: string

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | TraceArguments.In _ ->
                    "JSON: {\"env\": \"Hopper-v4\", \"options\": {..}, \"qpos\": [..], \"qvel\": [..], \"actions\": [[..], ..]}. "
                    + "Options go by Gymnasium's names (numbers, true or false, [low, high]); actions are in the task's own units "
                    + "and are not clipped. Without options, qpos or qvel the task's own are used."
                | TraceArguments.Out _ -> "where to write the lines; standard output if not given."

    let private about (start: string) =
        "Replays actions from a given state of a task, without ever resetting it, and writes JSON lines with\n"
        + "full-precision numbers: first {\"obs\"} of the state, then for every action {\"obs\", \"reward\", \"terminated\",\n"
        + "\"truncated\", \"qpos\", \"qvel\", \"info\"}, info holding the reward's components. Use it to debug an environment or to\n"
        + "compare it with another implementation. Steps are counted from 1 in messages. Example:\n\n"
        + "  echo '{\"env\": \"InvertedPendulum-v4\", \"qpos\": [0, 0.05], \"actions\": [[0.5], [-0.5]]}' > swing.json\n"
        + $"  {start} --in swing.json\n"

    /// Replays as the arguments say.
    let run (program: Program) (arguments: string[]) : int =
        let parser =
            ArgumentParser.Create<TraceArguments>(programName = program.Shown, helpTextMessage = about program.Shown)

        let results = Arguments.parse program (fun () -> []) parser arguments
        Trace.run (results.GetResult TraceArguments.In) (results.TryGetResult TraceArguments.Out)
        0
