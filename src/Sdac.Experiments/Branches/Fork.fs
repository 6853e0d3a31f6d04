namespace Sdac.Experiments

open System
open System.IO
open System.Text.RegularExpressions
open Sdac.Functional

/// What a branch of a run does differently.
[<RequireQualifiedAccess>]
type Change =
    /// A setting by its name, as --set takes it
    | Setting of name: string * value: string
    /// Another seed for one of the streams of its random numbers (`Spec.streams`)
    | Stream of name: string * seed: int64

/// What is to become of a run from one of its checkpoints.
type ForkOptions =
    {
        /// The branches begin at the newest kept checkpoint up to this iteration
        At: int64
        /// They go on to this iteration; None: to the run's end
        Until: int64 option
        Changes: Change list
        /// The folder to make, with one run folder for each branch
        Out: string
        Threads: int
        Quiet: bool
    }

/// Returns of one branch less those of the unchanged one, evaluation by evaluation: equal starts, episode by episode.
type PairedDifference =
    {
        EnvSteps: int64
        /// Over the pairs of episodes
        Mean: float
        /// Standard error of the mean; 0 for a single pair
        Error: float
    }

/// A branch that has been run.
type ForkBranch =
    {
        Name: string
        Folder: RunFolder
        Differences: PairedDifference list
        /// Where and why it diverged, if it did: the differences are those before that
        Diverged: string option
    }

/// A run continued from one of its checkpoints with the same keys: once unchanged, and once for each change.
[<RequireQualifiedAccess>]
module Fork =
    [<Literal>]
    let private Unchanged = "unchanged"

    let private nameOf (change: Change) =
        match change with
        | Change.Setting(name, value) -> $"{name}={value}"
        | Change.Stream(name, seed) -> $"seed-of-{name}={seed}"

    /// A name as that of a folder.
    let private folderName (name: string) = Regex.Replace(name, @"[^\w.=,+-]", "_", RegexOptions.ECMAScript)

    /// The specification of a branch. What would bend the run's schedules or its folder is refused.
    let private changed (registry: Registry) (run: RunFolder) (spec: Spec) (change: Change) : Spec =
        let fixedBefore (s: Spec) = s.Task, s.Seed, s.Iterations, s.Horizon, s.EvaluateEvery, s.EvaluationEpisodes

        let other =
            match change with
            | Change.Setting(name, value) -> Spec.set registry "--set" spec name value
            | Change.Stream(name, seed) -> { spec with Reseeded = Map.add name seed spec.Reseeded }

        if fixedBefore other <> fixedBefore spec then
            Errors.fail (
                Settings
                    $"--set {nameOf change} changes what the branches must share to be compared (task, seed, length, evaluations): train anew for that"
            )

        if other = spec then
            Errors.fail (Settings $"--set {nameOf change} is what {run.Spec} says already: give another value")

        SpecCheck.validate registry "--set or --seed-of" other

    let private checkpointAt (registry: Registry) (run: RunFolder) (spec: Spec) (at: int64) : int64 * string =
        let starts = Branch.starts registry run spec

        match starts |> List.tryFind (fun (iteration, _) -> iteration <= at) with
        | Some found -> found
        | None when starts.IsEmpty ->
            Errors.fail (
                Damaged
                    $"{run.Path} keeps no checkpoint before its end to go on from: train one with more, --keep 1 keeps all"
            )
        | None ->
            let nearest = starts |> List.rev |> List.truncate 3 |> List.map (fst >> string) |> String.concat ", "

            Errors.fail (
                Settings
                    $"--at is {at}, before the first checkpoint that {run.Path} has kept: the nearest are those of {nearest}"
            )

    let private goOn (registry: Registry) (options: ForkOptions) (until: int64) (name: string) (folder: RunFolder) =
        if not options.Quiet then
            printfn $"branch {name}"

        let run =
            { RunOptions.into folder.Path with
                Threads = options.Threads
                Quiet = options.Quiet
                CheckpointMinutes = 0.0 }

        // of a fork that was stopped: it may have come so far already. What is behind a run's last iteration is made up for by itself.
        let isThere =
            until < (SpecFile.ofRun registry folder).Iterations
            && RunFolder.checkpoints folder |> List.exists (fun (iteration, _) -> iteration >= until)

        if not isThere then
            try
                Runner.goOnUntil registry run until
            with :? UserError as error ->
                match error.Failure with
                | Interrupted(_, signal) ->
                    let again = $"the same command with --out {Entrance.quote options.Out} goes on"

                    Errors.fail (
                        Interrupted(
                            $"the fork was stopped by {Sessions.signalName signal} in the branch {name}, with a checkpoint; {again}",
                            signal
                        )
                    )
                | _ -> reraise ()

    /// The same of a branch that may diverge: where and why it did.
    let private goOnOrDiverge registry options until (name: string) (folder: RunFolder) : string option =
        try
            goOn registry options until name folder
            None
        with :? UserError as error when error.Failure.IsDiverged ->
            Progress.warn $"branch {name}: {error.Failure.Sentence}"
            Some error.Failure.Sentence

    // ---- comparing

    /// The returns of each evaluation after an iteration, by iteration and environment steps.
    let private evaluations (folder: RunFolder) (after: int64) : Map<int64 * int64, float list> =
        Map
            [ for line in Metrics.read folder.Metrics do
                  match line["kind"], line["iteration"], line["envSteps"], Map.tryFind "returns" line with
                  | Label "evaluation", Count iteration, Count steps, Some(Values returns) when iteration >= after ->
                      (iteration, steps), returns
                  | _ -> () ]

    /// Mean and standard error of the paired differences at each evaluation that both have.
    let differences (after: int64) (unchanged: RunFolder) (branch: RunFolder) : PairedDifference list =
        let ours, theirs = evaluations unchanged after, evaluations branch after

        [ for KeyValue(at, own) in ours do
              match Map.tryFind at theirs with
              | Some others when others.Length = own.Length ->
                  let pairs = List.map2 (fun a b -> b - a) own others
                  let n, mean = float pairs.Length, List.average pairs

                  let variance = (pairs |> List.sumBy (fun d -> (d - mean) * (d - mean))) / max 1.0 (n - 1.0)

                  { EnvSteps = snd at; Mean = mean; Error = sqrt (variance / n) }
              | _ -> () ]

    /// The paired differences of all branches over environment steps, with 95 % bands by the normal distribution.
    let picture (spec: Spec) (at: int64) (branches: ForkBranch list) : Picture =
        let layers =
            branches
            |> List.indexed
            |> List.collect (fun (i, branch) ->
                let layer mark = { Name = branch.Name; Colour = Plot.palette[i % Plot.palette.Length]; Mark = mark }

                [ layer (
                      Mark.Band
                          [ for d in branch.Differences ->
                                float d.EnvSteps, d.Mean - 1.96 * d.Error, d.Mean + 1.96 * d.Error ]
                  )
                  layer (Plot.dottedLine 2.0 [ for d in branch.Differences -> float d.EnvSteps, d.Mean ]) ])

        Plot.chart
            $"{spec.Task}: branches from iteration {Progress.thousands at}"
            $"{spec.Algorithm}, seed %d{spec.Seed}; return less the unchanged branch's, same keys and starts; band: 95 %% of the mean"
            { Plot.axis "Environment steps" with Extent = Extent.AroundData }
            (Plot.axis "Difference in return")
            ({ Name = ""; Colour = "#000000"; Mark = Mark.LevelGuide 0.0 } :: layers)

    let private show (spec: Spec) (at: int64) (equal: string option) (picture: string) (branches: ForkBranch list) =
        let number = Number.display

        Progress.table
            $"{spec.Task}, {spec.Algorithm}, seed %d{spec.Seed}: from iteration {Progress.thousands at}"
            [ "branch"; "evaluations"; "last difference in return"; "mean of all" ]
            ([ Unchanged
               ""
               (match equal with
                | None -> "equal to the run, byte for byte"
                | Some place -> $"{place} differs from the run's")
               "" ]
             :: [ for branch in branches ->
                      [ branch.Name
                        string branch.Differences.Length
                        match List.tryLast branch.Differences with
                        | _ when branch.Diverged.IsSome -> "diverged"
                        | Some d -> $"{number d.Mean} ± {number d.Error}"
                        | None -> "none"
                        match branch.Differences with
                        | [] -> "none"
                        | all -> all |> List.averageBy _.Mean |> number ] ])

        printfn $"picture: {picture}"

    let private checkUntil (options: ForkOptions) (spec: Spec) (first: int64) : int64 =
        let until = defaultArg options.Until spec.Iterations

        if until <= first || until > spec.Iterations then
            Errors.fail (
                Settings
                    $"--until is {until}: it must lie behind the checkpoint of {first} and not behind the run's end at {spec.Iterations}"
            )

        until

    let private foldersOf (options: ForkOptions) (specs: (string * Spec) list) =
        [ for name, spec in specs -> name, spec, ({ Path = Path.Combine(options.Out, folderName name) }: RunFolder) ]

    /// Is this the folder of a branch that was begun from the checkpoint of an iteration, and has these settings?
    let private isBegun (registry: Registry) (first: int64) (spec: Spec) (folder: RunFolder) : bool =
        File.Exists folder.Spec
        && SpecFile.ofRun registry folder = spec
        && RunFolder.checkpoints folder |> List.exists (fun (iteration, _) -> iteration >= first)

    /// The folder to fork into is empty, or holds branches of this fork alone: it was stopped, and goes on.
    let private checkOut
        (registry: Registry)
        (first: int64)
        (options: ForkOptions)
        (specs: (string * Spec) list)
        : unit =
        let own (entry: string) =
            foldersOf options specs
            |> List.exists (fun (_, spec, folder) ->
                Path.GetFullPath folder.Path = Path.GetFullPath entry && isBegun registry first spec folder)
            || List.contains (Path.GetFileName entry) [ "fork.svg"; "fork.png" ]

        if
            Directory.Exists options.Out
            && not (Seq.forall own (Directory.EnumerateFileSystemEntries options.Out))
        then
            Errors.fail (
                Storage
                    $"the folder {options.Out} is not empty, and holds more than branches of this fork: choose another with --out"
            )

    /// A folder for each branch, from which it can go on. Where one cannot, none is left that was not there: the sentence names its
    /// change.
    let private plant registry run (first: int64, checkpoint) (options: ForkOptions) (specs: (string * Spec) list) =
        let made = ResizeArray<string>()

        try
            [ for name, spec, folder in foldersOf options specs ->
                  if not (isBegun registry first spec folder) then
                      made.Add folder.Path
                      Branch.plant run (first, checkpoint) spec folder.Path |> ignore

                  try
                      Runner.beginsBehind registry folder |> ignore
                  with :? UserError as error when name <> Unchanged ->
                      Errors.fail (
                          Settings $"the change {name} cannot be made to a run under way: {error.Failure.Sentence}"
                      )

                  name, folder ]
        with _ ->
            for path in made do
                if Directory.Exists path then
                    Directory.Delete(path, true)

            reraise ()

    /// Continues a run: the branches with their differences from the unchanged one, whose folder is OUT/unchanged, and fork.svg. The
    /// run's folder is only read. Fails with Settings where no checkpoint is kept so early, naming the nearest, and where a change
    /// cannot be made to a run under way.
    let run (registry: Registry) (path: string) (options: ForkOptions) : ForkBranch list =
        let run = RunFolder.openExisting path
        let spec = SpecFile.ofRun registry run
        let first, checkpoint = checkpointAt registry run spec options.At
        let until = checkUntil options spec first
        let specs = options.Changes |> List.map (fun change -> nameOf change, changed registry run spec change)

        match specs |> List.countBy fst |> List.tryFind (fun (_, count) -> count > 1) with
        | Some(name, count) -> Errors.fail (Usage $"the change {name} is given {count} times: give it once")
        | None -> ()

        checkOut registry first options ((Unchanged, spec) :: specs)
        let planted = plant registry run (first, checkpoint) options ((Unchanged, spec) :: specs)
        let unchanged = snd planted.Head
        goOn registry options until Unchanged unchanged
        let equal = Branch.difference run unchanged

        let branches =
            [ for name, folder in planted.Tail ->
                  let diverged = goOnOrDiverge registry options until name folder

                  { Name = name
                    Folder = folder
                    Differences = differences first unchanged folder
                    Diverged = diverged } ]

        let svg = Path.Combine(options.Out, "fork.svg")

        let drawn =
            if branches |> List.exists (fun b -> not b.Differences.IsEmpty) then
                match Plot.save svg (picture spec first branches) with
                | Ok() -> svg
                | Error sentence -> $"none: {sentence}"
            else
                "none: no evaluation lies behind the checkpoint"

        show spec first equal drawn branches

        match equal with
        | Some place ->
            eprintfn
                $"warning: the unchanged branch is not the run ({place} differs): the run was made by another program or on another machine; the branches are compared with each other"
        | None -> ()

        branches
