// The returns of whole runs, kept in scripts/returns:  dotnet fsi --exec scripts/returns.fsx      (-- --help lists the options)
#load "sdac.fsx"

open System.IO
open Argu
open Sdac.Functional
open Sdac.Experiments

type Arguments =
    | [<EqualsAssignmentOrSpaced; AltCommandLine "-k">] Keep of RUN: string
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine "-n">] Name of EXPERIMENT: string
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine "-o">] Out of FILE: string

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | Keep _ -> "a finished run to keep, may be repeated; needs --name"
            | Name _ -> "the experiment that the runs belong to, such as sac-sb3-HalfCheetah-v4"
            | Out _ -> "the picture to write, an SVG file with a PNG beside it; default runs/returns.svg"

let folder = Path.Combine(__SOURCE_DIRECTORY__, "returns")

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "returns.fsx")
    let arguments = parser.ParseCommandLine fsi.CommandLineArgs[1..]

    match arguments.GetResults Keep, arguments.TryGetResult Name with
    | [], _ -> ()
    | _, None -> Errors.fail (Usage "say which experiment the runs belong to: --name sac-sb3-HalfCheetah-v4")
    | runs, Some name ->
        for run in runs do
            KeptReturns.keep Registry.standard (Path.Combine(folder, name)) run

    let kept = KeptReturns.read folder
    printfn "%s" (Table.markdown (KeptReturns.table kept))
    let out = arguments.GetResult(Out, "runs/returns.svg")
    Files.createFolder (Files.folderOf out)

    match Plot.save out (KeptReturns.picture kept) with
    | Ok() ->
        printfn $"picture: {out}"
        0
    | Error sentence -> Errors.fail (Storage sentence)

exit (Script.run "returns.fsx" main)
