namespace Sdac.Experiments

open System
open System.Runtime.InteropServices
open Sdac.Functional
open Sdac.Environments
open Sdac.Kernels

/// What a checkpoint holds, as tensors and metadata.
[<RequireQualifiedAccess>]
module internal CheckpointContent =
    /// The layout of checkpoints that this program writes; the number rises when an older program could no longer read them.
    /// Format 2 is read too (`CheckpointFormat2`).
    [<Literal>]
    let Format = 3

    [<Literal>]
    let FormatName = "sdac-checkpoint/"

    /// Each layer's weight and bias is a tensor of its own ("policy.layer0.weight"), so that other programs can read them.
    let slices (name: string) (p: Params) =
        let flat = Tensors.toArray p.Flat

        [ for slice in p.Layout ->
              let size = List.fold (*) 1 slice.Shape

              Safetensors.ofFloat32
                  $"{name}.{slice.Name}"
                  (List.map int64 slice.Shape)
                  (Array.sub flat slice.Offset size) ]

    let moments (name: string) (a: AdamState) =
        let vector part (t: Tensor) = Safetensors.ofFloat32 $"{name}.adam.{part}" [ t.numel () ] (Tensors.toArray t)

        [ vector "m" a.M; vector "v" a.V; Safetensors.ofInt64 $"{name}.adam.count" [ 1L ] [| a.Count |] ]

    /// Every leaf of a step's state, and of its stages' own, under its name. Without `rows`, what is aligned to the replay memory is
    /// left empty.
    let training (rows: bool) (step: Step<'s, 'w>) : TensorSource list =
        let found = ResizeArray<TensorSource>()

        let write =
            { new IVisit with
                member _.Params(name, value) =
                    found.AddRange(slices name value)
                    value

                member _.Adam(name, value) =
                    found.AddRange(moments name value)
                    value

                member _.Float(name, value) =
                    found.Add(Safetensors.ofFloat64 name [ 1L ] [| value |])
                    value

                member _.Int(name, value) =
                    found.Add(Safetensors.ofInt64 name [ 1L ] [| value |])
                    value

                member _.Numbers(name, value) =
                    found.Add(Safetensors.ofFloat64 name [ value.LongLength ] value)
                    value

                // Whole: the rows that change between two checkpoints lie in nearly all chunks (100 batches of 256 touch 96 %
                // of the 7,813 chunks of a million rows), so that writing the changed ones would save nothing.
                member _.Rows(name, value) =
                    let value = if rows then value else Column.Empty(value.Width, 0L)

                    found.Add(
                        Safetensors.ofFloat32 $"{name}.rows" [ int64 value.Count; int64 value.Width ] (value.ToArray())
                    )

                    found.Add(Safetensors.ofInt64 $"{name}.first" [ 1L ] [| value.First |])
                    value }

        Round.parts step.Agent write struct (step.State, step.Own) |> ignore
        List.ofSeq found

    /// What a file of networks says of itself.
    let header (spec: Spec) (step: Step<'s, 'w>) : (string * string) list =
        let task = step.Environment.Spec

        [ "format", $"{FormatName}{Format}"
          "algorithm", spec.Algorithm
          "task", step.Environment.Task
          "iteration", string step.Iteration
          "envSteps", string step.EnvSteps
          "spec", Spec.print (Spec.planned spec)
          PolicyMetadata.Key, step.Agent.Form step.State |> PolicyMetadata.ofForm task.ActionLow task.ActionHigh ]

    let environments (states: EnvStates) =
        let n = int64 states.Count

        let numbers name (values: float[]) = Safetensors.ofFloat64 $"env.{name}" [ n; values.LongLength / n ] values

        let words = MemoryMarshal.Cast<PhiloxKey, uint32>(states.Keys).ToArray()

        [ Safetensors.ofMemory "env.keys" U32 [ n; 4L ] (ReadOnlyMemory words)
          numbers "physics" (states.Physics.ToArray())
          numbers "obs" (states.Observations.ToArray())
          numbers "measures" (states.Measures.ToArray())
          numbers "returns" (states.Returns.ToArray())
          Safetensors.ofMemory "env.elapsed" I32 [ n ] (ReadOnlyMemory(states.Elapsed.ToArray()))
          Safetensors.ofInt64 "env.episodes" [ n ] (states.Episodes.ToArray()) ]

    let sizes (step: Step<'s, 'w>) : MemorySizes =
        { Environments = step.Environment.Count
          ObsDim = step.Agent.Space.ObsDim
          ActionDim = step.Agent.Space.ActionDim
          Extras = step.Agent.Extras }
