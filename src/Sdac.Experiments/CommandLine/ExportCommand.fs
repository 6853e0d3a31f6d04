namespace Sdac.Experiments

open Argu

/// Giving a trained policy to other programs from the command line.
[<RequireQualifiedAccess>]
module ExportCommand =
    /// The arguments of an export.
    [<RequireQualifiedAccess>]
    type ExportArguments =
        | [<MainCommand; Mandatory; ExactlyOnce>] Run of FOLDER_OR_CHECKPOINT: string
        | [<Mandatory; Unique; EqualsAssignmentOrSpaced>] Onnx of FILE: string
        | [<Unique>] Best
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-n")>] Particles of COUNT: int

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | ExportArguments.Run _ -> "the run folder that training made, or one of its checkpoints"
                | ExportArguments.Onnx _ -> "the model to write, for ONNX Runtime and others"
                | ExportArguments.Best -> "the networks of the run's best evaluation, instead of the newest checkpoint"
                | ExportArguments.Particles _ -> "the best of so many actions, default as many as the run's evaluations"

    /// Exports as the arguments say.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<ExportArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments
        let given = results.GetResult ExportArguments.Run
        let particles = results.GetResult(ExportArguments.Particles, 0)

        if results.Contains ExportArguments.Particles && particles < 1 then
            Errors.fail (Usage $"--particles is %d{particles}; it must be at least 1")

        let path =
            if results.Contains ExportArguments.Best then
                RunFolder.openExisting given |> BestCheckpoint.path
            else
                given

        for line in Export.onnx program.Registry path particles (results.GetResult ExportArguments.Onnx) do
            printfn $"{line}"

        0
