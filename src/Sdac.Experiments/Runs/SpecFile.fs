namespace Sdac.Experiments

open System
open System.IO
open System.Text.Json.Nodes
open Sdac.Functional

/// Specifications as text: of --config, of spec.json and of checkpoints, in this version's layout and in older ones.
[<RequireQualifiedAccess>]
module SpecFile =
    /// The text in this version's layout, and the algorithm that it means where it names none. A text of a newer one would be
    /// refused for its settings' names before its version.
    let private current (registry: Registry) (place: string) (text: string) : struct (string * string option) =
        let upgraded fields = struct (SpecSchema1.upgrade registry place fields, Some SpecSchema1.Standard)

        match Json.parseNode place text with
        | :? JsonObject as fields ->
            match fields["schema"] with
            | :? JsonValue as schema when schema.ToJsonString() = "1" -> upgraded fields
            | null when fields.ContainsKey "schema" -> SpecSchema1.refuseNull place "schema"
            | null when fields.ContainsKey "experiment" -> upgraded fields
            | :? JsonValue as schema when schema.ToJsonString() <> string Spec.Schema ->
                Errors.fail (
                    Settings $"{place} has schema {schema.ToJsonString()}; this version reads 1 and {Spec.Schema}"
                )
            | _ -> struct (text, None)
        | _ -> struct (text, None)

    /// The algorithm that a text names.
    let private named (place: string) (text: string) : string option =
        match Json.parseNode place text with
        | :? JsonObject as fields ->
            match fields["algorithm"] with
            | null when fields.ContainsKey "algorithm" -> SpecSchema1.refuseNull place "algorithm"
            | :? JsonValue as name when name.GetValueKind() = Text.Json.JsonValueKind.String -> Some(name.GetValue())
            | null -> None
            | other ->
                Errors.fail (
                    Settings $"'algorithm' in {place} is {other.ToJsonString()}: write the name of one, in quotes"
                )
        | _ -> None

    /// All names of a tree's objects.
    let rec private namesIn (node: JsonNode | null) : string list =
        match node with
        | :? JsonObject as fields -> fields |> Seq.collect (fun field -> field.Key :: namesIn field.Value) |> List.ofSeq
        | _ -> []

    /// The paths among a task's options, whole: a run is taken up from any folder.
    let wholePaths (spec: Spec) : Spec =
        let whole (name: string) (value: string) =
            if name = "xml_file" && File.Exists value then Path.GetFullPath value else value

        { spec with TaskOptions = Map.map whole spec.TaskOptions }

    /// Reads a specification over a preset: of the algorithm that the text names, else of the one given. What the text leaves out
    /// is the preset's. `place` names the text in messages.
    let parse
        (registry: Registry)
        (place: string)
        (algorithmGiven: string option)
        (presetName: string)
        (text: string)
        : Spec =
        let struct (text, _) = current registry place text

        let name =
            match named place text, algorithmGiven with
            | Some named, Some given when named <> given ->
                Errors.fail (
                    Settings
                        $"{place} is about the algorithm {named}, but --algorithm says {given}: leave one of them out"
                )
            | Some named, _ -> named
            | None, Some given -> given
            | None, None -> (List.head (Registry.all registry)).Name

        let found = Spec.algorithm registry place name
        let complete = Spec.preset "--preset" presetName found

        found.Open
            { new IOpen<Spec> with
                member _.Open algorithm =
                    match Json.parseNode place text with
                    | :? JsonObject as fields -> Spec.refuseReplay place algorithm (namesIn fields["config"])
                    | _ -> ()

                    Json.parseOver place (Spec.typed algorithm complete) text |> Spec.erase }

    let rec private putMissing (names: string list) (published: JsonNode | null) (into: JsonNode | null) =
        match names, published, into with
        | [ name ], (:? JsonObject as published), (:? JsonObject as into) when not (into.ContainsKey name) ->
            into[name] <- published[name] |> Option.ofObj |> Option.map _.DeepClone() |> Option.toObj
        | name :: rest, (:? JsonObject as published), (:? JsonObject as into) when not rest.IsEmpty ->
            putMissing rest published[name] into[name]
        | _ -> ()

    /// Puts into a specification of today's layout the settings that were `Added` to its algorithm after it was written.
    let putAdded (registry: Registry) (algorithm: string) (fields: JsonObject) =
        match Registry.tryFind algorithm registry with
        | Some algorithm ->
            let published, added =
                algorithm.Open
                    { new IOpen<string * string list> with
                        member _.Open algorithm = Json.compact algorithm.Published, algorithm.Added }

            for path in added do
                putMissing (List.ofArray (path.Split '.')) (Json.parseNode algorithm.Name published) fields["config"]
        | None -> ()

    /// What specifications of this schema have not always had, as a run was without it.
    let putAddedFields (fields: JsonObject) =
        let added: (string * JsonNode option) list =
            [ "from", None; "keepEvery", Some(JsonValue.Create 10); "reseeded", Some(JsonObject()) ]

        for name, value in added do
            if not (fields.ContainsKey name) then
                fields[name] <- Option.toObj value

    let private withAdded (registry: Registry) (place: string) (algorithm: string) (text: string) : string =
        match Json.parseNode place text with
        | :? JsonObject as fields ->
            putAdded registry algorithm fields
            putAddedFields fields
            fields.ToJsonString()
        | _ -> text

    /// The text's specification over the published settings of its algorithm, and what the text leaves out though there was such
    /// a setting when it was written, by path, each with the value that it is given so. `place` names the text in messages.
    let private overPublished
        (registry: Registry)
        (place: string)
        (text: string)
        : struct (Spec * (string * string) list) =
        let struct (text, standard) = current registry place text

        let name =
            match named place text |> Option.orElse standard with
            | Some name -> name
            | None -> Errors.fail (Settings $"{place} lacks algorithm: put back what the run was begun with")

        let text = withAdded registry place name text

        (Spec.algorithm registry place name).Open
            { new IOpen<struct (Spec * (string * string) list)> with
                member _.Open algorithm =
                    // a specification that names no task has none
                    let complete = Experiment.on algorithm "" |> Spec.usual
                    let spec = Json.parseOver place complete text
                    struct (Spec.erase spec, Json.missing place spec text) }

    let private shown (path: string, value: string) =
        if value.StartsWith '{' || value = "\"\"" then
            path
        else
            $"{path} (published: {value})"

    /// Reads the specification that a run was made with; one that leaves something out is refused. `place` names the text in
    /// messages.
    let parseWhole (registry: Registry) (place: string) (text: string) : Spec =
        match overPublished registry place text with
        | struct (spec, []) -> spec
        | struct (_, missing) ->
            let missing = missing |> List.map shown |> String.concat ", "

            Errors.fail (
                Settings
                    $"{place} lacks {missing}: put back what the run was begun with, or train anew in another folder"
            )

    /// The specification that a checkpoint holds. An older version may have had fewer settings: the others were as published.
    let parseRecorded (registry: Registry) (place: string) (text: string) : Spec =
        let struct (spec, _) = overPublished registry place text
        spec

    /// The specification of a run folder, to go on with the run: all of it must be there.
    let ofRun (registry: Registry) (folder: RunFolder) : Spec =
        Files.readUtf8 folder.Spec
        |> parseWhole registry folder.Spec
        |> SpecCheck.validate registry folder.Spec
        |> SpecCheck.onKnownTask registry folder.Spec

    /// The specification of a run folder, to look at the run. What it leaves out is as published, each said in a sentence.
    let ofRunOrPublished (registry: Registry) (folder: RunFolder) : struct (Spec * string list) =
        let struct (spec, missing) = Files.readUtf8 folder.Spec |> overPublished registry folder.Spec

        if spec.Task = "" then
            Errors.fail (Settings $"{folder.Spec} lacks task: put back the task that the run was begun with")

        let said =
            missing
            |> List.map (fun setting -> $"{folder.Spec} lacks {shown setting}: what was published is used")

        struct (SpecCheck.validate registry folder.Spec spec |> SpecCheck.onKnownTask registry folder.Spec, said)
