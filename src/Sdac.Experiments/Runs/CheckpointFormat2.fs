namespace Sdac.Experiments

open System.Text.Json.Nodes

/// Checkpoints of format 2, which only SDAC and DPMD had: counters by their position, and numbers that belong together in one
/// tensor.
[<RequireQualifiedAccess>]
module internal CheckpointFormat2 =
    [<Literal>]
    let Format = 2

    // iterations, environment steps, updates, Adam's steps of policy and critics, steps of the temperature
    let private counterNames =
        [ "iteration"
          "envSteps"
          "updates"
          "policy.adam.count"
          "q1.adam.count"
          "q2.adam.count"
          "temperature.count" ]

    /// Iterations and environment steps. `values name count` reads a tensor.
    let counters (values: string -> int -> int64[]) : int64 * int64 =
        let counters = values "counters" counterNames.Length
        counters[0], counters[1]

    /// A number by its name in format 3. Early files of this format lack the averages of Q and the shift of raw energies, which
    /// then had not moved.
    let float (file: TensorFile) (name: string) (values: string -> int -> float[]) : float =
        let within tensor count i standard =
            if file.Tensors.ContainsKey tensor then (values tensor count)[i] else standard

        match name with
        | "temperature.log_lambda" -> (values "temperature" 3)[0]
        | "temperature.m" -> (values "temperature" 3)[1]
        | "temperature.v" -> (values "temperature" 3)[2]
        | "values.mean" -> within "values" 2 0 0.0
        | "values.deviation" -> within "values" 2 1 1.0
        | "energy_shift.shift" -> within "energy_shift" 2 0 0.0
        | _ -> (values name 1)[0]

    /// A whole number by its name in format 3.
    let int
        (file: TensorFile)
        (name: string)
        (floats: string -> int -> float[])
        (integers: string -> int -> int64[])
        : int64 =
        match name, List.tryFindIndex ((=) name) counterNames with
        | "energy_shift.idle", _ when file.Tensors.ContainsKey "energy_shift" ->
            let shift = floats "energy_shift" 2
            int64 shift[1]
        | "energy_shift.idle", _ -> 0L
        | _, Some i -> (integers "counters" counterNames.Length)[i]
        | _, None -> (integers name 1)[0]

    /// The algorithm that the specification inside names.
    let algorithm (place: string) (spec: string) : string =
        let child (name: string) (node: JsonNode | null) : JsonNode | null =
            match node with
            | :? JsonObject as fields -> fields[name]
            | _ -> null

        match Json.parseNode place spec |> child "experiment" |> child "config" |> child "algorithm" with
        | null -> SpecSchema1.Standard
        | name -> name.ToString()

    /// A record of figures, in which null stood for those that an update had not computed.
    let private withoutNulls (figures: JsonObject) : JsonObject =
        let result = JsonObject()

        for pair in figures do
            match pair.Value with
            | null -> ()
            | value -> result[pair.Key] <- value.DeepClone()

        result

    /// The last update's figures: a list of at most one.
    let figures (place: string) (text: string) : string =
        match Json.parseNode place text with
        | :? JsonArray as list ->
            let whole =
                [| for item in list do
                       match item with
                       | :? JsonObject as figures -> withoutNulls figures :> JsonNode
                       | _ -> Errors.fail (Settings $"{place} holds figures that are no object") |]

            JsonArray(whole).ToJsonString()
        | _ -> text

    /// A journal with the counts under their quantities; one of format 3 stays as it is.
    let journal (place: string) (text: string) : string =
        match Json.parseNode place text with
        | :? JsonObject as journal when journal.ContainsKey "weightCounts" ->
            let result = JsonObject()
            let tallies = JsonObject()

            for pair in journal do
                match pair.Key, pair.Value with
                | _, null -> ()
                | "weightCounts", counts -> tallies["weight"] <- counts.DeepClone()
                | "timestepCounts", counts -> tallies["timestep"] <- counts.DeepClone()
                | "figures", (:? JsonObject as figures) -> result["figures"] <- withoutNulls figures
                | name, value -> result[name] <- value.DeepClone()

            result["tallies"] <- tallies
            result.ToJsonString()
        | _ -> text
