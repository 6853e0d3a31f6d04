namespace Sdac.Experiments

open System
open System.Text.RegularExpressions
open Argu

/// A program as others start it, and the algorithms that it knows.
[<NoComparison; NoEquality>]
type Program =
    {
        /// What begins its messages: "train", "mine.fsx train"
        Name: string
        /// How a user starts it: "./build.sh train", "dotnet fsi --exec mine.fsx train"
        Shown: string
        Registry: Sdac.Functional.Registry
        /// The command that starts "train" or "report", to be followed by its arguments
        Start: string -> string list
    }

/// Reading a command's arguments.
[<RequireQualifiedAccess>]
module Arguments =
    /// What an option that there is not can mean: another one, or a setting where there are some.
    let private meant (options: string list) (settings: string list) (wrong: string) : string option =
        let name = wrong.TrimStart '-'
        let isOf (setting: string) = $"--set {Json.shortest settings setting}=VALUE"

        [ fun () -> Synonyms.tryFindOption name options
          fun () -> Synonyms.tryFind name settings |> Option.map isOf
          fun () -> Errors.nearest wrong options ]
        |> List.tryPick (fun look -> look ())

    /// An empty value, as of a variable that is not set, is none.
    let private refuseEmpty (arguments: string[]) : unit =
        for i, argument in Array.indexed arguments do
            let isOption (text: string) = text.StartsWith("-", StringComparison.Ordinal)

            if argument = "" && i > 0 && isOption arguments[i - 1] then
                Errors.fail (Usage $"{arguments[i - 1]} is empty: give a value, or leave it out")
            elif argument = "" then
                Errors.fail (Usage $"argument {i + 1} is empty: give a value, or leave it out")
            elif isOption argument && argument.IndexOf '=' = argument.Length - 1 then
                Errors.fail (Usage $"{argument.TrimEnd '='} is empty: give a value, or leave it out")

    /// Reads the arguments. An option that there is not is answered with what it can mean, among `settings` too.
    let parse
        (program: Program)
        (settings: unit -> string list)
        (parser: ArgumentParser<'t>)
        (arguments: string[])
        : ParseResults<'t> =
        refuseEmpty arguments

        try
            parser.ParseCommandLine arguments
        with :? ArguParseException as error when error.ErrorCode <> ErrorCode.HelpText ->
            let wrong = Regex.Match(error.Message, "unrecognized argument: '(--[^'=]+)").Groups[1].Value

            let options =
                parser.GetArgumentCases()
                |> List.collect (_.CommandLineNames.Value)
                |> List.filter _.StartsWith("--", StringComparison.Ordinal)

            match (if wrong = "" then None else meant options (settings ()) wrong) with
            | Some other ->
                Errors.fail (
                    Usage $"there is no option {wrong}: did you mean {other}? (all options: {program.Shown} --help)"
                )
            | None -> raise error
