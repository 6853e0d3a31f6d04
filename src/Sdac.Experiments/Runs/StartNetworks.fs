namespace Sdac.Experiments

open System
open System.IO
open Sdac.Functional

/// Beginning a run with the networks of another.
[<RequireQualifiedAccess>]
module StartNetworks =
    /// A checkpoint to begin with, as a specification names it.
    let mark (path: string) : StartMark =
        { Checkpoint = Path.GetFullPath path; Sha256 = Safetensors.digest (Safetensors.read path) }

    /// The state with the networks of the checkpoint in the place of its own, and with the running moments that normalise what they
    /// see. Optimisers, temperature and counters begin anew. Frees the networks that it replaces. Fails with Damaged where the file
    /// is not the one that was marked, with Settings where it is of another algorithm, task or size.
    let replace (agent: Agent<'s, 'w>) (spec: Spec) (task: string) (mark: StartMark) (state: 's) : 's =
        let path = mark.Checkpoint
        let file = Safetensors.read path
        CheckpointReader.checkKind spec.Algorithm task path file

        if Safetensors.digest file <> mark.Sha256 then
            Errors.fail (
                Damaged
                    $"{path} is not the checkpoint that this run began with: put that one back, or train anew in another folder"
            )

        let theirs = CheckpointReader.reading (fun _ _ -> ()) agent.Compute path file

        let networks =
            { new IVisit with
                member _.Params(name, value) = theirs.Params(name, value)
                member _.Numbers(name, value) = theirs.Numbers(name, value)
                member _.Adam(_, value) = value
                member _.Float(_, value) = value
                member _.Int(_, value) = value
                member _.Rows(_, value) = value }

        let begun = Tensors.owning (Parts.tensorsNotIn agent.Parts state) (fun () -> agent.Parts networks state)

        Parts.disposeReplaced agent.Parts begun state
        begun

    /// Refuses a checkpoint in a folder that is to be emptied before the run begins.
    let checkOutside (folder: string) (mark: StartMark) =
        let inside = Path.TrimEndingDirectorySeparator(Path.GetFullPath folder) + "/"

        if mark.Checkpoint.StartsWith(inside, StringComparison.Ordinal) then
            Errors.fail (
                Settings
                    $"{mark.Checkpoint} lies in {folder}, which --overwrite empties first: copy it elsewhere, or choose another folder with --out"
            )
