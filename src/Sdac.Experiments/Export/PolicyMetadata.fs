namespace Sdac.Experiments

open System.Text.Json.Nodes
open Sdac.Functional
open Sdac.Environments
open Sdac.Kernels

/// The policy of a checkpoint in its metadata, for programs that read it: what is done with its tensors to act. `policy.py` beside
/// this file reads it.
[<RequireQualifiedAccess>]
module PolicyMetadata =
    /// The key in a checkpoint's metadata.
    [<Literal>]
    let Key = "policy"

    let private number (value: float) : JsonNode = JsonValue.Create value
    let private whole (value: int) : JsonNode = JsonValue.Create value
    let private truth (value: bool) : JsonNode = JsonValue.Create value
    let private text (value: string) : JsonNode = nonNull (JsonValue.Create value)
    let private list (items: JsonNode list) : JsonNode = JsonArray [| for item in items -> (item: JsonNode | null) |]
    let private numbers (values: float seq) : JsonNode = values |> Seq.map number |> List.ofSeq |> list

    let private group (members: (string * JsonNode) list) : JsonNode =
        JsonObject(members |> Seq.map (fun (name, value) -> System.Collections.Generic.KeyValuePair(name, value)))

    let private activation (a: Activation) = text ((string a).ToLowerInvariant())

    let private layers (leaf: string) (l: FormLayers) : JsonNode =
        group
            [ "prefix", text $"{leaf}.{l.Prefix}"
              "layers", whole l.Shape.LayerCount
              "hidden", activation l.Shape.Hidden
              "output", activation l.Shape.Output
              if l.Shape.LayerNormEpsilon.HasValue then
                  "norm", number (float l.Shape.LayerNormEpsilon.Value)
              "before", activation l.Before
              "skip", truth l.Skip ]

    let private network (n: FormNetwork) : JsonNode = n.Pieces |> List.map (layers n.Leaf) |> list

    let private time (leaf: string) (t: FormTime) : JsonNode =
        group
            [ match t.Features with
              | TimeFeatures.Waves(count, scaleBase, span, scale) ->
                  "count", whole count
                  "base", number scaleBase
                  "span", number span
                  "scale", number scale
              | TimeFeatures.Trained _ -> "frequencies", text $"{leaf}.{t.Frequencies}"
              "network", t.Layers |> Option.toList |> List.map (layers leaf) |> list
              "at", numbers t.At ]

    let private chain (c: FormChain) : JsonNode =
        group
            [ "scale", number c.InitialScale
              "steps", list [ for s in c.Steps -> numbers [ s.OfState; s.OfOutput; s.OfEstimate; s.Kept; s.Spread ] ]
              "clipsEstimate", truth c.ClipsEstimate
              "clipsState", truth c.ClipsState
              match c.NoiseClip with
              | Some clip -> "noiseClip", number clip
              | None -> ()
              "times", c.Times |> List.map (time c.Network.Leaf) |> list ]

    let private spread (s: FormSpread) : (string * JsonNode) list =
        let outputs smooth low high =
            [ "logStd", group [ "low", number low; "high", number high; "smooth", truth smooth ] ]

        match s with
        | FormSpread.Mode -> []
        | FormSpread.Constant deviation -> [ "deviation", number deviation ]
        | FormSpread.Outputs(LogStd.Clipped(low, high)) -> outputs false low high
        | FormSpread.Outputs(LogStd.Smooth(low, high)) -> outputs true low high

    let private finish (e: FormEnd) = "end", text ((string e).ToLowerInvariant())

    let private candidates (c: FormCandidates) : (string * JsonNode) list =
        match c with
        | FormCandidates.Direct(net, deviation, last) -> [ "network", network net; finish last ] @ spread deviation
        | FormCandidates.Chain c -> [ "network", network c.Network; "chain", chain c; finish c.End ]

    /// The policy, or why there is none, as JSON on one line.
    let ofForm (low: float seq) (high: float seq) (form: Result<PolicyForm, string>) : string =
        let node =
            match form with
            | Error why -> group [ "none", text why ]
            | Ok form ->
                group
                    [ "version", whole 1
                      "low", numbers low
                      "high", numbers high
                      "particles", whole form.Particles
                      match form.Moments with
                      | Some m ->
                          "moments",
                          group
                              [ "mean", text $"{m.Leaf}.mean"
                                "variance", text $"{m.Leaf}.variance"
                                "clip", number m.Clip ]
                      | None -> ()
                      yield! candidates form.Candidates
                      match form.Critics with
                      | Some critics ->
                          "critics", critics.Networks |> List.map network |> list
                          "reduction", text ((string critics.Reduction).ToLowerInvariant())
                      | None -> () ]

        node.ToJsonString()
