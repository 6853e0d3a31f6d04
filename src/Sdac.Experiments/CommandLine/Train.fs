namespace Sdac.Experiments

open System
open System.IO
open Argu
open Sdac.Functional

/// Training from the command line.
[<RequireQualifiedAccess>]
module Train =
    /// The arguments of training.
    [<RequireQualifiedAccess>]
    type TrainArguments =
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
        | [<Unique; EqualsAssignmentOrSpaced>] From of CHECKPOINT: string
        | [<Unique; EqualsAssignmentOrSpaced>] Keep of COUNT: int64
        | [<Unique; EqualsAssignmentOrSpaced; CustomCommandLine("--checkpoint-minutes")>] CheckpointMinutes of
            NUMBER: float
        | [<Unique; EqualsAssignmentOrSpaced>] Settings of ALGORITHM: string option
        | [<Unique>] Overwrite
        | [<Unique>] Quiet

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | TrainArguments.Preset _ ->
                    "where to start, one of the algorithm's own presets: quick (InvertedPendulum-v4, minutes), laptop (HalfCheetah-v4, light), published; default quick"
                | TrainArguments.Algorithm _ -> "one of those listed above; default the first, or what --config says"
                | TrainArguments.Task _ -> "a task such as Hopper-v4, dmc/walker-walk or PushT; default the preset's"
                | TrainArguments.Seed _ -> "the seed of all randomness, default 0"
                | TrainArguments.Out _ ->
                    "the run folder to make; default runs/TASK-PRESET[-ALGORITHM][-SETTING=VALUE...]-seedSEED with the settings that are not the preset's, numbered on when that is taken"
                | TrainArguments.Iterations _ ->
                    "updates; default the preset's. With --resume: train so far, also beyond what the run was to have; its schedules stay as planned"
                | TrainArguments.Steps _ -> "environment steps, instead of --iterations; default the preset's"
                | TrainArguments.Envs _ -> "environments stepped together; default the preset's"
                | TrainArguments.Config _ ->
                    "a specification in JSON, like the spec.json of a run folder; what it leaves out comes from the preset"
                | TrainArguments.Set _ ->
                    "any setting by its name in spec.json, e.g. --set particles=16 --set hidden=[256,256]; may be repeated"
                | TrainArguments.Option _ ->
                    "an option of the task by Gymnasium's name, e.g. --option reset_noise_scale=0.2; may be repeated"
                | TrainArguments.Device _ -> "cpu (default), cuda or cuda:N"
                | TrainArguments.Kernels _ -> "on (default): our kernels on the CPU; off: libtorch alone"
                | TrainArguments.Threads _ ->
                    "threads of the arithmetic, default all processors; results do not depend on it"
                | TrainArguments.Resume _ ->
                    "take up the run in this folder where its last checkpoint left it; only --iterations, --threads, --checkpoint-minutes and --quiet go with it"
                | TrainArguments.From _ ->
                    "begin with the networks of this checkpoint of another run of the algorithm on the task; all else begins anew"
                | TrainArguments.Keep _ ->
                    "keep every so many-th checkpoint for good, beside the newest three; default 10, 0 keeps none"
                | TrainArguments.CheckpointMinutes _ ->
                    "minutes between checkpoints by the clock, beside the planned ones; default 10, 0 writes none"
                | TrainArguments.Settings _ ->
                    "list the settings of an algorithm (default the one chosen) with their types, their values in the preset and their meaning, and end"
                | TrainArguments.Overwrite -> "replace the run that the folder holds"
                | TrainArguments.Quiet -> "no progress, only the summary"

    let private split (option: string) (text: string) =
        match text.IndexOf '=' with
        | -1 -> Errors.fail (Usage $"{option} {text} lacks a value: write {option} NAME=VALUE")
        | at -> text.Substring(0, at), text.Substring(at + 1)

    /// The last part of a setting's path, which names it alone.
    let private last (name: string) = name.Substring(name.LastIndexOf '.' + 1)

    /// Names with their values; a name may be given once.
    let private assignments (option: string) (texts: string list) =
        let pairs = List.map (split option) texts

        match pairs |> List.countBy (fst >> last) |> List.tryFind (fun (_, count) -> count > 1) with
        | Some(name, count) -> Errors.fail (Usage $"{option} gives {name} {count} times: give it once")
        | None -> pairs

    let private algorithmName (registry: Registry) (results: ParseResults<TrainArguments>) =
        results.GetResult(TrainArguments.Algorithm, (List.head (Registry.all registry)).Name)

    /// The preset, or what --config lays over it.
    let private start (registry: Registry) (results: ParseResults<TrainArguments>) (preset: string) : Spec =
        match results.TryGetResult TrainArguments.Config with
        | Some file ->
            let algorithm = results.TryGetResult TrainArguments.Algorithm
            SpecFile.parse registry file algorithm preset (Files.readUtf8 file)
        | None ->
            algorithmName registry results
            |> Spec.algorithm registry "--algorithm"
            |> Spec.preset "--preset" preset

    let private isOn (option: string) (text: string) =
        match text with
        | "on" -> true
        | "off" -> false
        | other -> Errors.fail (Usage $"{option} is '{other}': write on or off")

    /// What --set and an option of its own both say.
    let private refuseTwice (results: ParseResults<TrainArguments>) : unit =
        let set = [ for text in results.GetResults TrainArguments.Set -> text |> split "--set" |> fst |> last ]

        let twice =
            [ "iterations", "--iterations", results.Contains TrainArguments.Iterations
              "iterations", "--steps", results.Contains TrainArguments.Steps
              "task", "--task", results.Contains TrainArguments.Task
              "seed", "--seed", results.Contains TrainArguments.Seed
              "environments", "--envs", results.Contains TrainArguments.Envs
              "device", "--device", results.Contains TrainArguments.Device
              "kernels", "--kernels", results.Contains TrainArguments.Kernels
              "keepEvery", "--keep", results.Contains TrainArguments.Keep ]
            |> List.tryFind (fun (name, _, isGiven) -> isGiven && List.contains name set)

        match twice with
        | Some(name, option, _) ->
            Errors.fail (Usage $"{option} and --set {name} say the same thing twice: give one of them")
        | None -> ()

    let private specification (registry: Registry) (results: ParseResults<TrainArguments>) (preset: string) : Spec =
        let change value f (spec: Spec) = Option.fold f spec value

        let spec =
            start registry results preset
            |> change (results.TryGetResult TrainArguments.Task) (fun spec task -> { spec with Task = task })
            |> change (results.TryGetResult TrainArguments.Seed) (fun spec seed -> { spec with Seed = seed })
            |> change (results.TryGetResult TrainArguments.Iterations) (fun spec count -> Spec.iterations count spec)
            |> change (results.TryGetResult TrainArguments.Keep) (fun spec every -> { spec with KeepEvery = every })
            |> change (results.TryGetResult TrainArguments.From) (fun spec path ->
                { spec with From = Some(StartNetworks.mark path) })
            |> change (results.TryGetResult TrainArguments.Envs) (fun spec count ->
                Spec.set registry "--envs" spec "environments" (string count))
            |> change (results.TryGetResult TrainArguments.Device) (fun spec device -> { spec with Device = device })
            |> change (results.TryGetResult TrainArguments.Kernels) (fun spec text ->
                { spec with Kernels = isOn "--kernels" text })

        let options = results.GetResults TrainArguments.Option |> assignments "--option"
        let options = options |> List.fold (fun all (name, value) -> Map.add name value all) spec.TaskOptions

        let spec =
            results.GetResults TrainArguments.Set
            |> assignments "--set"
            |> List.fold
                (fun spec (name, value) -> Spec.set registry "--set" spec name value)
                { spec with TaskOptions = options }

        refuseTwice results

        let spec = SpecFile.wholePaths spec

        match results.TryGetResult TrainArguments.Steps with
        | Some _ when results.Contains TrainArguments.Iterations ->
            Errors.fail (Usage "--steps and --iterations say the same thing twice: give one of them")
        | Some steps -> Spec.envSteps registry steps spec
        | None -> spec

    /// A run that --iterations or --steps make short evaluates itself less, where nothing is said of evaluations.
    let private asTrial (results: ParseResults<TrainArguments>) (spec: Spec) : Spec =
        let isShort = results.Contains TrainArguments.Iterations || results.Contains TrainArguments.Steps

        let said =
            results.Contains TrainArguments.Config
            || results.GetResults TrainArguments.Set
               |> List.exists _.StartsWith("evaluat", StringComparison.Ordinal)

        if isShort && not said then Spec.lessEvaluation spec else spec

    /// A name of the run's own in `runs`, where none is given.
    let private numbered
        (registry: Registry)
        (results: ParseResults<TrainArguments>)
        (preset: string)
        (spec: Spec)
        (train: string -> unit)
        =
        let given = results.TryGetResult TrainArguments.Algorithm
        RunFolder.withUnused $"runs/{RunName.create registry preset given spec}" train

    let private anew (registry: Registry) (results: ParseResults<TrainArguments>) (options: RunOptions) =
        let preset = results.GetResult(TrainArguments.Preset, "quick")
        let spec = specification registry results preset |> asTrial results

        // what the file itself makes impossible is said of the file
        match results.TryGetResult TrainArguments.Config with
        | Some file ->
            let given = start registry results preset

            if not (SpecCheck.problems registry file given).IsEmpty then
                SpecCheck.validate registry file spec |> ignore

            if (spec.Task, spec.TaskOptions) = (given.Task, given.TaskOptions) then
                SpecCheck.onKnownTask registry file { spec with Script = None } |> ignore
        | None -> ()

        let train out =
            Runner.run registry spec { options with Out = out; Overwrite = results.Contains TrainArguments.Overwrite }
            |> ignore

        match results.TryGetResult TrainArguments.Out with
        | Some out -> train out
        | None -> numbered registry results preset spec train

    let private resume (registry: Registry) (results: ParseResults<TrainArguments>) (options: RunOptions) =
        let goesAlong argument =
            match argument with
            | TrainArguments.Resume _
            | TrainArguments.Iterations _
            | TrainArguments.CheckpointMinutes _
            | TrainArguments.Threads _
            | TrainArguments.Quiet -> true
            | _ -> false

        match results.GetAllResults() |> List.tryFind (goesAlong >> not) with
        | Some other ->
            let name = results.Parser.GetArgumentCaseInfo(other).CommandLineNames.Value |> List.maxBy _.Length

            Errors.fail (
                Usage
                    $"--resume goes on with the settings in {options.Out}/spec.json: leave out {name}, or train anew without --resume"
            )
        | None ->
            if (Runner.goOn registry options (results.TryGetResult TrainArguments.Iterations)).IsNone then
                printfn $"{options.Out} is finished: see {options.Out}/summary.json; more --iterations train it further"

    /// What --help says of the algorithms.
    let private about (registry: Registry) =
        let presets =
            { new IOpen<string> with
                member _.Open algorithm = algorithm.Presets |> List.map _.Name |> String.concat ", " }

        let lines =
            [ for algorithm in Registry.all registry ->
                  $"    %-10s{algorithm.Name} {algorithm.Title}; presets {algorithm.Open presets}" ]

        String.concat "\n" ("Algorithms (--settings NAME lists the settings of one):" :: lines)

    /// The paths of all settings of the first algorithm.
    let private settings (registry: Registry) : string list =
        (List.head (Registry.all registry)).Open
            { new IOpen<string list> with
                member _.Open(_: Algorithm<'c, 's, 'w>) = Json.leaves typeof<Spec<'c>> }

    /// Trains as the arguments say.
    let run (program: Program) (arguments: string[]) : int =
        let registry = program.Registry

        let parser =
            ArgumentParser.Create<TrainArguments>(programName = program.Shown, helpTextMessage = about registry)

        let results = Arguments.parse program (fun () -> settings registry) parser arguments

        let options out =
            { RunOptions.into out with
                Threads = results.GetResult(TrainArguments.Threads, Environment.ProcessorCount)
                Quiet = results.Contains TrainArguments.Quiet
                CheckpointMinutes =
                    results.GetResult(TrainArguments.CheckpointMinutes, (RunOptions.into out).CheckpointMinutes)
                Command = Entrance.shown "train"
                Watch = Entrance.shown "watch" }

        match results.TryGetResult TrainArguments.Settings, results.TryGetResult TrainArguments.Resume with
        | Some named, _ ->
            let name = named |> Option.defaultWith (fun () -> algorithmName registry results)
            SettingsList.print registry name (results.GetResult(TrainArguments.Preset, "quick"))
        | None, Some folder -> resume registry results (options folder)
        | None, None -> anew registry results (options "")

        0
