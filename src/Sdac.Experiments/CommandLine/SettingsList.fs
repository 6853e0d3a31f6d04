namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.ComponentModel
open System.IO
open System.Reflection
open System.Text.Json.Nodes
open System.Text.RegularExpressions
open System.Xml.Linq
open Sdac.Functional

/// The settings of an algorithm as a table: name, type, value in a preset, meaning.
[<RequireQualifiedAccess>]
module SettingsList =
    /// The summaries of a library's documentation by member; none where the file is missing.
    let private summaries (assembly: Assembly) : IReadOnlyDictionary<string, string> =
        let path = string (Path.ChangeExtension(assembly.Location, ".xml"))
        let found = Dictionary<string, string>()

        if assembly.Location <> "" && File.Exists path then
            for entry in XDocument.Load(path).Descendants(XName.Get "member") do
                match entry.Attribute(XName.Get "name"), entry.Element(XName.Get "summary") with
                | NonNull name, NonNull summary -> found[name.Value] <- Regex.Replace(summary.Value, @"\s+", " ").Trim()
                | _ -> ()

        found

    /// What a field's documentation says, or its Description attribute: scripts have no documentation files.
    let private meaning (documented: Assembly -> IReadOnlyDictionary<string, string>) (field: PropertyInfo) : string =
        match field.GetCustomAttribute<DescriptionAttribute>(), field.DeclaringType with
        | NonNull described, _ -> described.Description
        | _, NonNull owner ->
            match (documented owner.Assembly).TryGetValue $"P:{owner.FullName}.{field.Name}" with
            | true, text -> text
            | _ -> ""
        | _ -> ""

    let private valueAt (root: JsonNode | null) (path: string) : string =
        let step (node: JsonNode | null) (name: string) : JsonNode | null =
            match node with
            | :? JsonObject as inner -> inner[name]
            | _ -> null

        match path.Split '.' |> Array.fold step root with
        | null -> "null"
        | node -> node.ToJsonString()

    let private rows (preset: Preset<'c>) : string list list =
        let known = Dictionary<Assembly, IReadOnlyDictionary<string, string>>()

        let documented (assembly: Assembly) =
            match known.TryGetValue assembly with
            | true, found -> found
            | _ ->
                let found = summaries assembly
                known[assembly] <- found
                found

        let values = Json.compact preset.Config |> Json.parseNode "the settings"

        let all = Json.leaves typeof<'c>

        [ for path, field in Json.fields typeof<'c> ->
              [ Json.shortest all path
                JsonTypes.kind field.PropertyType
                valueAt values path
                meaning documented field ] ]

    /// Prints the settings of an algorithm with the values of a preset.
    let print (registry: Registry) (algorithm: string) (preset: string) =
        let found = Spec.algorithm registry "--settings" algorithm
        Spec.preset "--preset" preset found |> ignore

        let rows =
            found.Open
                { new IOpen<string list list> with
                    member _.Open algorithm = algorithm.Presets |> List.find (fun p -> p.Name = preset) |> rows }

        Progress.table $"{found.Title}, preset {preset}" [ "setting"; "type"; "value"; "meaning" ] rows
