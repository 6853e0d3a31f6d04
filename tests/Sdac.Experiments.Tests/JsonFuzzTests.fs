/// Ten thousand specifications, sweeps and traces, most of them malformed. A value must be what an independent reading gives; all
/// else must be refused in one sentence that names the file.
module Sdac.Experiments.Tests.JsonFuzzTests

open System
open System.IO
open System.Text
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.Fuzzing

// ---- the comparison

/// The same value, however it is written: numbers by their doubles, beside which whole numbers must have the same digits; names in
/// any order; a text may stand for the JSON that it holds (options and literals).
let rec private same (expected: Written) (found: Written) : bool =
    match expected, found with
    | Num a, Num b ->
        let whole (digits: string) = digits |> Seq.forall (fun c -> Char.IsAsciiDigit c || c = '-')

        if whole a && whole b then
            let number (digits: string) = bigint.Parse(digits, Globalization.CultureInfo.InvariantCulture)
            number a = number b
        else
            Naive.number a = Naive.number b
    // beyond all doubles
    | Num a, Str b when Double.IsInfinity(Naive.number a) ->
        b = (if a[0] = '-' then "-Infinity" else "Infinity") || b = a
    | Obj a, Obj b ->
        let a, b = Map a, Map b

        Set.ofSeq (Map.keys a) = Set.ofSeq (Map.keys b)
        && Map.forall (fun name value -> same value b[name]) a
    | Arr a, Arr b -> a.Length = b.Length && List.forall2 same a b
    | Str a, Str b -> a = b
    | Str _, _ -> false
    | other, Str text -> Naive.parse text |> Option.exists (same other)
    | a, b -> a = b

/// What `given` makes of `complete`: records are laid over each other, all else is replaced.
let rec private overlay (complete: Written) (given: Written) : Written =
    match complete, given with
    | Obj complete, Obj given when
        complete <> [] && given |> List.forall (fun (name, _) -> List.exists (fst >> (=) name) complete)
        ->
        Obj
            [ for name, value in complete do
                  match List.tryFind (fst >> (=) name) given with
                  | Some(_, other) -> name, overlay value other
                  | None -> name, value ]
    | _ -> given

// ---- the texts

/// Half a surrogate pair; a literal would be mended by the compiler.
let private half = String('\ud800', 1)

let private wrong =
    [ Null
      Bool true
      Bool false
      Num "3"
      Num "-1"
      Num "0"
      Num "2.5"
      Num "1e2"
      Num "1e400"
      Num "-0"
      Num "99999999999999999999"
      Num "2147483648"
      Num "9223372036854775808"
      Num "1e-400"
      Str ""
      Str "3"
      Str "NaN"
      Str "Infinity"
      Str "sdac"
      Str "line\nbreak"
      Str half
      Arr []
      Arr [ Null ]
      Arr [ Num "1"; Str "x" ]
      Obj []
      Obj [ "linear", Num "0.5" ]
      Obj [ "", Null ]
      Obj [ "low", Num "1"; "high", Num "2" ] ]

/// Changes one value somewhere inside.
let rec private change (chance: Chance) (value: Written) : Written =
    match value with
    | Obj members when members <> [] && chance.Percent 85 ->
        let at = chance.Below members.Length
        let name, item = members[at]

        match chance.Below 12 with
        | 0 -> Obj(members @ [ members[at] ])
        | 1 -> Obj((name, chance.One wrong) :: members)
        | 2 -> Obj(List.removeAt at members)
        | 3 ->
            Obj(
                List.updateAt
                    at
                    (chance.One [ name + "x"; name.ToUpperInvariant(); ""; "line\nbreak"; half ], item)
                    members
            )
        | 4 -> Obj(chance.Shuffle members)
        | 5 -> Obj(members @ [ chance.One [ "x"; "seed"; "name"; "constructor"; "$type" ], chance.One wrong ])
        | _ -> Obj(List.updateAt at (name, change chance item) members)
    | Arr items when items <> [] && chance.Percent 70 ->
        let at = chance.Below items.Length

        match chance.Below 5 with
        | 0 -> Arr(items @ [ items[at] ])
        | 1 -> Arr(List.removeAt at items)
        | _ -> Arr(List.updateAt at (change chance items[at]) items)
    | _ -> chance.One wrong

let private changeText (chance: Chance) (text: string) =
    let at = chance.Below(text.Length + 1)

    match chance.Below 12 with
    | 0 -> text.Substring(0, at)
    | 1 when at < text.Length -> text.Remove(at, 1)
    | 2 ->
        text.Insert(
            at,
            chance.One [ "\""; "{"; "}"; "["; "]"; ","; ":"; "0"; "-"; "."; "e"; "\\"; "\000"; "\n"; " "; "é" ]
        )
    | 3 -> text.Insert(at, chance.One [ "/* x */"; "// x\n"; "/*"; "//"; "#" ])
    | 4 -> text.Replace("}", ",}")
    | 5 -> text.Replace(":", chance.One [ " : "; "::"; "="; ":\t" ])
    | 6 -> String('[', chance.Between(50, 2000)) + text
    | 7 -> text.Replace("\"", "'")
    | 8 -> chance.One [ ""; " "; "null"; "[]"; "3"; "\"x\""; "{}"; "[{}]"; "true" ]
    | 9 -> text + chance.One [ "{}"; "x"; "\n"; ","; "// x"; "\000" ]
    | 10 -> text.Replace("0", chance.One [ "00"; "0x0"; "0.0"; "+0"; "0e0"; "NaN"; "-0" ])
    | _ -> text.Replace("e", "\\u0065")

let private textOf (chance: Chance) (seeds: Written list) : string =
    let mutable value = chance.One seeds

    for _ in 1 .. chance.One [ 0; 1; 1; 1; 1; 2; 3 ] do
        value <- change chance value

    let text = Naive.print value
    if chance.Percent 30 then changeText chance text else text

/// The file's bytes; some are no UTF-8, some begin with a byte order mark.
let private bytesOf (chance: Chance) (text: string) : byte[] =
    let bytes = Encoding.UTF8.GetBytes text

    match chance.Below 20 with
    | 0 when bytes.Length > 0 ->
        bytes[chance.Below bytes.Length] <- byte (chance.Between(128, 255))
        bytes
    | 1 -> Array.append (Encoding.UTF8.GetPreamble()) bytes
    | _ -> bytes

/// What a text says: None where it is no JSON, not Unicode, or gives a name twice.
let private reading (bytes: byte[]) : Written option =
    Naive.decode bytes
    |> Option.map (fun text -> if text.StartsWith '\uFEFF' then text.Substring 1 else text)
    |> Option.bind Naive.parseLenient
    |> Option.filter (fun value -> not (Naive.repeats value))

/// What is wrong with a reader's outcome. `expected` is the whole value by an independent reading, `found` the value as JSON.
let private verdict (place: string) (expected: Written option) (found: Outcome<string>) =
    match expected, found with
    | _, Crashed error -> Some(string error)
    | _, Refused sentence -> sentenceFault place sentence
    | None, Value _ -> Some "is taken, but is no JSON or gives a name twice"
    | Some expected, Value printed ->
        match Naive.parse printed with
        | Some found when same expected found -> None
        | _ -> Some $"read as {printed}"

let private shown (bytes: byte[]) = Encoding.UTF8.GetString(bytes, 0, min bytes.Length 1500)

let private parsed (text: string) = (Naive.parse text).Value

// ---- specifications

let private specs =
    [ for _, _, spec in presets do
          yield parsed (Spec.print spec)
      yield
          parsed
              """{"task":"Hopper-v4","taskOptions":{"reset_noise_scale":0.1,"exclude_current_positions_from_observation":true},"config":{"hidden":[8,8],"diffusion":{"betaSchedule":"cosine"}}}"""
      yield
          parsed
              """{"seed":-5,"algorithm":"dpmd","config":{"critics":{"tau":0.5},"particles":{"behaviourParticles":4}},"logEvery":7}"""
      // schema 1
      yield parsed Schema1.sdac
      yield parsed Schema1.dpmd
      yield
          parsed
              """{"experiment":{"task":"Hopper-v4","taskOptions":{"reset_noise_scale":0.1},"config":{"hidden":[8,8],"betaSchedule":"cosine"}}}"""
      yield
          parsed
              """{"experiment":{"seed":-5,"config":{"tau":0.5,"behaviourParticles":4,"algorithm":"dpmd"}},"logEvery":7}""" ]

/// The field of an object.
let private field (name: string) (value: Written) =
    match value with
    | Obj members -> members |> List.tryFind (fst >> (=) name) |> Option.map snd
    | _ -> None

/// A text of schema 1 in schema 2, by a table of its own; others as they are.
let private upgraded (value: Written) : Written =
    let isOld =
        match field "schema" value with
        | Some(Num digits) -> digits = "1"
        | Some _ -> false
        | None -> (field "experiment" value).IsSome

    let algorithm =
        match field "experiment" value |> Option.bind (field "config") |> Option.bind (field "algorithm") with
        | Some(Str name) -> name
        | _ -> "sdac"

    let rec put (names: string list) (item: Written) (into: (string * Written) list) =
        match names with
        | [ name ] -> into @ [ name, item ]
        | name :: rest ->
            let inner =
                match List.tryFind (fst >> (=) name) into with
                | Some(_, Obj members) -> members
                | _ -> []

            List.filter (fst >> (<>) name) into @ [ name, Obj(put rest item inner) ]
        | [] -> into

    let config (members: (string * Written) list) =
        members
        |> List.filter (fst >> (<>) "algorithm")
        |> List.filter (fun (name, _) -> not (algorithm = "dpmd" && Schema1.sdacAlone.Contains name))
        |> List.fold
            (fun into (name, item) ->
                let path = Map.tryFind name Schema1.places |> Option.defaultValue name
                put (List.ofArray (path.Split '.')) item into)
            []

    match value with
    | Obj members when isOld ->
        Obj
            [ "schema", Num "2"
              for name, item in members do
                  match name, item with
                  | "schema", _ -> ()
                  | "experiment", Obj inner ->
                      for name, item in inner do
                          match name, item with
                          | "config", Obj settings ->
                              match List.tryFind (fst >> (=) "algorithm") settings with
                              | Some found -> found
                              | None -> ()

                              "config", Obj(config settings)
                          | "iterations", count ->
                              "iterations", count
                              "horizon", count
                          | other -> other
                  | other -> other ]
    | other -> other

/// The preset that a text is laid over.
let private presetFor (value: Written) : Written =
    match field "algorithm" value with
    | Some(Str algorithm) when List.contains algorithm (Registry.names standard) -> preset algorithm "quick"
    | _ -> quick
    |> Spec.print
    |> parsed

let private attemptSpec (folder: string) (taken: int ref) (seed: int) =
    let chance = Chance seed
    let bytes = textOf chance specs |> bytesOf chance
    let run = { Path = folder }: RunFolder
    overwrite run.Spec bytes

    let found =
        outcome (fun () ->
            Files.readUtf8 run.Spec |> parseSpec run.Spec |> SpecCheck.validate standard "" |> Spec.print)

    if found.IsValue then
        taken.Value <- taken.Value + 1

    // impossible settings are named without the file, which SpecCheck.validate does not know
    match found with
    | Refused sentence when sentence.StartsWith("impossible settings", StringComparison.Ordinal) -> None
    | found ->
        let expected =
            reading bytes
            |> Option.map (fun value ->
                let value = upgraded value
                overlay (presetFor value) value)

        verdict run.Spec expected found |> Option.map (fun fault -> $"{fault}\n{shown bytes}")

// ---- sweeps

let private sweeps =
    [ parsed
          """{"schema":1,"name":"whole","preset":"laptop","base":{"iterations":100,"hidden":[8,8]},"algorithms":{"sdac":{},"raw":{"weights":"raw"}},"tasks":["Hopper-v4","InvertedPendulum-v4"],"seeds":[0,1],"settings":{"list":[{"betaSchedule":{"linear":0.5}},{"betaSchedule":"cosine"}],"grid":{"particles":[2,4]},"random":{"count":2,"seed":5,"ranges":{"tau":{"uniform":{"low":0.001,"high":0.1}},"learningRate":{"logUniform":{"low":1e-4,"high":1e-2}},"monteCarloDraws":{"integers":{"low":2,"high":64}},"taskOptions":{"choice":[{"reset_noise_scale":0.1},{}]}}}}}"""
      parsed """{"name":"few","tasks":["Hopper-v4"],"seeds":[3,-4]}"""
      parsed """{"name":"grid","preset":"quick","settings":{"grid":{"tau":[0.1,1e-2],"hidden":[[8],[8,8]]}}}""" ]

/// The preset's task, of the algorithm that a sweep chooses for all its runs.
let private taskOf (name: string) (members: (string * Written) list) =
    match List.tryFind (fst >> (=) "base") members |> Option.bind (snd >> field "algorithm") with
    | Some(Str "dpmd") -> (preset "dpmd" name).Task
    | _ -> (preset "sdac" name).Task

/// A sweep without tasks has its preset's.
let private withTask (sweep: Written) =
    match sweep with
    | Obj members ->
        let preset =
            members
            |> List.pick (fun (name, value) ->
                match name, value with
                | "preset", Str text -> Some text
                | _ -> None)

        Obj
            [ for name, value in members do
                  if name = "tasks" && value = Arr [] then
                      name, Arr [ Str(taskOf preset members) ]
                  else
                      name, value ]
    | other -> other

let private attemptSweep (folder: string) (taken: int ref) (seed: int) =
    let chance = Chance seed
    let bytes = textOf chance sweeps |> bytesOf chance
    let path = Path.Combine(folder, "sweep.json")
    overwrite path bytes
    let found = outcome (fun () -> Files.readUtf8 path |> SweepSpec.parse standard path |> SweepSpec.print)

    if found.IsValue then
        taken.Value <- taken.Value + 1

    let complete = parsed (SweepSpec.print (Sweep.create "" "quick"))

    match found with
    | Refused sentence when sentence.Contains "--preset" -> None
    | found ->
        let expected =
            reading bytes
            |> Option.map (overlay complete >> fun value -> if found.IsValue then withTask value else value)

        verdict path expected found |> Option.map (fun fault -> $"{fault}\n{shown bytes}")

// ---- traces

let private traces =
    [ parsed """{"env":"InvertedPendulum-v4","qpos":[0,0.05],"qvel":[0.1,-0.2],"actions":[[0.5],[-0.5]]}"""
      parsed
          """{"env":"Hopper-v4","options":{"reset_noise_scale":0.1,"healthy_z_range":[0.7,"Infinity"],"terminate_when_unhealthy":false},"actions":[[0.1,-0.2,0.3]]}"""
      parsed """{"env":"Reacher-v4","actions":[]}""" ]

/// A trace as its fields are read, in one form: what is left out or null is null.
let private traceOf (value: Written) =
    match value with
    | Obj members ->
        let field name = members |> List.tryFind (fst >> (=) name) |> Option.map snd |> Option.defaultValue Null

        let options =
            match field "options" with
            | Obj given ->
                Obj
                    [ for name, value in given do
                          if value <> Null then
                              name, value ]
            | Null -> Obj []
            | other -> other

        Obj
            [ "env", field "env"
              "options", options
              "qpos", field "qpos"
              "qvel", field "qvel"
              "actions", field "actions" ]
    | other -> other

let private printTrace (request: Trace.Request) =
    let numbers (values: float[]) =
        Arr
            [ for value in values ->
                  if Double.IsFinite value then
                      Num(value.ToString("R", Globalization.CultureInfo.InvariantCulture))
                  else
                      Str(
                          if Double.IsNaN value then "NaN"
                          elif value > 0.0 then "Infinity"
                          else "-Infinity"
                      ) ]

    let state (values: float[] option) = values |> Option.map numbers |> Option.defaultValue Null

    Naive.print (
        Obj
            [ "env", Str request.Task
              "options", Obj [ for pair in request.Options -> pair.Key, parsed (string pair.Value) ]
              "qpos", state request.Qpos
              "qvel", state request.Qvel
              "actions", Arr [ for action in request.Actions -> numbers action ] ]
    )

/// Every field of an option has JSON of its own.
let private requestOf (path: string) =
    let request = Trace.parse path (Files.readUtf8 path)

    for name in List.ofSeq request.Options.Keys do
        match request.Options[name] with
        | :? Text.Json.JsonElement as value -> request.Options[name] <- value.GetRawText()
        | _ -> ()

    request

let private attemptTrace (folder: string) (taken: int ref) (seed: int) =
    let chance = Chance seed
    let bytes = textOf chance traces |> bytesOf chance
    let path = Path.Combine(folder, "in.json")
    overwrite path bytes
    let found = outcome (fun () -> requestOf path |> printTrace)

    let replayed =
        match found with
        | Value _ ->
            taken.Value <- taken.Value + 1
            outcome (fun () -> Trace.run path (Some(Path.Combine(folder, "out.jsonl"))))
        | _ -> Value()

    match replayed with
    | Crashed error -> Some $"replaying: {error}\n{shown bytes}"
    | Refused sentence when (sentenceFault path sentence).IsSome -> sentenceFault path sentence
    | _ ->
        verdict path (reading bytes |> Option.map traceOf) found
        |> Option.map (fun fault -> $"{fault}\n{shown bytes}")

/// Tries `count` inputs, of which some must be taken and so many refused.
let private fuzzed (count: int) (refused: int) (attempt: string -> int ref -> int -> string option) () =
    inFolder (fun folder ->
        let taken = ref 0
        fuzz (seq { 1..count }) (attempt folder taken)
        Expect.isGreaterThan taken.Value (count / 50) "inputs that are right"
        Expect.isGreaterThanOrEqual (count - taken.Value) refused "inputs that are refused")

[<Tests>]
let tests =
    testList
        "fuzzed JSON"
        [ testCase
              "4,000 malformed specifications are refused in a sentence, the others read as they are written"
              (fuzzed 5_600 4_000 attemptSpec)
          testCase
              "3,000 malformed sweeps are refused in a sentence, the others read as they are written"
              (fuzzed 4_400 3_000 attemptSweep)
          testCase
              "3,000 malformed traces are refused in a sentence, the others read as they are written and replayed"
              (fuzzed 4_400 3_000 attemptTrace) ]
