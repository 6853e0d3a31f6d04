namespace Sdac.Experiments

open System.IO
open Sdac.Functional

/// What the contract demands of whole runs: specifications, checkpoints, and going on after a kill.
[<RequireQualifiedAccess>]
module internal RunClauses =
    let private require = ContractCase.require

    let private within (work: string -> 'a) : 'a =
        let folder = Directory.CreateTempSubdirectory("sdac-contract-").FullName

        try
            work folder
        finally
            Directory.Delete(folder, true)

    let private registryOf (case: ContractCase<'c, 's, 'w>) = Registry.empty |> Registry.add case.Algorithm

    /// The published settings and all presets can be used, and come back as they were from a specification.
    let settings (case: ContractCase<'c, 's, 'w>) =
        let registry = registryOf case
        let problems config = System.String.Join("; ", case.Algorithm.Problems config)
        let published = problems case.Algorithm.Published
        require (published = "") $"the published settings are impossible: {published}"

        for preset in case.Algorithm.Presets do
            let found = problems preset.Config
            require (found = "") $"the preset {preset.Name} is impossible: {found}"
            let spec = Spec.preset "" preset.Name (Algorithm.hide case.Algorithm)
            let again = Spec.print spec |> SpecFile.parseWhole registry "the printed specification"
            require (again = spec) $"the preset {preset.Name} does not come back from its printed specification"

            require
                (Json.compact (Spec.experiment Environment.suite case.Algorithm again).Config =
                    Json.compact preset.Config)
                $"the settings of {preset.Name} do not come back from their printed specification"

    let private specOf (case: ContractCase<'c, 's, 'w>) (iterations: int64) =
        { Spec.iterations iterations (Spec.preset "" case.Preset.Name (Algorithm.hide case.Algorithm)) with
            Device = "cpu"
            Kernels = true
            EvaluateEvery = 0L
            EvaluationEpisodes = 2
            CheckpointEvery = max 1L (iterations / 3L)
            LogEvery = 1L }

    /// Every leaf of the state is in a checkpoint and comes back bit by bit.
    let saved (case: ContractCase<'c, 's, 'w>) =
        within (fun path ->
            let registry = registryOf case
            let spec = specOf case 30L
            let folder = RunFolder.create (Path.Combine(path, "run")) false
            Files.writeText folder.Spec (Spec.print spec)
            use log = new RunLog(folder, spec, case.Algorithm.Figures, [], Journal.empty)

            let first =
                Spec.experiment Environment.suite case.Algorithm spec
                |> Round.start
                |> Round.warm
                |> ContractCase.rounds 2

            ContractCase.using first (fun step ->
                Checkpoint.save folder spec [] (log.Save()) step |> ignore

                match CheckpointRestore.restore registry folder spec step with
                | None -> ContractCase.broken "a checkpoint that was written is not found"
                | Some restored ->
                    let differing =
                        ContractCase.differing (ContractCase.leavesOf step) (ContractCase.leavesOf restored.Step)

                    let differing = System.String.Join(", ", differing)
                    Round.disposeState restored.Step
                    require (differing = "") $"{differing} do not come back from a checkpoint"))

    let private options (out: string) =
        { RunOptions.into out with Threads = Sdac.Kernels.Workers.Threads; Quiet = true }

    let private last (folder: string) = RunFolder.checkpoints { Path = folder } |> List.head |> snd

    /// A run that was killed after its first checkpoint and resumed has the bytes of one that was not.
    let resumes (case: ContractCase<'c, 's, 'w>) =
        within (fun path ->
            let registry = registryOf case
            let whole, killed = Path.Combine(path, "whole"), Path.Combine(path, "killed")

            let updates =
                int64 (Experiment.rhythm (Spec.experiment Environment.suite case.Algorithm (specOf case 1L))).Updates

            let spec = specOf case (12L * updates)
            Runner.run registry spec (options whole) |> ignore
            Directory.CreateDirectory killed |> ignore

            // what a killed process leaves: a checkpoint, and lines behind it
            for file in Directory.GetFiles(whole, "*", SearchOption.AllDirectories) do
                let copy = Path.Combine(killed, Path.GetRelativePath(whole, file))
                Directory.CreateDirectory(Path.GetDirectoryName copy |> string) |> ignore
                File.Copy(file, copy)

            File.Delete(Path.Combine(killed, "summary.json"))
            let checkpoints = RunFolder.checkpoints { Path = killed } |> List.rev |> List.map snd
            require (checkpoints.Length >= 2) "a run of twelve rounds wrote fewer than two checkpoints"
            checkpoints |> List.skip 1 |> List.iter File.Delete
            Runner.resume registry killed Sdac.Kernels.Workers.Threads true |> ignore

            for name in [ "metrics.jsonl"; Path.GetRelativePath(whole, last whole) ] do
                let bytes folder = File.ReadAllBytes(Path.Combine(folder, name))

                require
                    (bytes whole = bytes killed)
                    $"{name} of a run that was killed and resumed differs from one that was not")

    /// The policy that other programs get acts as the agent does in evaluations with the same key.
    let exported (case: ContractCase<'c, 's, 'w>) =
        ContractCase.using (ContractCase.start 12L case |> ContractCase.rounds 4) (fun step ->
            use _ = TorchSharp.torch.NewDisposeScope()

            match step.Agent.Form step.State with
            | Error why -> require (why <> "") "its policy cannot be given as data, and nothing says why"
            | Ok form ->
                let obs = Key.normal Compute.cpu [ 5; 2 ] (Key.ofSeed 2L)

                for seed in 1L .. 3L do
                    let key = Key.ofSeed seed
                    let acted = (step.Agent.Act Purpose.Evaluate step.State key obs).Action.clamp(num -1.0, num 1.0)
                    let found, values = FormPlay.candidates Compute.cpu step.Agent.Space form key obs
                    let found = found.clamp (num -1.0, num 1.0)
                    let apart = FormPlay.distance 1e-3 (found, values) acted

                    require
                        (apart <= 1e-4)
                        $"its policy as data is {Number.display apart} away from what it does in an evaluation: Form must say the same networks, steps, noise and choice as Act")
