namespace Sdac.Experiments

open System
open System.Text.RegularExpressions
open System.Threading

/// How a user starts this library's commands: sentences and usage texts name a command as it is typed.
[<RequireQualifiedAccess>]
module Entrance =
    /// The environment variable in which build.sh says how it was called itself.
    [<Literal>]
    let Variable = "SDAC_ENTRANCE"

    /// Of programs that are started in another way, while they run.
    let private other = AsyncLocal<(string -> string) voption>()

    /// A word as shells take it.
    let quote (word: string) : string =
        if Regex.IsMatch(word, @"^[\w./=,:+@%-]+\z", RegexOptions.ECMAScript) then
            word
        else
            "'" + word.Replace("'", "'\\''") + "'"

    /// The path by which build.sh was called; None where something else has started this program.
    let typed () : string option =
        match Environment.GetEnvironmentVariable Variable with
        | null
        | "" -> None
        | path -> Some(quote path)

    /// A command of build.sh: "./build.sh setup".
    let ofBuild (command: string) : string =
        let path = typed () |> Option.defaultValue "./build.sh"
        $"{path} {command}"

    /// How a command is started, to be followed by its arguments: "./build.sh train", "dotnet fsi --exec mine.fsx train".
    let shown (command: string) : string =
        match other.Value with
        | ValueSome start -> start command
        | ValueNone -> ofBuild command

    /// Runs a body whose commands are started in a way of their own.
    let during (start: string -> string) (body: unit -> 'a) : 'a =
        let before = other.Value
        other.Value <- ValueSome start

        try
            body ()
        finally
            other.Value <- before
