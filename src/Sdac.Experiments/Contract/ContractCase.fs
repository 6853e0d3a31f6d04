namespace Sdac.Experiments

open System
open Sdac.Functional
open TorchSharp

/// A clause of the contract that an algorithm breaks.
type ContractBroken(sentence: string) =
    inherit Exception(sentence)

/// An algorithm and the small settings with which it is held to the contract: its preset "tiny", or else its first one.
[<NoComparison; NoEquality>]
type internal ContractCase<'config, 'state, 'work> =
    { Algorithm: Algorithm<'config, 'state, 'work>; Preset: Preset<'config> }

/// What the clauses are made of.
[<RequireQualifiedAccess>]
module internal ContractCase =
    let broken (sentence: string) : 'a = raise (ContractBroken sentence)

    let require (holds: bool) (sentence: string) =
        if not holds then
            broken sentence

    let ofAlgorithm (algorithm: Algorithm<'c, 's, 'w>) : ContractCase<'c, 's, 'w> =
        match algorithm.Presets |> List.tryFind (fun preset -> preset.Name = "tiny") with
        | Some tiny -> { Algorithm = algorithm; Preset = tiny }
        | None when algorithm.Presets.IsEmpty ->
            broken $"{algorithm.Name} has no preset: give it one called tiny, for a run of seconds"
        | None -> { Algorithm = algorithm; Preset = List.head algorithm.Presets }

    let agentOn (compute: Compute) (case: ContractCase<'c, 's, 'w>) : Agent<'s, 'w> =
        case.Algorithm.Agent compute ContractTask.space { Iterations = case.Preset.Iterations } case.Preset.Config

    /// The beginning of a run on the contract's task, with a warm memory.
    let beginOn (compute: Compute) (task: Sdac.Environments.ITask) (seed: int64) (case: ContractCase<'c, 's, 'w>) =
        let agent = agentOn compute case
        let environment = new Environment(task, agent.Rhythm.Environments)
        Round.init agent environment seed |> Round.warm

    /// The same with our kernels, on episodes of one step.
    let start (seed: int64) (case: ContractCase<'c, 's, 'w>) : Step<'s, 'w> =
        beginOn Compute.cpu (ContractTask.create 1 true) seed case

    /// Works with a run and frees it.
    let using (step: Step<'s, 'w>) (work: Step<'s, 'w> -> 'a) : 'a =
        try
            work step
        finally
            Round.dispose step

    /// So many iterations further. The given step's tensors that the new one lacks are freed.
    let advance (count: int) (step: Step<'s, 'w>) : Step<'s, 'w> =
        Seq.fold (fun step _ -> Round.consume Pipeline.standard step) step (seq { 1..count })

    /// So many rounds further.
    let rounds (count: int) (step: Step<'s, 'w>) : Step<'s, 'w> =
        let target = step.Iteration + int64 (count * step.Agent.Rhythm.Updates)
        let mutable step = step

        while step.Iteration < target do
            step <- Round.consume Pipeline.standard step

        step

    /// Every leaf of a state by its name, as the bits that a checkpoint would hold.
    let leaves (parts: Parts<'s>) (state: 's) : (string * float[]) list =
        let found = ResizeArray()
        let bits (t: Tensor) = Tensors.toArray t |> Array.map float

        let look =
            { new IVisit with
                member _.Params(name, value) =
                    found.Add(name, bits value.Flat)
                    value

                member _.Adam(name, value) =
                    found.Add($"{name}.adam", Array.concat [ bits value.M; bits value.V; [| float value.Count |] ])
                    value

                member _.Float(name, value) =
                    found.Add(name, [| value |])
                    value

                member _.Int(name, value) =
                    found.Add(name, [| float value |])
                    value

                member _.Numbers(name, value) =
                    found.Add(name, value)
                    value

                member _.Rows(name, value) =
                    found.Add(name, [| float value.First; yield! Array.map float (value.ToArray()) |])
                    value }

        parts look state |> ignore
        List.ofSeq found

    let leavesOf (step: Step<'s, 'w>) = leaves step.Agent.Parts step.State

    /// Bits are compared as such: NaN equals NaN.
    let sameBits (a: float[]) (b: float[]) =
        a.Length = b.Length
        && Array.forall2
            (fun (x: float) (y: float) -> BitConverter.DoubleToInt64Bits x = BitConverter.DoubleToInt64Bits y)
            a
            b

    /// The names of the leaves in which two states differ.
    let differing (a: (string * float[]) list) (b: (string * float[]) list) : string list =
        List.zip a b
        |> List.filter (fun ((_, x), (_, y)) -> not (sameBits x y))
        |> List.map (fun ((name, _), _) -> name)

    /// Native tensors alive, once those that nothing holds are freed.
    let liveTensors () : int64 =
        GC.Collect()
        GC.WaitForPendingFinalizers()
        torch.Tensor.TotalCount
