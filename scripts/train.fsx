// Trains a policy:  ./build.sh train        or        dotnet fsi scripts/train.fsx -- --help
#load "sdac.fsx"

open System
open System.IO
open Argu
open Sdac
open Sdac.Experiments

type Arguments =
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-p")>] Preset of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-a")>] Algorithm of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Task of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FOLDER: string
    | [<Unique; EqualsAssignmentOrSpaced>] Iterations of COUNT: int64
    | [<Unique; EqualsAssignmentOrSpaced>] Steps of COUNT: int64
    | [<Unique; EqualsAssignmentOrSpaced>] Envs of COUNT: int
    | [<Unique; EqualsAssignmentOrSpaced>] Config of FILE: string
    | [<EqualsAssignmentOrSpaced>] Set of NAME_EQUALS_VALUE: string
    | [<EqualsAssignmentOrSpaced>] Option of NAME_EQUALS_VALUE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Device of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced>] Kernels of ON_OR_OFF: string
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of COUNT: int
    | [<Unique; EqualsAssignmentOrSpaced>] Resume of FOLDER: string
    | [<Unique>] Overwrite
    | [<Unique>] Quiet

    interface IArgParserTemplate with
        member this.Usage =
            match this with
            | Preset _ ->
                "where to start: quick (InvertedPendulum-v4, minutes), laptop (HalfCheetah-v4, light), paper (the published settings); default quick"
            | Algorithm _ ->
                "sdac or dpmd, with the weights, the scale and normalisation of Q and the β schedule published with it; default the preset's"
            | Task _ -> "a Gym MuJoCo task such as Hopper-v4; default the preset's"
            | Seed _ -> "the seed of all randomness, default 0"
            | Out _ ->
                "the run folder to make; default runs/TASK-PRESET[-ALGORITHM]-seedSEED, numbered on when that is taken"
            | Iterations _ -> "updates; default the preset's"
            | Steps _ -> "environment steps, instead of --iterations; default the preset's"
            | Envs _ -> "environments stepped together; default the preset's"
            | Config _ ->
                "a specification in JSON, like the spec.json of a run folder; what it leaves out comes from the preset"
            | Set _ ->
                "any setting by its name in spec.json, e.g. --set particles=16 --set hidden=[256,256]; may be repeated"
            | Option _ ->
                "an option of the task by Gymnasium's name, e.g. --option reset_noise_scale=0.2; may be repeated"
            | Device _ -> "cpu (default), cuda or cuda:N"
            | Kernels _ -> "on (default): our kernels on the CPU; off: libtorch alone"
            | Threads _ -> "threads of the arithmetic, default all processors; results do not depend on it"
            | Resume _ ->
                "take up the run in this folder where its last checkpoint left it; only --threads and --quiet go with it"
            | Overwrite -> "replace the run that the folder holds"
            | Quiet -> "no progress, only the summary"

let split (option: string) (text: string) =
    match text.IndexOf '=' with
    | -1 -> Errors.fail (Usage $"{option} {text} lacks a value: write {option} NAME=VALUE")
    | at -> text.Substring(0, at), text.Substring(at + 1)

/// Names with their values; a name may be given once.
let assignments (option: string) (texts: string list) =
    let pairs = List.map (split option) texts
    let last (name: string) = name.Substring(name.LastIndexOf '.' + 1)

    match pairs |> List.countBy (fst >> last) |> List.tryFind (fun (_, count) -> count > 1) with
    | Some(name, count) -> Errors.fail (Usage $"{option} gives {name} {count} times: give it once")
    | None -> pairs

let specification (results: ParseResults<Arguments>) (preset: Spec) =
    let spec =
        match results.TryGetResult Config with
        | Some file -> Spec.parse file preset (Files.readUtf8 file)
        | None -> preset

    let kernels (text: string) =
        match text with
        | "on" -> true
        | "off" -> false
        | other -> Errors.fail (Usage $"--kernels is '{other}': write on or off")

    let change value f (e: Experiment) = Option.fold f e value

    let experiment =
        spec.Experiment
        |> change (results.TryGetResult Task) (fun e task -> { e with Task = task })
        |> change (results.TryGetResult Algorithm) (fun e name -> Experiment.algorithm (Algorithms.find name) e)
        |> change (results.TryGetResult Seed) (fun e seed -> Experiment.seed seed e)
        |> change (results.TryGetResult Iterations) (fun e count -> Experiment.iterations count e)
        |> change (results.TryGetResult Envs) (fun e count ->
            Experiment.configure (fun c -> { c with Environments = count }) e)
        |> change (results.TryGetResult Device) (fun e device -> Experiment.device device e)
        |> change (results.TryGetResult Kernels) (fun e text -> Experiment.kernels (kernels text) e)

    let experiment =
        results.GetResults Option
        |> assignments "--option"
        |> List.fold (fun e (name, value) -> Experiment.option name value e) experiment

    let spec =
        results.GetResults Set
        |> assignments "--set"
        |> List.fold (fun spec (name, value) -> Json.set spec name value) (Spec.withExperiment experiment spec)

    match results.TryGetResult Steps with
    | Some _ when results.Contains Iterations ->
        Errors.fail (Usage "--steps and --iterations say the same thing twice: give one of them")
    | Some steps -> Spec.withExperiment (Experiment.envSteps steps spec.Experiment) spec
    | None -> spec

let begin' (results: ParseResults<Arguments>) threads quiet =
    let preset = results.GetResult(Preset, "quick")
    let spec = specification results (Presets.find preset)
    let e = spec.Experiment

    let algorithm =
        match results.TryGetResult Algorithm with
        | Some name -> $"-{name}"
        | None -> ""

    let train out = Runner.run spec (Runner.stages spec) out (results.Contains Overwrite) threads quiet |> ignore

    match results.TryGetResult Out with
    | Some out -> train out
    | None ->
        let out = RunFolder.unused $"runs/{e.Task}-{preset}{algorithm}-seed{e.Seed}"

        try
            train out
        finally
            // what could not begin takes no name
            if Directory.Exists out && Seq.isEmpty (Directory.EnumerateFileSystemEntries out) then
                Directory.Delete out

let resume (results: ParseResults<Arguments>) folder threads quiet =
    let goesAlong argument =
        match argument with
        | Resume _
        | Threads _
        | Quiet -> true
        | _ -> false

    match results.GetAllResults() |> List.tryFind (goesAlong >> not) with
    | Some other ->
        let name = results.Parser.GetArgumentCaseInfo(other).CommandLineNames.Value |> List.maxBy _.Length

        Errors.fail (
            Usage
                $"--resume goes on with the settings in {folder}/spec.json: leave out {name}, or train anew without --resume"
        )
    | None ->
        if (Runner.resume (Runner.stagesOf folder) folder threads quiet).IsNone then
            printfn $"{folder} is finished: see {folder}/summary.json"

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "train.fsx")
    let results = parser.ParseCommandLine fsi.CommandLineArgs[1..]
    let threads = results.GetResult(Threads, Environment.ProcessorCount)
    let quiet = results.Contains Quiet

    match results.TryGetResult Resume with
    | Some folder -> resume results folder threads quiet
    | None -> begin' results threads quiet

    0

exit (Main.run "train.fsx" main)
