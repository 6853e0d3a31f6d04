namespace Sdac.Experiments

open System.IO
open Sdac.Functional
open Sdac.Environments

/// What of a trained policy goes to other programs.
[<RequireQualifiedAccess>]
module Export =
    /// A policy on a task as a model of ONNX, with texts that the model carries. Inputs: obs [batch, O]; where the policy draws numbers,
    /// initial [batch, N, A], and where its chain does, steps [T, batch, N, A], both standard normal. Outputs: action [batch, A] in the
    /// task's units, candidates [batch, N, A] in [-1, 1], and values [batch, N] where critics choose among them.
    let model (form: PolicyForm) (task: EnvSpec) (metadata: (string * string) list) : byte[] =
        (OnnxPolicy.model form task metadata).ToByteArray()

    /// The policy of a run's newest good checkpoint, or of the checkpoint named, as data; the best of so many actions, 0: as its run
    /// says. `act` uses it before its tensors are freed. Fails with Input where the policy is none that can be given as data.
    let private withForm
        (registry: Registry)
        (path: string)
        (particles: int)
        (act: PolicyForm -> Spec -> EnvSpec -> string -> 'a)
        : 'a =
        let struct (acting, file, spec, task) = PolicySource.openPath registry path particles 1

        try
            match acting.Form() with
            | Ok form -> act form spec task file
            | Error why ->
                let title = (Spec.algorithm registry path spec.Algorithm).Title
                Errors.fail (Input $"the policy of {title} in {file} cannot be exported: {why}")
        finally
            acting.Free()

    let private shape (sizes: string list) = "[" + String.concat ", " sizes + "]"

    /// What the graph asks for and gives, one line each.
    let private describe (form: PolicyForm) (task: EnvSpec) : string list =
        let rows = [ "batch"; string form.Particles; string task.ActionDim ]

        let noise =
            match form.Candidates with
            | FormCandidates.Direct(_, FormSpread.Mode, _) -> []
            | FormCandidates.Direct _ -> [ "initial", rows ]
            | FormCandidates.Chain c when c.Steps |> Array.forall (fun s -> s.Spread = 0.0) -> [ "initial", rows ]
            | FormCandidates.Chain c -> [ "initial", rows; "steps", string c.Steps.Length :: rows ]

        let values =
            if form.Critics.IsSome then
                [ "values", [ "batch"; string form.Particles ] ]
            else
                []

        [ for name, sizes in ("obs", [ "batch"; string task.ObsDim ]) :: noise do
              $"  input   {name} {shape sizes}"
          for name, sizes in [ "action", [ "batch"; string task.ActionDim ]; "candidates", rows ] @ values do
              $"  output  {name} {shape sizes}" ]

    /// Writes a policy as a model of ONNX: the networks, the reverse chain step by step and the choice of the best. The random
    /// numbers, standard normal, are inputs. What the model asks for and gives, for people.
    let onnx (registry: Registry) (path: string) (particles: int) (target: string) : string list =
        if Path.GetFullPath path = Path.GetFullPath target then
            Errors.fail (Usage $"--onnx {target} would overwrite the policy itself: choose another name")

        RunFolder.refuseOwn "--onnx" target

        withForm registry path particles (fun form spec task file ->
            let metadata =
                [ "task", spec.Task
                  "algorithm", spec.Algorithm
                  "checkpoint", string (Path.GetFileName file)
                  "spec", Spec.print spec ]

            let model = model form task metadata
            Files.writeAtomic target (fun stream -> stream.Write(System.ReadOnlySpan model))
            let title = (Spec.algorithm registry path spec.Algorithm).Title

            $"{target}: {title} on {spec.Task} from {file}, {(model.Length + 1023) / 1024} KiB"
            :: describe form task)
