namespace Sdac.Experiments

open System
open System.Globalization
open System.Text.RegularExpressions
open Sdac.Environments
open Sdac.LibTorch

/// What a user can do something about. The text of each case is one sentence: the thing, the place, the fix.
type Failure =
    /// The command line cannot be understood.
    | Usage of string
    /// A setting is unknown, of the wrong kind or out of range.
    | Settings of string
    /// A file or folder cannot be read, written or created.
    | Storage of string
    /// A file exists but its content cannot be trusted.
    | Damaged of string
    /// An input (actions, states, a trace file) is not what the task takes.
    | Input of string
    /// A loss, a gradient or an observation is no longer finite, or a function of the user's task has failed.
    | Diverged of string
    /// A native library, a program or a device is missing.
    | Missing of string
    /// Another process works on the same folder.
    | Locked of string
    /// Runs of a sweep failed for good or were left unfinished.
    | Unfinished of string
    /// A signal, by its number, has stopped a run before its end.
    | Interrupted of text: string * signal: int

    /// The one sentence a user sees, on one line whatever the names in it hold.
    member failure.Sentence =
        match failure with
        | Usage text
        | Settings text
        | Storage text
        | Damaged text
        | Input text
        | Diverged text
        | Missing text
        | Locked text
        | Unfinished text
        | Interrupted(text, _) ->
            text |> String.map (fun c -> if Char.IsControl c || c = '\u2028' || c = '\u2029' then ' ' else c)

    /// The exit code of a script that ends with this failure; 1 is kept for faults of the program itself.
    member failure.ExitCode =
        match failure with
        | Usage _ -> 2
        | Settings _ -> 3
        | Storage _ -> 4
        | Damaged _ -> 5
        | Input _ -> 6
        | Diverged _ -> 7
        | Missing _ -> 8
        | Locked _ -> 9
        | Unfinished _ -> 10
        // as shells have it
        | Interrupted(_, signal) -> 128 + signal

/// Raised by everything in this library that a user can fix.
type UserError(failure: Failure) =
    inherit Exception(failure.Sentence)

    member _.Failure = failure

    /// The sentence: an interactive session prints no stack behind it.
    override _.ToString() = failure.Sentence

/// Raising failures, and naming near misses.
[<RequireQualifiedAccess>]
module Errors =
    /// Ends the present operation with a failure.
    let fail failure = raise (UserError failure)

    /// The number of single-character edits (insert, delete, replace, swap two neighbours) between two texts, case ignored.
    let private distance (a: string) (b: string) =
        let a, b = a.ToLowerInvariant(), b.ToLowerInvariant()
        let d = Array2D.zeroCreate (a.Length + 1) (b.Length + 1)

        for i in 0 .. a.Length do
            for j in 0 .. b.Length do
                d[i, j] <-
                    if i = 0 || j = 0 then
                        i + j
                    else
                        let replaced = d[i - 1, j - 1] + (if a[i - 1] = b[j - 1] then 0 else 1)
                        let least = min replaced (min d[i - 1, j] d[i, j - 1] + 1)

                        if i > 1 && j > 1 && a[i - 1] = b[j - 2] && a[i - 2] = b[j - 1] then
                            min least (d[i - 2, j - 2] + 1)
                        else
                            least

        d[a.Length, b.Length]

    /// Edits by which a name may be misspelt: more of them make another word of it.
    let private tolerance (name: string) =
        if name.Length <= 3 then 1
        elif name.Length <= 8 then 2
        else 3

    /// The valid name a misspelt one most likely means; None where none is near.
    let nearest (name: string) (valid: string seq) : string option =
        let allowed (candidate: string) = min (tolerance name) (candidate.Length - 1)

        valid
        // an edit changes the length by one at most
        |> Seq.filter (fun candidate -> abs (candidate.Length - name.Length) <= allowed candidate)
        |> Seq.map (fun candidate -> candidate, distance name candidate)
        |> Seq.filter (fun (candidate, edits) -> edits <= allowed candidate)
        |> Seq.sortBy snd
        |> Seq.tryHead
        |> Option.map fst

    /// Names of which all are told.
    [<Literal>]
    let private Few = 16

    /// The half sentence "unknown preset 'quik' in FILE: did you mean 'quick'? It can be quick, laptop, published": the nearest name
    /// where one is near, and all of them where they are few.
    let unknown (kind: string) (name: string) (place: string) (valid: string seq) : string =
        let all = Seq.distinct valid |> List.ofSeq
        let listed = String.concat ", " all

        let fix =
            match nearest name all, all with
            | _, [] -> "nothing is valid there; remove it"
            | Some candidate, [ _ ] -> $"did you mean '{candidate}'?"
            | Some candidate, _ when all.Length <= Few -> $"did you mean '{candidate}'? It can be {listed}"
            | Some candidate, _ -> $"did you mean '{candidate}'?"
            | None, _ when all.Length <= Few -> $"it can be {listed}"
            | None, _ when kind = "setting" ->
                $"""no setting has a name like that; `{Entrance.shown "train"} --settings ALGORITHM` lists them"""
            | None, _ -> $"no {kind} has a name like that; compare with a list of them"

        let place = if place = "" then "" else $" in {place}"
        $"unknown {kind} '{name}'{place}: {fix}"

/// The outermost frame of a script.
[<RequireQualifiedAccess>]
module Script =
    /// True when SDAC_DEBUG=1: failures then show where they were raised.
    let private debugging () = Environment.GetEnvironmentVariable "SDAC_DEBUG" = "1"

    /// The exception that says what happened, inside those that only say where.
    let rec private cause (error: exn) =
        match error, error.InnerException with
        | (:? TypeInitializationException | :? System.Reflection.TargetInvocationException | :? AggregateException),
          NonNull inner -> cause inner
        | _ -> error

    /// A message on one line, without the name of a parameter that .NET appends: it means nothing to a user.
    let private oneLine (error: exn) =
        let text = Regex.Replace(LibtorchException.Sentence error.Message, @"\s*\(Parameter '[^']*'\)", "")
        Regex.Replace(text, @"\s+", " ").Trim()

    let private describe (error: exn) =
        match error with
        | :? UserError as error -> error.Failure.Sentence, error.Failure.ExitCode
        | :? MissingLibraryException -> oneLine error, (Missing "").ExitCode
        | :? DllNotFoundException ->
            let text = error.Message.Split('\n')[0]
            $"""{text.Trim()} (a native library is missing: run `{Entrance.ofBuild "setup"}`)""", (Missing "").ExitCode
        | :? SimulationException
        | :? TaskFunctionException -> oneLine error, (Diverged "").ExitCode
        | :? EngineException -> oneLine error, (Missing "").ExitCode
        // a tensor of more than 2^31 bytes on its way to an array
        | :? ArgumentException when error.Message.StartsWith("Span only supports", StringComparison.Ordinal) ->
            "a tensor is larger than an array can be: choose fewer particles or draws, or a smaller batch",
            (Settings "").ExitCode
        | :? ArgumentException -> oneLine error, (Settings "").ExitCode
        | :? OutOfMemoryException -> "memory is used up: choose fewer particles, draws or replay capacity", 1
        | _ -> oneLine error, 1

    /// Numbers, and what .NET says, as in no language: on this thread and on all threads that have not chosen otherwise. `dotnet fsi`
    /// follows the language of the machine, which must not show in what a script prints and reads.
    let useInvariantCulture () =
        CultureInfo.CurrentCulture <- CultureInfo.InvariantCulture
        CultureInfo.CurrentUICulture <- CultureInfo.InvariantCulture
        CultureInfo.DefaultThreadCurrentCulture <- CultureInfo.InvariantCulture
        CultureInfo.DefaultThreadCurrentUICulture <- CultureInfo.InvariantCulture

    /// Runs a program's body; a failure becomes one sentence on standard error, begun with the program's name, and an exit code
    /// other than 0. `help` is the command that lists all options. SDAC_DEBUG=1 adds the stack trace.
    let runWith (help: string) (name: string) (body: unit -> int) =
        useInvariantCulture ()

        try
            body ()
        with
        | :? Argu.ArguParseException as error when error.ErrorCode = Argu.ErrorCode.HelpText ->
            printfn "%s" error.Message
            0
        | :? Argu.ArguParseException as error ->
            let sentence = error.Message.Replace("ERROR: ", "").Split('\n')[0]
            eprintfn $"{name}: {sentence.Trim()} (all options: {help})"
            (Usage "").ExitCode
        | error ->
            let inner = cause error
            let sentence, code = describe inner
            eprintfn $"{name}: {sentence}"

            if debugging () then
                eprintfn $"{error}"

            code

    /// The same for a script, by the name of its file.
    let run (name: string) (body: unit -> int) = runWith $"dotnet fsi --exec scripts/{name} -- --help" name body
