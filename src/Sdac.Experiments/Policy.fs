namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open Sdac.Functional
open TorchSharp

/// A trained agent without its types: actions [N·A] in [-1, 1] for observations [N·O], the policy as data, and what frees it.
[<NoComparison; NoEquality>]
type internal Acting =
    { Choose: Key -> int -> float32[] -> float32[]
      Form: unit -> Result<PolicyForm, string>
      Free: unit -> unit }

/// Reading the networks of a run to act with them.
[<RequireQualifiedAccess>]
module internal PolicySource =
    /// The specification with another N of the best of N in evaluations; 0: as it is.
    let private withParticles (algorithm: Algorithm<'c, 's, 'w>) (registry: Registry) (particles: int) (spec: Spec) =
        let isLeaf (path: string) = path.Substring(path.LastIndexOf '.' + 1) = "evaluationParticles"

        if particles = 0 then
            spec
        elif not (Json.leaves typeof<'c> |> List.exists isLeaf) then
            Errors.fail (
                Usage $"{algorithm.Title} does not choose among several actions: leave the number of particles out"
            )
        else
            Spec.set registry "the number of particles" spec "evaluationParticles" (string particles)
            |> SpecCheck.validate registry "the number of particles"

    let private acting (agent: Agent<'s, 'w>) (state: 's) : Acting =
        // made for the first single observation: whoever exports needs none
        let packed =
            lazy (agent.Form state |> Result.toOption |> Option.bind (PackedActor.ofForm agent.Compute agent.Space))

        let choose key count obs =
            match (if count = 1 then packed.Value else None) with
            | Some actor -> actor.Act(key, obs)
            | None ->
                use _ = torch.NewDisposeScope()
                let obs = Tensors.ofArray agent.Compute [ count; agent.Space.ObsDim ] obs
                (agent.Act Purpose.Evaluate state key obs).Action |> Tensors.toArray

        let free () =
            if packed.IsValueCreated then
                packed.Value |> Option.iter (fun actor -> (actor :> IDisposable).Dispose())

            Parts.dispose agent.Parts state

        { Choose = choose; Form = (fun () -> agent.Form state); Free = free }

    /// The newest good checkpoint of a run folder, or the file named.
    let private load (agent: Agent<'s, 'w>) (spec: Spec) (path: string) : struct (string * 's) =
        if Directory.Exists path then
            Evaluate.networks agent spec (RunFolder.openExisting path) None
        else
            struct (path, CheckpointRestore.load agent spec.Algorithm spec.Task path)

    let private specification (registry: Registry) (path: string) : Spec =
        if path = "" then
            Errors.fail (Usage "the path of the policy is empty: give a run folder or a checkpoint")

        if Directory.Exists path then
            let struct (spec, said) = RunFolder.openExisting path |> SpecFile.ofRunOrPublished registry

            for sentence in said do
                eprintfn $"warning: {sentence}"

            spec
        else
            match Map.tryFind "spec" (Safetensors.metadata path) with
            | Some text -> SpecFile.parseRecorded registry path text
            | None ->
                Errors.fail (
                    Damaged $"{path} holds no specification: it is not a checkpoint of this program; use another"
                )

    /// What acts, the file that it was read from, the specification of its run, and the sizes and bounds of the task.
    let openPath (registry: Registry) (path: string) (particles: int) (threads: int) =
        let spec = specification registry path

        (Spec.algorithmOf registry path spec).Open
            { new IOpen<_> with
                member _.Open algorithm =
                    let spec = withParticles algorithm registry particles spec
                    let experiment = Spec.experiment registry.Tasks algorithm spec
                    use environment = Training.arena experiment 1
                    let agent = Runner.agent experiment
                    Machine.useThreads agent.Compute threads
                    let struct (file, state) = load agent spec path
                    struct (acting agent state, file, spec, environment.Spec) }

/// A trained policy, to act with: `use policy = Policy.load "runs/cheetah"`, then `policy.act obs`. It acts as in evaluations: no
/// exploration noise, the best of as many actions as its run says or as is asked for. The i-th call uses the key i of the policy's
/// seed, so that the same calls on a policy loaded anew give the same actions; a number, or a key of one's own, makes a call
/// independent of those before it. Calls from several threads wait for each other.
[<Sealed>]
type Policy private (acting: Acting, file: string, spec: Spec, task: Sdac.Environments.EnvSpec, seed: int64) =
    let gate = obj ()
    let root = Key.ofSeed seed
    let mutable calls = 0L
    let mutable isOpen = true

    let refuse (rows: float[][]) (row: int) (problem: string -> string) =
        Errors.fail (Input(problem (if rows.Length = 1 then "" else $" {row}")))

    // row by row, in the networks' precision
    let narrowed (rows: float[][]) : float32[] =
        let narrow = Array.zeroCreate<float32>(rows.Length * task.ObsDim)

        for row in 0 .. rows.Length - 1 do
            let obs = rows[row]

            if obs.Length <> task.ObsDim then
                refuse rows row (fun place ->
                    $"an observation of {task.Task} has {task.ObsDim} numbers, but observation{place} has {obs.Length}: give the task's own")

            for i in 0 .. obs.Length - 1 do
                let x = float32 obs[i]

                if not (Single.IsFinite x) then
                    refuse rows row (fun place ->
                        $"number {i} of observation{place} is {string obs[i]}: observations must be finite numbers")

                narrow[row * task.ObsDim + i] <- x

        narrow

    // [-1, 1] to the task's range, as training steps; what lies outside is clamped, as the engines do
    let inUnits (count: int) (actions: float32[]) : float[][] =
        task.ScaleActions(ReadOnlySpan<float32> actions, Span<float32> actions)

        Array.init count (fun row ->
            Array.init task.ActionDim (fun i ->
                Math.Clamp(float actions[row * task.ActionDim + i], task.ActionLow[i], task.ActionHigh[i])))

    let choose (key: unit -> Key) (rows: float[][]) : float[][] =
        let obs = narrowed rows

        lock gate (fun () ->
            if not isOpen then
                raise (ObjectDisposedException(nameof Policy))

            if rows.Length = 0 then
                [||]
            else
                acting.Choose (key ()) rows.Length obs |> inUnits rows.Length)

    let next () =
        let key = Key.foldIn calls root
        calls <- calls + 1L
        key

    /// Opens the newest good checkpoint of a run folder, or the checkpoint that `path` names (checkpoints/best.safetensors), with the
    /// algorithms of `registry`. `particles` actions are compared where that is not 0, on so many threads (0: all processors), which
    /// decide nothing. Fails as evaluating does where the folder or file cannot be used.
    static member LoadFrom
        (
            registry: Registry,
            path: string,
            [<Optional; DefaultParameterValue(0)>] particles: int,
            [<Optional; DefaultParameterValue(0L)>] seed: int64,
            [<Optional; DefaultParameterValue(0)>] threads: int
        ) : Policy =
        let threads = if threads = 0 then Environment.ProcessorCount else threads
        let struct (acting, file, spec, task) = PolicySource.openPath registry path particles threads
        new Policy(acting, file, spec, task, seed)

    /// `LoadFrom` with the algorithms of this library.
    static member Load
        (
            path: string,
            [<Optional; DefaultParameterValue(0)>] particles: int,
            [<Optional; DefaultParameterValue(0L)>] seed: int64,
            [<Optional; DefaultParameterValue(0)>] threads: int
        ) : Policy =
        Policy.LoadFrom(Registry.standard, path, particles, seed, threads)

    /// `Load` with the run's own particles, seed 0, on all processors.
    static member load(path: string) : Policy = Policy.Load path

    /// The checkpoint that the networks come from.
    member _.File = file

    member _.Task = spec.Task

    /// Numbers in an observation.
    member _.ObsDim = task.ObsDim

    /// Numbers in an action.
    member _.ActionDim = task.ActionDim

    /// The least action that the task takes, [A].
    member _.ActionLow = task.ActionLow

    /// The greatest action that the task takes, [A].
    member _.ActionHigh = task.ActionHigh

    /// The action on an observation [O], in the task's units, [A]. Fails with Input for an observation that is none of the task.
    member _.Act(obs: float[]) : float[] = (choose next [| obs |])[0]

    /// The action that the call of this number (from 0) gives, whatever was asked before.
    member _.Act(obs: float[], number: int64) : float[] = (choose (fun () -> Key.foldIn number root) [| obs |])[0]

    /// The action with random numbers from a key of one's own.
    member _.Act(obs: float[], key: Key) : float[] = (choose (fun () -> key) [| obs |])[0]

    /// Actions on many observations in one call, [N] of [A]. They share its key: an action depends on how many are asked for at once.
    member _.ActMany(obs: float[][]) : float[][] = choose next obs

    /// The actions that the call of this number gives.
    member _.ActMany(obs: float[][], number: int64) : float[][] = choose (fun () -> Key.foldIn number root) obs

    /// The actions with random numbers from a key of one's own.
    member _.ActMany(obs: float[][], key: Key) : float[][] = choose (fun () -> key) obs

    /// `Act`, in F#'s words.
    member policy.act(obs: float[]) : float[] = policy.Act obs

    /// `ActMany`, in F#'s words.
    member policy.actMany(obs: float[][]) : float[][] = policy.ActMany obs

    interface IDisposable with
        member _.Dispose() =
            lock gate (fun () ->
                if isOpen then
                    isOpen <- false
                    acting.Free())
