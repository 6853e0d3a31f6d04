namespace Sdac.Experiments

open System
open System.Diagnostics
open Argu
open Sdac.Kernels
open Sdac.Functional
open Sdac.Environments

/// The list of environments on the command line.
[<RequireQualifiedAccess>]
module EnvsCommand =
    /// The arguments of the list.
    [<RequireQualifiedAccess>]
    type EnvsArguments =
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine "-t">] Task of NAME: string
        | [<Unique; EqualsAssignmentOrSpaced>] Seconds of NUMBER: float
        | [<Unique; EqualsAssignmentOrSpaced>] Environments of COUNT: int

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | EnvsArguments.Task _ -> "only this task, with its options and what its info holds"
                | EnvsArguments.Seconds _ -> "how long to measure each task's speed (default 0.5; 0 leaves it out)"
                | EnvsArguments.Environments _ -> "environments in the measured batch (default 8)"

    /// Environment steps per second of a batch under random actions, on all threads.
    let private speed (task: ITask) (count: int) (seconds: float) =
        use envs = new VecEnv(task, count)
        let actions = Array.zeroCreate<float32>(count * envs.ActionDim)
        Philox.Uniform(PhiloxKey(1u, 2u, 3u, 4u), 0L, Span actions)
        let unit = actions |> Array.map (fun u -> 2.0f * u - 1.0f)
        envs.Spec.ScaleActions(ReadOnlySpan unit, Span actions)
        let states, result = envs.Reset(PhiloxKey(5u, 6u, 7u, 8u)), envs.NewResult()
        let clock = Stopwatch.StartNew()
        let mutable steps = 0

        while clock.Elapsed.TotalSeconds < seconds do
            envs.StepInto(states, ReadOnlySpan actions, states, result)
            steps <- steps + count

        float steps / clock.Elapsed.TotalSeconds

    let private bounds (spec: EnvSpec) =
        let low, high = Seq.min spec.ActionLow, Seq.max spec.ActionHigh
        $"[{low}, {high}]"

    let private list (seconds: float) (count: int) (tasks: ITask list) =
        printfn "%-26s %4s %7s %-11s %6s %6s %10s" "task" "obs" "actions" "bounds" "limit" "dt" "steps/s"

        for task in tasks do
            use envs = new VecEnv(task, 1)
            let spec = envs.Spec
            let rate = if seconds > 0.0 then (speed task count seconds).ToString "F0" else ""
            printf "%-26s %4d %7d %-11s " spec.Task spec.ObsDim spec.ActionDim (bounds spec)
            printfn "%6d %6g %10s" spec.MaxEpisodeSteps spec.Dt rate

    let private describe (task: ITask) =
        use envs = new VecEnv(task, 1)
        printfn ""

        for option in task.Options do
            printfn "  %-45s %O" option.Key option.Value

        printfn "  of every task: %s" (String.Join(", ", Wrappers.Names))
        printfn "  info: %s" (String.Join(", ", envs.Spec.InfoNames))

    /// What may be said of the versions among these names.
    let private claims (names: string seq) =
        let versions = names |> Seq.map (fun name -> name.Substring(name.LastIndexOf '-' + 1)) |> Seq.distinct

        for version in versions do
            match Sdac.Mujoco.Tasks.ClaimOf version with
            | null -> ()
            | claim -> printfn "\n%s: %s" version claim

    /// Lists as the arguments say.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<EnvsArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments
        let seconds = results.GetResult(EnvsArguments.Seconds, 0.5)

        if not (seconds >= 0.0 && Double.IsFinite seconds) then
            Errors.fail (
                Settings $"--seconds is {string seconds}; it must be a number of at least 0, which measures nothing"
            )

        let count = results.GetResult(EnvsArguments.Environments, 8)

        if count < 1 then
            Errors.fail (Settings $"--environments is {count}; it must be at least 1")

        let tasks = program.Registry.Tasks

        match results.TryGetResult EnvsArguments.Task with
        | None ->
            list seconds count [ for name in tasks.Names -> tasks.Create name ]
            claims tasks.Names
        | Some name ->
            let task = tasks.Create name
            list seconds count [ task ]
            describe task
            claims [ name ]

        0
