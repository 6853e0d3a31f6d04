namespace Sdac.Experiments

open System
open System.Collections.Concurrent
open System.Text.Json
open System.Text.Json.Nodes
open System.Text.Json.Serialization
open Microsoft.FSharp.Reflection
open Sdac.Functional

/// A literal as the JSON it is.
type internal SettingValueConverter() =
    inherit JsonConverter<SettingValue>()

    override _.Read(reader, _, _) =
        match JsonNode.Parse(&reader) with
        | null -> SettingValue "null"
        | node -> SettingValue(node.ToJsonString())

    override _.Write(writer, SettingValue text, _) = writer.WriteRawValue text

/// An algorithm's settings as JSON, where their type is not known.
[<Struct>]
type ConfigJson = ConfigJson of text: string

/// The settings as the JSON they are.
type internal ConfigJsonConverter() =
    inherit JsonConverter<ConfigJson>()

    override _.Read(reader, _, _) =
        match JsonNode.Parse(&reader) with
        | null -> ConfigJson "null"
        | node -> ConfigJson(node.ToJsonString())

    override _.Write(writer, ConfigJson text, options) =
        match JsonNode.Parse text with
        | null -> writer.WriteNullValue()
        | node -> node.WriteTo(writer, options)

/// The types of settings as JSON has them, and what they are called for people.
module internal JsonTypes =
    let camel (name: string) = JsonNamingPolicy.CamelCase.ConvertName name

    let isOption (ty: Type) = ty.IsGenericType && ty.GetGenericTypeDefinition() = typedefof<option<_>>

    let isSequence (ty: Type) = ty.IsArray || (ty.IsGenericType && ty.GetGenericTypeDefinition() = typedefof<list<_>>)

    let elementOf (ty: Type) =
        if ty.IsArray then
            ty.GetElementType() |> Option.ofObj |> Option.defaultValue typeof<obj>
        else
            ty.GetGenericArguments()[0]

    // reflection is slow, and a specification asks for the same types again and again
    let remembered (compute: Type -> 'a) : Type -> 'a =
        let known = ConcurrentDictionary<Type, 'a>()
        fun ty -> known.GetOrAdd(ty, compute)

    let isRecord: Type -> bool = remembered (fun ty -> FSharpType.IsRecord ty)

    let isUnion: Type -> bool =
        remembered (fun ty ->
            FSharpType.IsUnion ty
            && ty <> typeof<SettingValue>
            && ty <> typeof<ConfigJson>
            && not (isOption ty)
            && not (isSequence ty))

    let isMap (ty: Type) = ty.IsGenericType && ty.GetGenericTypeDefinition() = typedefof<Map<_, _>>

    let fieldsOf: Type -> (string * Type)[] =
        remembered (fun ty ->
            FSharpType.GetRecordFields ty |> Array.map (fun field -> camel field.Name, field.PropertyType))

    let below path name = if path = "" then name else $"{path}.{name}"

    /// The cases of a union as they are written.
    let cases (ty: Type) : string list =
        [ for case in FSharpType.GetUnionCases ty ->
              match case.GetFields() with
              | [||] -> camel case.Name
              | [| _ |] -> $"{{\"{camel case.Name}\": VALUE}}"
              | _ -> $"{{\"{camel case.Name}\": ...}}" ]

    /// The sentence about an unknown setting: what it means by another library's name, else the nearest.
    /// A kind of value as a user writes it, in words: "whole number", "list of whole numbers".
    let rec kind (ty: Type) : string =
        if ty = typeof<int> || ty = typeof<int64> then "whole number"
        elif ty = typeof<float> then "number"
        elif ty = typeof<bool> then "true or false"
        elif ty = typeof<string> then "text"
        elif isOption ty then $"{kind (elementOf ty)} or null"
        elif isSequence ty then $"list of {kind (elementOf ty)}s"
        elif FSharpType.IsUnion ty then cases ty |> String.concat ", "
        else ty.Name

    /// A value of the kind, for those who have written another one.
    let rec example (ty: Type) : string =
        if isOption ty then
            example (elementOf ty)
        elif isSequence ty then
            (if elementOf ty = typeof<int> then "[64,64]" else $"[{example (elementOf ty)}]")
        elif ty = typeof<int> || ty = typeof<int64> then
            "64"
        elif ty = typeof<float> then
            "0.5"
        elif ty = typeof<bool> then
            "true"
        else
            "\"text\""

    let isPlain (ty: Type) =
        let rec plain ty =
            List.contains ty [ typeof<int>; typeof<int64>; typeof<float>; typeof<bool>; typeof<string> ]
            || (isSequence ty && plain (elementOf ty))

        plain ty
