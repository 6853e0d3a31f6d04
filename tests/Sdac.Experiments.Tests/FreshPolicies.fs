/// Policies of every algorithm with fresh networks, for tests of what acts.
module Sdac.Experiments.Tests.FreshPolicies

open System
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open TorchSharp

/// A policy of an algorithm with fresh networks: as data, and what its agent does in an evaluation with a key, in the task's range.
type Fresh =
    { Form: Result<PolicyForm, string>
      Space: Space
      Act: Key -> int -> float32[] -> float32[]
      Free: unit -> unit }

/// Hopper's sizes: three actions, in [-1, 1].
let task =
    lazy
        (use environment = Environment.create "Hopper-v4" Map.empty 1
         environment.Spec)

/// Networks of these settings, moved from their start, where biases are zero and twins alike.
let fresh (spec: Spec) : Fresh =
    (Spec.algorithm standard "" spec.Algorithm).Open
        { new IOpen<Fresh> with
            member _.Open algorithm =
                let e = Spec.experiment Environment.suite algorithm spec
                let space = { ObsDim = task.Value.ObsDim; ActionDim = task.Value.ActionDim }
                let agent = algorithm.Agent Compute.cpu space { Iterations = 100L } e.Config
                let start = agent.Init(Key.ofSeed 5L)

                let moved =
                    { new IVisit with
                        member _.Params(name, p) =
                            let key = name |> Seq.fold (fun key c -> Key.foldIn (int64 c) key) (Key.ofSeed 6L)
                            let noise = Key.normal Compute.cpu (Tensors.shape p.Flat) key
                            Params.withFlat (p.Flat.add (noise, Scalars.ofFloat 0.05)) p

                        member _.Adam(_, value) = value
                        member _.Float(_, value) = value
                        member _.Int(_, _) = 7L
                        member _.Rows(_, value) = value

                        member _.Numbers(name, value) =
                            value
                            |> Array.mapi (fun i x -> if name.EndsWith "variance" then 1.0 + 0.1 * float i else x + 0.3) }

                let state = agent.Parts moved start

                let act key states (obs: float32[]) =
                    use _ = torch.NewDisposeScope()
                    let obs = Tensors.ofArray Compute.cpu [ states; space.ObsDim ] obs
                    let actions = (agent.Act Purpose.Evaluate state key obs).Action |> Tensors.toArray
                    actions |> Array.map (fun a -> Math.Clamp(a, -1.0f, 1.0f))

                let free () =
                    Parts.dispose agent.Parts state
                    Parts.dispose agent.Parts start

                { Form = agent.Form state; Space = space; Act = act; Free = free } }

/// The settings that a test looks at, with networks small in all that costs time.
let small (spec: Spec) : Spec =
    [ "hidden", "[12, 12]"
      "criticHidden", "[10]"
      "chain.timesteps", "4"
      "diffusion.timesteps", "4"
      "timesteps", "4" ]
    |> List.fold
        (fun spec (key, value) ->
            try
                setTo spec key value |> SpecCheck.validate standard "test"
            with :? UserError ->
                spec)
        spec

/// All forms of policies: each preset, and settings that none of them has.
let forms () : (string * Spec) list =
    let changed (algorithm: string) (settings: (string * string) list) =
        let spec = List.fold (fun spec (key, value) -> setTo spec key value) (preset algorithm "tiny") settings
        let words = settings |> List.map (fun (key, value) -> $"{key} {value}") |> String.concat ", "
        $"{algorithm} with {words}", spec

    [ for algorithm, name, spec in presets -> $"{algorithm} {name}", spec ]
    @ [ changed
            "sdac"
            [ "policyLayerNorm", "1e-5"
              "criticLayerNorm", "1e-3"
              "networks.activation", "gelu"
              "qReduction", "mean" ]
        changed "sdac" [ "qReduction", "mean" ]
        changed "sdac" [ "networks.activation", "elu"; "criticActivation", "relu"; "actsBy", "online" ]
        changed "sac" [ "evaluationParticles", "5" ]
        changed "td3" [ "evaluationParticles", "5" ]
        changed "dipo" [ "quietEvaluation", "true" ]
        changed "idql" [ "evaluation", "best"; "evaluationParticles", "3"; "evaluationDeviation", "0.3" ] ]
    |> List.map (fun (name, spec) -> name, small spec)

/// Numbers for so many observations of this width, in [-1, 1].
let observations (states: int) (width: int) =
    let random = Random 3
    Array.init (states * width) (fun _ -> float32 (2.0 * random.NextDouble() - 1.0))
