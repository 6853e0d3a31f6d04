namespace Sdac.Experiments

open System.Text.Json.Nodes
open Sdac.Functional

/// Specifications of schema 1, in which an experiment had a flat config for SDAC and DPMD alike, as schema 2.
[<RequireQualifiedAccess>]
module SpecSchema1 =
    /// The algorithm of a specification that names none.
    [<Literal>]
    let Standard = "sdac"

    /// A setting's last name to where it lies now.
    let private places (registry: Registry) (place: string) (name: string) : Map<string, string list> =
        match Registry.tryFind name registry with
        | None -> Errors.fail (Settings(Errors.unknown "algorithm" name place (Registry.names registry)))
        | Some algorithm ->
            algorithm.Open
                { new IOpen<Map<string, string list>> with
                    member _.Open(_: Algorithm<'c, 's, 'w>) =
                        Map
                            [ for path in Json.leaves typeof<'c> do
                                  let names = List.ofArray (path.Split '.')
                                  List.last names, names ] }

    let rec private put (names: string list) (value: JsonNode | null) (into: JsonObject) =
        match names with
        | [] -> ()
        | [ name ] -> into[name] <- value
        | name :: rest ->
            let inner =
                match into[name] with
                | :? JsonObject as inner -> inner
                | _ ->
                    let inner = JsonObject()
                    into[name] <- inner
                    inner

            put rest value inner

    let private copy (node: JsonNode | null) : JsonNode | null =
        match node with
        | null -> null
        | node -> node.DeepClone()

    /// Of SDAC alone; DPMD's specifications held them too, without effect.
    let private unusedByDpmd = set [ "monteCarloDraws"; "weights"; "reverseNoise" ]

    let private configOf (registry: Registry) (place: string) (algorithm: string) (old: JsonObject) : JsonObject =
        let places = places registry place algorithm
        let result = JsonObject()

        for pair in old do
            match pair.Key with
            | "algorithm" -> ()
            | name when algorithm = "dpmd" && unusedByDpmd.Contains name -> ()
            | name ->
                match Map.tryFind name places with
                | Some names -> put names (copy pair.Value) result
                | None -> Errors.fail (Settings(Errors.unknown "setting" name $"'config' of {place}" (Map.keys places)))

        result

    let refuseNull (place: string) (name: string) : 'a =
        Errors.fail (Settings $"'{name}' in {place} is null: give it a value, or leave it out")

    let private checkNull (place: string) (fields: JsonObject) (name: string) =
        if fields.ContainsKey name && isNull fields[name] then
            refuseNull place name

    /// A part with settings in it is an object.
    let private checkObject (place: string) (fields: JsonObject) (name: string) =
        checkNull place fields name

        match fields[name] with
        | null
        | :? JsonObject -> ()
        | other ->
            Errors.fail (
                Settings $"'{name}' in {place} must be an object with named fields, not {other.ToJsonString()}"
            )

    /// The same specification in schema 2. `place` names the text in messages.
    let upgrade (registry: Registry) (place: string) (old: JsonObject) : string =
        let result = JsonObject()
        result["schema"] <- JsonValue.Create 2
        result["stages"] <- JsonArray()
        result["script"] <- null

        for pair in old do
            if pair.Key <> "schema" && pair.Key <> "experiment" then
                result[pair.Key] <- copy pair.Value

        checkObject place old "experiment"

        match old["experiment"] with
        | :? JsonObject as experiment ->
            checkObject place experiment "config"

            let config =
                match experiment["config"] with
                | :? JsonObject as config -> config
                | _ -> JsonObject()

            checkNull place config "algorithm"

            let algorithm =
                match config["algorithm"] with
                | null -> Standard
                | name ->
                    result["algorithm"] <- name.DeepClone()
                    name.ToString()

            for pair in experiment do
                if pair.Key <> "config" then
                    result[pair.Key] <- copy pair.Value

            if experiment.ContainsKey "iterations" then
                result["horizon"] <- copy experiment["iterations"]

            if experiment.ContainsKey "config" then
                result["config"] <- configOf registry place algorithm config
        | _ -> ()

        result.ToJsonString()
