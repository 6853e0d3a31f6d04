module Sdac.Experiments.Tests.Support

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Testing

/// Properties are checked on 200 values, always the same ones.
let seeded = fixedSeed 20260101UL 200

/// The folder of the repository.
let repository =
    let rec upwards (folder: DirectoryInfo | null) =
        match folder with
        | null -> failwith "the repository was not found"
        | folder when File.Exists(Path.Combine(folder.FullName, "Sdac.Functional.sln")) -> folder.FullName
        | folder -> upwards folder.Parent

    upwards (DirectoryInfo AppContext.BaseDirectory)

/// The texts that programs and runs write.
let private texts = set [ ".html"; ".md"; ".csv"; ".json"; ".jsonl"; ".svg"; ".txt"; ".log" ]

/// Fails where a text in a folder is in the language of the machine.
let private refuseForeignFiles (folder: string) =
    let options =
        EnumerationOptions(
            RecurseSubdirectories = true,
            IgnoreInaccessible = true,
            AttributesToSkip = FileAttributes.ReparsePoint
        )

    for file in Directory.EnumerateFiles(folder, "*", options) do
        if texts.Contains(string (Path.GetExtension file)) then
            Languages.refuseForeign file (File.ReadAllText file)

/// Runs a test in a folder of its own, removed afterwards. What the test leaves there is in no language.
let inFolder (test: string -> 'a) : 'a =
    let folder = Directory.CreateTempSubdirectory("sdac-test-").FullName

    try
        let result = test folder
        refuseForeignFiles folder
        result
    finally
        Directory.Delete(folder, true)

/// The failure that an action ends with.
let failureOf (action: unit -> 'a) : Failure = (Expect.raises<UserError>(fun () -> action () |> ignore)).Failure

/// Checks that a sentence is one line and holds every part.
let says (parts: string list) (failure: Failure) =
    Expect.stringLacks failure.Sentence "\n" "sentence"

    for part in parts do
        Expect.stringContains failure.Sentence part "sentence"

/// Runs an action with another value of an environment variable.
let withVariable (name: string) (value: string) (action: unit -> 'a) : 'a =
    let before = Environment.GetEnvironmentVariable name
    Environment.SetEnvironmentVariable(name, value)

    try
        action ()
    finally
        Environment.SetEnvironmentVariable(name, before)

/// What an action prints to standard error, and its result.
let captureError (action: unit -> 'a) =
    let previous = Console.Error
    use writer = new StringWriter()
    Console.SetError writer

    try
        let result = action ()
        let text = writer.ToString()
        Languages.refuseForeign "what is printed" text
        result, text
    finally
        Console.SetError previous

/// What an action prints to standard output, and its result.
let captureOutput (action: unit -> 'a) =
    let previous = Console.Out
    use writer = new StringWriter()
    Console.SetOut writer

    try
        let result = action ()
        let text = writer.ToString()
        Languages.refuseForeign "what is printed" text
        result, text
    finally
        Console.SetOut previous

/// What stands at a path of a tree of JSON; null where it is null or missing.
let jsonAt (path: string) (root: JsonNode | null) : JsonNode | null =
    let step (node: JsonNode | null) (name: string) : JsonNode | null =
        match node with
        | :? JsonObject as inner -> inner[name]
        | _ -> null

    path.Split '.' |> Array.fold step root

// ---- specifications

/// The algorithms of this library.
let standard = Registry.standard

/// A preset of an algorithm.
let preset (algorithm: string) (name: string) : Spec =
    Spec.algorithm standard "" algorithm |> Spec.preset "--preset" name

/// Every preset of every algorithm: algorithm, name and specification.
let presets: (string * string * Spec) list =
    let namesOf (algorithm: IAlgorithm) =
        algorithm.Open
            { new IOpen<string list> with
                member _.Open algorithm = algorithm.Presets |> List.map _.Name }

    [ for algorithm in Registry.all standard do
          for name in namesOf algorithm -> algorithm.Name, name, preset algorithm.Name name ]

/// The record of an algorithm's settings.
let configType (algorithm: string) : System.Type =
    (Spec.algorithm standard "" algorithm).Open
        { new IOpen<System.Type> with
            member _.Open(_: Algorithm<'c, 's, 'w>) = typeof<'c> }

/// SDAC's preset that is the start of most tests.
let quick = preset "sdac" "quick"

/// Reads a specification over SDAC's quick preset, or over that of the algorithm that the text names.
let parseSpec (place: string) (text: string) : Spec = SpecFile.parse standard place None "quick" text

/// Changes a setting as --set does.
let setTo (spec: Spec) (key: string) (text: string) : Spec = Spec.set standard "--set" spec key text

/// SDAC's experiment of a specification.
let experimentOf (spec: Spec) = Spec.experiment Environment.suite Sdac.algorithm spec

/// SDAC's agent for a specification.
let agentOf (spec: Spec) : Agent<ActorCriticState, Update> = Runner.agent (experimentOf spec)

/// Frees a training state.
let disposeState (state: ActorCriticState) = Parts.dispose ActorCriticState.parts state

/// DPMD's experiment of a specification.
let dpmdOf (spec: Spec) = Spec.experiment Environment.suite Dpmd.algorithm spec

/// The specification with other settings of its algorithm.
let configuredAs (algorithm: Algorithm<'c, 's, 'w>) (change: 'c -> 'c) (spec: Spec) : Spec =
    { spec with
        Config = (Spec.experiment Environment.suite algorithm spec |> Experiment.configure change |> Spec.create).Config }

/// The specification with other settings of SDAC.
let configured (change: SdacConfig -> SdacConfig) (spec: Spec) : Spec = configuredAs Sdac.algorithm change spec

/// A run of SDAC as one of DPMD: with the settings that both have, and what was published with DPMD.
let asDpmd (spec: Spec) : Spec =
    let config = DpmdConfig.ofSdac (experimentOf spec).Config
    let dpmd = Experiment.on Dpmd.algorithm spec.Task |> Experiment.configure (fun _ -> config)
    { spec with Algorithm = "dpmd"; Config = (Spec.create dpmd).Config }

/// What a specification says of its stages where they are its algorithm's own, as training writes it.
let withOwnStages (spec: Spec) : Spec =
    let trail =
        { new IOpen<string list> with
            member _.Open algorithm =
                Spec.experiment Environment.suite algorithm spec
                |> Experiment.agent Compute.cpu { ObsDim = 1; ActionDim = 1 }
                |> Round.standardTrail }

    { spec with Stages = (Spec.algorithm standard "" spec.Algorithm).Open trail }
