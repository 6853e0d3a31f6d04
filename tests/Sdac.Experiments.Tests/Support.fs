module Sdac.Experiments.Tests.Support

open System
open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Testing

/// Properties are checked on 200 values, always the same ones.
let seeded = fixedSeed 20260101UL 200

/// The folder of the repository.
let repository =
    let rec upwards (folder: DirectoryInfo | null) =
        match folder with
        | null -> failwith "the repository was not found"
        | folder when File.Exists(Path.Combine(folder.FullName, "README.md")) -> folder.FullName
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
