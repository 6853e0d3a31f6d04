namespace Sdac.Experiments

open System
open Sdac.Functional

/// The effects around the pure pipeline: logs, evaluations, checkpoints, the summary.
[<RequireQualifiedAccess>]
module Runner =
    /// The agent of an experiment on its task and device.
    let agent (e: Experiment<'c, 's, 'w>) : Agent<'s, 'w> =
        use environment = Training.arena e 1
        let space = { ObsDim = environment.ObsDim; ActionDim = environment.ActionDim }
        Experiment.agent (Compute.create e.Device e.Kernels) space e

    /// Plays `episodes` episodes without exploration noise; the starts depend on the seed alone.
    let evaluate (e: Experiment<'c, 's, 'w>) (agent: Agent<'s, 'w>) (state: 's) (episodes: int) (seed: int64) =
        use environment = Training.arena e episodes
        Evaluation.run agent environment (Training.evaluationKey seed) state

    /// Training, curve, summary: to the end, from wherever the folder stands. The caller holds the lock. summary.json comes
    /// last: where it is, the run is finished.
    let private finish (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (options: RunOptions) from : Summary =
        Sessions.untilStopped (Training.train plan folder options None from)
        |> Option.get
        |> RunEnd.conclude plan folder (Some options)

    /// The same as far as the round of iteration `last`, without a word at the end.
    let private advance
        (last: int64)
        (plan: Plan<'c, 's, 'w>)
        (folder: RunFolder)
        (options: RunOptions)
        from
        : Summary option =
        Sessions.untilStopped (Training.train plan folder options (Some last) from)
        |> Option.map (RunEnd.conclude plan folder None)

    // ---- runs from nothing

    /// The run's newest checkpoint, or its beginning where it has none.
    let private beginning (plan: Plan<'c, 's, 'w>) (folder: RunFolder) : Beginning<'s, 'w> =
        let first = { Round.start plan.Experiment with Reseeded = Map.remove "environments" plan.Spec.Reseeded }

        try
            match CheckpointRestore.restore plan.Registry folder plan.Spec first with
            | None ->
                let task = first.Environment.Task

                let state =
                    match plan.Spec.From with
                    | Some mark -> StartNetworks.replace first.Agent plan.Spec task mark first.State
                    | None -> first.State

                { Step = { first with State = state }; Journal = Journal.empty; Parts = [] }
            | Some restored ->
                for complaint in restored.Complaints do
                    eprintfn $"warning: {complaint}; an older checkpoint is used"

                Round.disposeState first
                { Step = restored.Step; Journal = restored.Journal; Parts = restored.Parts }
        with _ ->
            Round.dispose first
            reraise ()

    /// The specification with what is known of its stages before the first iteration: the algorithm's own, or a mark of the
    /// script that brings others. An algorithm or a task that is not this library's is marked so too.
    let private marked (agent: Agent<'s, 'w>) (stages: Stage<'s, 'w> option) (spec: Spec) : Spec =
        let isOwn =
            (Registry.tryFind spec.Algorithm Registry.standard).IsNone
            || not (Seq.contains spec.Task Registry.standard.Tasks.Names)

        { spec with
            Stages = if stages.IsSome then [] else Round.standardTrail agent
            Script = if isOwn || stages.IsSome then Sessions.script () else None }

    let private start (plan: Plan<'c, 's, 'w>) (options: RunOptions) : Summary =
        RunOptions.check options
        Machine.useThreads (Compute.create plan.Spec.Device plan.Spec.Kernels) options.Threads
        // before a folder is made or emptied: settings that the task refuses, networks that do not fit
        let agent = agent plan.Experiment

        for mark in Option.toList plan.Spec.From do
            StartNetworks.checkOutside options.Out mark

            StartNetworks.replace agent plan.Spec plan.Spec.Task mark (agent.Init(Key.ofSeed 0L))
            |> Parts.dispose agent.Parts

        let plan = { plan with Spec = marked agent plan.Stages plan.Spec }
        let folder = RunFolder.create options.Out options.Overwrite
        use _ = RunFolder.lock folder
        Files.writeText folder.Spec (Spec.print plan.Spec)
        Files.writeText folder.Machine (Json.print (Machine.describe ()) + "\n")
        finish plan folder options (beginning plan folder)

    /// A specification's algorithm at work, with its own stages.
    let private planOf (registry: Registry) (algorithm: Algorithm<'c, 's, 'w>) (spec: Spec) : Plan<'c, 's, 'w> =
        { Registry = registry
          Spec = spec
          Experiment = Spec.experiment registry.Tasks algorithm spec
          Stages = None }

    /// What to do with a specification's algorithm, whatever its types.
    let private opened (registry: Registry) (spec: Spec) (work: IOpen<'r>) : 'r =
        (Spec.algorithmOf registry "the specification" spec).Open work

    /// A whole run of a specification from nothing: folder, specification, training, curve, summary table.
    let run (registry: Registry) (spec: Spec) (options: RunOptions) : Summary =
        let spec = SpecCheck.validate registry "" spec

        opened
            registry
            spec
            { new IOpen<Summary> with
                member _.Open algorithm = start (planOf registry algorithm spec) options }

    let private joined (registry: Registry) (algorithm: Algorithm<'c, 's, 'w>) =
        match Registry.tryFind algorithm.Name registry with
        | Some _ -> registry
        | None -> Registry.add algorithm registry

    /// A whole run with stages of one's own, on a task of `registry`. `spec` is the experiment's (`Spec.create`), with other
    /// schedules where wanted.
    let composeOn
        (registry: Registry)
        (stages: Stage<'s, 'w>)
        (algorithm: Algorithm<'c, 's, 'w>)
        (spec: Spec)
        (options: RunOptions)
        : Summary =
        let registry = joined registry algorithm
        let spec = SpecCheck.validate registry "" spec

        start { planOf registry algorithm spec with Stages = Some stages } options

    /// The same on a task of this library.
    let compose
        (stages: Stage<'s, 'w>)
        (algorithm: Algorithm<'c, 's, 'w>)
        (spec: Spec)
        (options: RunOptions)
        : Summary =
        composeOn Registry.standard stages algorithm spec options

    // ---- runs taken up again

    /// Records the machine of a process that takes a run up; says where it differs from the one that began the run.
    let private noteMachine (folder: RunFolder) (iteration: int64) =
        let now = Machine.describe ()

        let began =
            if iteration > 0L && IO.File.Exists folder.Machine then
                Files.readText folder.Machine |> Json.parseOver folder.Machine now
            else
                now

        for setting, was, is in Json.differences { began with Threads = now.Threads } now do
            eprintfn
                $"warning: {folder.Path} was begun with {setting} {was}, this is {is}: results may differ from an uninterrupted run's"

        if iteration = 0L then
            Files.writeText folder.Machine (Json.print now + "\n")
        elif now <> began then
            Files.writeText (folder.MachineAt iteration) (Json.print now + "\n")

    /// Refuses to go on with other stages than the run was made with, or from an edited script, before anything is written.
    let private checkStages (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (from: Beginning<'s, 'w>) =
        let spec = plan.Spec

        match spec.Script with
        | Some mark when Sessions.script () <> Some mark ->
            Errors.fail (
                Settings
                    $"{folder.Spec} was begun by the script {mark.File}, which is not this one or has been edited since: put it back, or train anew in another folder"
            )
        | _ -> ()

        match plan.Stages with
        | None when not spec.Stages.IsEmpty ->
            Training.checkTrail folder spec.Stages (Round.standardTrail from.Step.Agent)
        | Some stages when not spec.Stages.IsEmpty ->
            // without a checkpoint the run begins anew: its first iteration is the one behind the warm-up
            let step = Training.stepping folder from.Step.Iteration (fun () -> Round.warm from.Step)

            Training.checkTrail
                folder
                spec.Stages
                (Training.stepping folder step.Iteration (fun () -> Round.trail stages step))
        | _ -> ()

    /// `commit` writes what the plan changes of the run's specification: once it is known that the run can be taken up.
    let private takeUp
        finish
        (plan: Plan<'c, 's, 'w>)
        (folder: RunFolder)
        (options: RunOptions)
        (commit: unit -> unit)
        =
        RunOptions.check options
        Machine.useThreads (Compute.create plan.Spec.Device plan.Spec.Kernels) options.Threads
        let from = beginning plan folder

        try
            checkStages plan folder from
            commit ()
        with _ ->
            Round.dispose from.Step
            reraise ()

        noteMachine folder from.Step.Iteration

        // a process may have been killed between its last checkpoint and what that made superfluous
        if from.Step.Iteration > 0L then
            Checkpoint.prune folder plan.Spec from.Step.Agent.Rhythm.Updates from.Step.Iteration

        if not options.Quiet && from.Step.Iteration > 0L then
            printfn $"{plan.Spec.Task}: resumed after iteration {Progress.thousands from.Step.Iteration}"

        finish plan folder options from

    /// A run's specification with `count` iterations. The horizon, which schedules go by, stays.
    let private extended (folder: RunFolder) (count: int64) (spec: Spec) : Spec =
        if count < spec.Iterations then
            Errors.fail (
                Settings
                    $"--iterations is {count}, but {folder.Spec} has {spec.Iterations}: a run can be extended, not cut; give more, or leave --iterations out"
            )

        { spec with Iterations = count }

    /// Has the run go on as the specification says from then on: a finished run is finished no more.
    let private extend (folder: RunFolder) (spec: Spec) () =
        Files.guarded "delete" folder.Summary (fun () -> IO.File.Delete folder.Summary)
        Files.flushFolder folder.Path
        Files.writeText folder.Spec (Spec.print spec)

    /// Takes a run up by `work`, to so many iterations where that is said, unless it is finished. Where it is to go further than its
    /// specification says, `work` has that written once nothing can be refused any more.
    let private unlessFinished
        (registry: Registry)
        (options: RunOptions)
        (iterations: int64 option)
        (work: Spec -> RunFolder -> (unit -> unit) -> 'r)
        : 'r option =
        let folder = RunFolder.openExisting options.Out

        if iterations.IsNone && RunFiles.isFinished folder then
            None
        else
            SpecFile.ofRun registry folder |> ignore
            use _ = RunFolder.lock folder
            let spec = SpecFile.ofRun registry folder
            let wanted = Option.fold (fun spec count -> extended folder count spec) spec iterations
            let goesFurther = wanted.Iterations > spec.Iterations

            // it may have ended while this process waited for nothing but the lock; a finished run that is not whole is refused here
            if RunFiles.isFinished folder && not goesFurther then
                None
            else
                for inner in [ folder.Path; folder.Checkpoints; folder.Memory ] do
                    Files.removeUnfinished inner

                Files.createFolder folder.Checkpoints
                Some(work wanted folder (if goesFurther then extend folder wanted else ignore))

    /// Takes a run up again where its last good checkpoint left it, or from its beginning where it has none (spec.json is
    /// enough), and brings it to its end; None where it is finished already, and then nothing is touched; Damaged where it is, but
    /// files of it are no longer as it wrote them. What comes out is what an uninterrupted run gives. With more `iterations` than
    /// it was to have, it goes on to those: as a run would have that was to have them from the start, with the horizon that it has.
    let goOn (registry: Registry) (options: RunOptions) (iterations: int64 option) : Summary option =
        unlessFinished registry options iterations (fun spec folder commit ->
            opened
                registry
                spec
                { new IOpen<Summary> with
                    member _.Open algorithm = takeUp finish (planOf registry algorithm spec) folder options commit })

    /// The iteration that a run would be taken up behind; fails where it cannot be. Nothing is changed.
    let internal beginsBehind (registry: Registry) (folder: RunFolder) : int64 =
        let spec = SpecFile.ofRun registry folder

        opened
            registry
            spec
            { new IOpen<int64> with
                member _.Open algorithm =
                    let step = (beginning (planOf registry algorithm spec) folder).Step
                    Round.dispose step
                    step.Iteration }

    /// Takes a run up and goes on to the end of the round of iteration `last`, with a checkpoint there, or to the run's end where that
    /// comes first. No table is shown. What is finished is left alone.
    let internal goOnUntil (registry: Registry) (options: RunOptions) (last: int64) : unit =
        unlessFinished registry options None (fun spec folder commit ->
            opened
                registry
                spec
                { new IOpen<Summary option> with
                    member _.Open algorithm =
                        takeUp (advance last) (planOf registry algorithm spec) folder options commit })
        |> ignore

    /// The same with the stages of one's own that the run was begun with, on a task of `registry`.
    let goOnComposedOn
        (registry: Registry)
        (stages: Stage<'s, 'w>)
        (algorithm: Algorithm<'c, 's, 'w>)
        (options: RunOptions)
        (iterations: int64 option)
        : Summary option =
        let registry = joined registry algorithm

        unlessFinished registry options iterations (fun spec folder commit ->
            if spec.Algorithm <> algorithm.Name then
                Errors.fail (
                    Settings
                        $"{folder.Spec} is a run of the algorithm {spec.Algorithm}, not of {algorithm.Name}: resume it with that one"
                )

            takeUp finish { planOf registry algorithm spec with Stages = Some stages } folder options commit)

    /// The same on a task of this library.
    let goOnComposed
        (stages: Stage<'s, 'w>)
        (algorithm: Algorithm<'c, 's, 'w>)
        (options: RunOptions)
        (iterations: int64 option)
        : Summary option =
        goOnComposedOn Registry.standard stages algorithm options iterations

    let private optionsOf path threads quiet = { RunOptions.into path with Threads = threads; Quiet = quiet }

    /// `goOn` to where the run was to go.
    let resume (registry: Registry) (path: string) (threads: int) (quiet: bool) : Summary option =
        goOn registry (optionsOf path threads quiet) None

    /// `goOnComposed` to where the run was to go.
    let resumeComposed
        (stages: Stage<'s, 'w>)
        (algorithm: Algorithm<'c, 's, 'w>)
        (path: string)
        (threads: int)
        (quiet: bool)
        : Summary option =
        goOnComposed stages algorithm (optionsOf path threads quiet) None
