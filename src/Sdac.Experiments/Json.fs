namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Text.Encodings.Web
open System.Text.Json
open System.Text.Json.Nodes
open System.Text.Json.Serialization
open Microsoft.FSharp.Reflection
open Sdac.Functional
open Sdac.Experiments.JsonTypes

/// Records and unions as JSON. Reading is strict about names, lenient about what is left out: a field that is not given keeps
/// its value from a complete example, and an unknown one is a Settings failure that names the nearest valid one.
[<RequireQualifiedAccess>]
module Json =
    /// Numbers in their shortest form that reads back to the same bits, names in camel case, cases without data as plain texts.
    let options =
        let options =
            JsonSerializerOptions(WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase)

        options.Encoder <- JavaScriptEncoder.UnsafeRelaxedJsonEscaping
        options.NumberHandling <- JsonNumberHandling.AllowNamedFloatingPointLiterals

        let encoding =
            JsonUnionEncoding.ExternalTag
            ||| JsonUnionEncoding.NamedFields
            ||| JsonUnionEncoding.UnwrapFieldlessTags
            ||| JsonUnionEncoding.UnwrapSingleFieldCases
            ||| JsonUnionEncoding.UnwrapOption

        options.Converters.Add(SettingValueConverter())
        options.Converters.Add(ConfigJsonConverter())
        options.Converters.Add(JsonFSharpConverter(encoding, unionTagNamingPolicy = JsonNamingPolicy.CamelCase))
        options

    let private compactOptions = JsonSerializerOptions(options, WriteIndented = false)

    /// A value as indented JSON.
    let print (value: 'a) = JsonSerializer.Serialize(value, options)

    /// A value as JSON on one line.
    let compact (value: 'a) : string = JsonSerializer.Serialize(value, compactOptions)

    let private tree (value: 'a) =
        JsonSerializer.SerializeToNode(value, options)
        |> Option.ofObj
        |> Option.defaultWith (fun () -> JsonObject())

    let private settings text = Errors.fail (Settings text)

    let private at path = if path = "" then "" else $"'{path}' in "

    /// A map to texts; values of other kinds stand for their JSON text: {"reset_noise_scale": 0.2}.
    let private texts (given: JsonObject) : JsonObject =
        let result = JsonObject()

        for pair in given do
            result[pair.Key] <-
                match pair.Value with
                | null -> JsonValue.Create "null" :> JsonNode | null
                | :? JsonValue as value when value.GetValueKind() = JsonValueKind.String -> value.DeepClone()
                | value -> JsonValue.Create(value.ToJsonString())

        result

    let private unknownSetting (place: string) (name: string) (valid: string list) : string =
        match Synonyms.tryFind name valid with
        | Some meant -> $"unknown setting '{name}' in {place}: did you mean '{meant}'?"
        | None -> Errors.unknown "setting" name place valid

    /// Refuses a value that is not of a plain kind, naming the right one.
    let private checkKind (place: string) (path: string) (ty: Type) (given: JsonNode) =
        let fits =
            try
                JsonSerializer.Deserialize(given, ty, options) |> ignore
                true
            with
            | :? JsonException
            | :? FormatException
            | :? InvalidOperationException -> false

        let article (kind: string) = if kind.StartsWith("true", StringComparison.Ordinal) then kind else $"a {kind}"

        if not fits then
            let name = if path = "" then "it" else path.Substring(path.LastIndexOf '.' + 1)

            settings
                $"{place} has a value of the wrong kind: {name} is {article (kind ty)}, such as {example ty}, and not {given.ToJsonString()}"

    /// A list with null in it, of which there is another sentence.
    let private holdsNull (given: JsonNode) =
        match given with
        | :? JsonArray as items -> Seq.exists isNull items
        | _ -> false

    /// Lays `given` over `complete` along the type, refusing names that the type does not have.
    let rec private overlay
        (place: string)
        (path: string)
        (ty: Type)
        (complete: JsonNode | null)
        (given: JsonNode | null)
        : JsonNode | null =
        match given with
        | :? JsonObject as given when isRecord ty -> overlayRecord place path ty complete given
        | null when isOption ty || ty = typeof<SettingValue> -> null
        | null -> settings $"{at path}{place} is null: give it a value, or leave it out"
        | given when isRecord ty ->
            settings $"{at path}{place} must be an object with named fields, not {given.ToJsonString()}"
        | :? JsonObject as given when ty = typeof<Map<string, string>> -> texts given
        | :? JsonObject as given when isMap ty ->
            let value = ty.GetGenericArguments()[1]
            let result = JsonObject()

            for pair in given do
                result[pair.Key] <- overlay place (below path pair.Key) value null pair.Value

            result
        | given when isMap ty ->
            settings $"{at path}{place} must be an object, a name before each value, not {given.ToJsonString()}"
        | given when isOption ty -> overlay place path (ty.GetGenericArguments()[0]) null given
        | given when isUnion ty ->
            checkCase place path ty given
            given.DeepClone()
        | given when isPlain ty && not (holdsNull given) ->
            checkKind place path ty given
            given.DeepClone()
        | :? JsonArray as given when isSequence ty ->
            JsonArray([| for i, item in Seq.indexed given -> overlay place $"{path}[{i}]" (elementOf ty) null item |])
        // bytes are a text
        | given when isSequence ty && ty <> typeof<byte[]> ->
            settings $"{at path}{place} must be a list, not {given.ToJsonString()}"
        | given -> given.DeepClone()

    and private overlayRecord place path ty complete given =
        let fields = fieldsOf ty
        let result = JsonObject()

        match complete with
        | :? JsonObject as complete ->
            for pair in complete do
                result[pair.Key] <-
                    (match pair.Value with
                     | null -> null
                     | value -> value.DeepClone())
        | _ -> ()

        for pair in given do
            match fields |> Array.tryFind (fun (name, _) -> name = pair.Key) with
            | Some(name, fieldType) -> result[name] <- overlay place (below path name) fieldType result[name] pair.Value
            | None ->
                let where = if path = "" then place else $"'{path}' of {place}"
                settings (unknownSetting where pair.Key (List.ofArray (Array.map fst fields)))

        result

    and private checkCase place path ty given =
        let cases = FSharpType.GetUnionCases ty |> Array.map (fun case -> camel case.Name, case.GetFields())

        let find name =
            match cases |> Array.tryFind (fun (case, _) -> case = name) with
            | Some(_, fields) -> fields
            | None ->
                let names = String.Join(", ", cases |> Array.map (fun (case, _) -> $"'{case}'"))
                settings $"unknown choice '{name}' in '{path}' of {place}: it must be one of {names}"

        // The sentence that says how a case is written.
        let form name (fields: string[]) =
            let written =
                match fields with
                | [||] -> $"\"{name}\""
                | [| _ |] -> $"{{\"{name}\": VALUE}}"
                | _ ->
                    let values = fields |> Array.map (fun field -> $"\"{field}\": VALUE") |> String.concat ", "
                    $"{{\"{name}\": {{{values}}}}}"

            $"'{path}' of {place}: write {name} as {written}"

        match given with
        | :? JsonObject as given when given.Count = 1 ->
            let pair = Seq.head given
            let fields = find pair.Key

            let names = fields |> Array.map (fun field -> camel field.Name)

            match pair.Value with
            | :? JsonObject as inner when fields.Length > 1 ->
                for field in inner do
                    if not (Array.contains field.Key names) then
                        settings (Errors.unknown "setting" field.Key $"'{path}.{pair.Key}' of {place}" names)

                if inner.Count < fields.Length then
                    settings (form pair.Key names)
            | inner when fields.Length = 1 ->
                overlay place $"{path}.{pair.Key}" fields[0].PropertyType null inner |> ignore
            | _ -> settings (form pair.Key names)
        | :? JsonValue as given when given.GetValueKind() = JsonValueKind.String ->
            let name = given.GetValue<string>()
            let fields = find name

            if fields.Length > 0 then
                settings (form name (fields |> Array.map (fun field -> camel field.Name)))
        | _ ->
            let names = String.Join(", ", Array.map fst cases)
            settings $"{at path}{place} must name one of {names}"

    /// The part of a System.Text.Json message that a user can use: where in the document.
    let private whereIn (error: JsonException) =
        match error.Path with
        | null
        | ""
        | "$" -> ""
        | path -> $" at '{path.TrimStart('$', '.')}'"

    let private materialise<'a> (place: string) (node: JsonNode | null) : 'a =
        try
            match JsonSerializer.Deserialize(node, typeof<'a>, options) with
            | null -> settings $"{place} is empty: give a JSON object"
            | value -> unbox<'a> value
        with
        | :? JsonException as error ->
            settings $"{place} has a value of the wrong kind{whereIn error}: compare with a printed specification"
        | :? FormatException
        | :? InvalidOperationException ->
            settings $"{place} has a value of the wrong kind: compare with a printed specification"

    /// Reads a value from JSON text; what the text leaves out is taken from `complete`. `place` names the text in messages.
    let parseOver (place: string) (complete: 'a) (text: string) : 'a =
        JsonText.checkUnicode place text
        JsonText.parse place text |> overlay place "" typeof<'a> (tree complete) |> materialise place

    /// The settings of a record, by path, that the text leaves out; no setting has a part that is left out but not itself named.
    let missing (place: string) (complete: 'a) (text: string) : (string * string) list =
        let shown (node: JsonNode | null) =
            match node with
            | null -> "null"
            | node -> node.ToJsonString()

        let rec missingIn path (ty: Type) (complete: JsonNode | null) (given: JsonNode | null) =
            match complete, given with
            | (:? JsonObject as complete), (:? JsonObject as given) when isRecord ty ->
                [ for name, fieldType in fieldsOf ty do
                      if given.ContainsKey name then
                          yield! missingIn (below path name) fieldType complete[name] given[name]
                      else
                          yield below path name, shown complete[name] ]
            | _ -> []

        missingIn "" typeof<'a> (tree complete) (JsonText.parse place text)

    /// Reads plain JSON as a tree.
    let parseNode (place: string) (text: string) =
        JsonText.checkUnicode place text
        JsonText.parse place text

    /// The settings in which two values differ, by path, with both their texts.
    let differences (a: 'a) (b: 'a) : (string * string * string) list =
        let text (node: JsonNode | null) =
            match node with
            | null -> "nothing"
            | node -> node.ToJsonString compactOptions

        let rec compare path (a: JsonNode | null) (b: JsonNode | null) =
            match a, b with
            | (:? JsonObject as a), (:? JsonObject as b) ->
                let names = Seq.append a b |> Seq.map _.Key |> Seq.distinct |> List.ofSeq
                names |> List.collect (fun name -> compare (below path name) a[name] b[name])
            | _ -> if JsonNode.DeepEquals(a, b) then [] else [ path, text a, text b ]

        compare "" (tree a) (tree b)

    /// Every setting of a record type, with nested ones as "outer.inner".
    let rec paths (ty: Type) : string list =
        [ for name, fieldType in fieldsOf ty do
              yield name

              if FSharpType.IsRecord fieldType then
                  yield! paths fieldType |> List.map (below name) ]

    /// The settings of a record type that have a value of their own: a record's path only leads to others.
    let rec fields (ty: Type) : (string * Reflection.PropertyInfo) list =
        [ for field in FSharpType.GetRecordFields ty do
              if FSharpType.IsRecord field.PropertyType then
                  for path, leaf in fields field.PropertyType do
                      below (camel field.Name) path, leaf
              else
                  camel field.Name, field ]

    /// Their paths.
    let leaves (ty: Type) : string list = fields ty |> List.map fst

    /// The shortest end of a path that no other of the paths has, such as "learningRate" or "critics.learningRate": what it is
    /// called by wherever there is no room for all of it.
    let shortest (all: string list) (path: string) : string =
        let parts = path.Split '.'

        let ends (name: string) (other: string) = other = name || other.EndsWith("." + name, StringComparison.Ordinal)

        seq { for from in parts.Length - 1 .. -1 .. 0 -> String.Join('.', parts[from..]) }
        |> Seq.tryFind (fun name -> all |> List.forall (fun other -> other = path || not (ends name other)))
        |> Option.defaultValue path

    /// The full path meant by "gamma" or "algorithm.gamma": a last part that occurs once is enough, and one that names a value
    /// is meant before one that names a group of them.
    let private resolve (place: string) (ty: Type) (key: string) =
        let all = paths ty

        if List.contains key all then
            key
        else
            let ends (path: string) = path.EndsWith("." + key, StringComparison.Ordinal)
            let values = leaves ty |> List.filter ends

            match (if values.IsEmpty then List.filter ends all else values) with
            | [ path ] -> path
            | [] ->
                // what a setting is called; groups of them by their paths
                let own = leaves ty
                let names = List.map (shortest own) own
                settings (unknownSetting place key names)
            | several ->
                let candidates = String.Join(", ", several)
                settings $"setting '{key}' is ambiguous: say which of {candidates}"

    /// A value from the command line: JSON where it is JSON, a text otherwise.
    let private literal (place: string) (text: string) : JsonNode | null =
        try
            JsonNode.Parse(text, documentOptions = JsonDocumentOptions(AllowDuplicateProperties = false))
        with :? JsonException as error ->
            if (JsonText.duplicate text).IsSome then
                settings $"{place} {JsonText.problem text error}"

            JsonValue.Create text

    /// Changes one setting, `key` being its path or its unambiguous last part, `text` its new value. `place` names their origin in
    /// messages.
    let setFrom (place: string) (complete: 'a) (key: string) (text: string) : 'a =
        let path = resolve place typeof<'a> key
        let names = path.Split '.'

        let nest (name: string) (inner: JsonNode | null) : JsonNode | null = JsonObject([ KeyValuePair(name, inner) ])

        let assignment = $"{place} {key}={text}"
        let change = Array.foldBack nest names (literal assignment text)
        overlay assignment "" typeof<'a> (tree complete) change |> materialise assignment

    /// Changes one setting as the command line's --set says.
    let set (complete: 'a) (key: string) (text: string) : 'a = setFrom "--set" complete key text
