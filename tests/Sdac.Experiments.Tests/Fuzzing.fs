/// What the fuzzers share: numbered inputs that are the same in every run, and a naive reading of JSON to compare with.
module Sdac.Experiments.Tests.Fuzzing

open System
open System.Globalization
open System.IO
open System.Text
open System.Threading
open Expecto
open Sdac.Experiments

/// A JSON value as it is written: members in order with their repetitions, numbers as their characters.
type Written =
    | Null
    | Bool of bool
    | Num of string
    | Str of string
    | Arr of Written list
    | Obj of (string * Written) list

/// Reads JSON one character at a time by the grammar alone; shares nothing with the readers under test.
module Naive =
    exception private NotJson

    type private Reader(text: string, lenient: bool, deepest: int) =
        let mutable at = 0
        let peek () = if at < text.Length then text[at] else '\000'
        let bad () = raise NotJson

        let take (c: char) = if at < text.Length && text[at] = c then at <- at + 1 else bad ()

        /// Blanks, and comments where these are allowed.
        let rec blanks () =
            if at < text.Length && " \t\r\n".Contains text[at] then
                at <- at + 1
                blanks ()
            elif lenient && at + 1 < text.Length && text[at] = '/' && text[at + 1] = '/' then
                let ending = text.IndexOfAny([| '\n'; '\r' |], at)
                at <- if ending < 0 then text.Length else ending
                blanks ()
            elif lenient && at + 1 < text.Length && text[at] = '/' && text[at + 1] = '*' then
                let ending = text.IndexOf("*/", at + 2, StringComparison.Ordinal)

                if ending < 0 then
                    bad ()

                at <- ending + 2
                blanks ()

        let word (word: string) value =
            if String.CompareOrdinal(text, at, word, 0, word.Length) = 0 then
                at <- at + word.Length
                value
            else
                bad ()

        let digits () =
            if not (Char.IsAsciiDigit(peek ())) then
                bad ()

            while Char.IsAsciiDigit(peek ()) do
                at <- at + 1

        let number () =
            let start = at

            if peek () = '-' then
                at <- at + 1

            if peek () = '0' then at <- at + 1 else digits ()

            if peek () = '.' then
                at <- at + 1
                digits ()

            if peek () = 'e' || peek () = 'E' then
                at <- at + 1

                if peek () = '+' || peek () = '-' then
                    at <- at + 1

                digits ()

            Num(text.Substring(start, at - start))

        let hex () =
            if at + 4 > text.Length || not (Seq.forall Char.IsAsciiHexDigit (text.Substring(at, 4))) then
                bad ()

            at <- at + 4
            char (Convert.ToInt32(text.Substring(at - 4, 4), 16))

        let escaped () =
            let c = peek ()
            at <- at + 1

            match c with
            | '"'
            | '\\'
            | '/' -> c
            | 'b' -> '\b'
            | 'f' -> '\f'
            | 'n' -> '\n'
            | 'r' -> '\r'
            | 't' -> '\t'
            | 'u' -> hex ()
            | _ -> bad ()

        let quoted () =
            take '"'
            let found = StringBuilder()

            while at < text.Length && text[at] <> '"' do
                let c = text[at]

                if c < ' ' then
                    bad ()

                at <- at + 1
                found.Append(if c = '\\' then escaped () else c) |> ignore

            take '"'
            let found = found.ToString()

            for i in 0 .. found.Length - 1 do
                let paired =
                    (Char.IsHighSurrogate found[i] && i + 1 < found.Length && Char.IsLowSurrogate found[i + 1])
                    || (Char.IsLowSurrogate found[i] && i > 0 && Char.IsHighSurrogate found[i - 1])

                if Char.IsSurrogate found[i] && not paired then
                    bad ()

            found

        let items (closing: char) (item: unit -> 'a) : 'a list =
            let found = ResizeArray<'a>()
            blanks ()

            while peek () <> closing do
                found.Add(item ())
                blanks ()

                if peek () <> closing then
                    take ','
                    blanks ()

                    if peek () = closing && not lenient then
                        bad ()

            take closing
            List.ofSeq found

        let rec value depth : Written =
            blanks ()

            match peek () with
            | '{' ->
                if depth = 0 then
                    bad ()

                take '{'
                Obj(items '}' (fun () -> member' depth))
            | '[' ->
                if depth = 0 then
                    bad ()

                take '['
                Arr(items ']' (fun () -> value (depth - 1)))
            | '"' -> Str(quoted ())
            | 't' -> word "true" (Bool true)
            | 'f' -> word "false" (Bool false)
            | 'n' -> word "null" Null
            | _ -> number ()

        and member' depth =
            blanks ()
            let name = quoted ()
            blanks ()
            take ':'
            name, value (depth - 1)

        member _.Document() =
            let found = value deepest
            blanks ()

            if at <> text.Length then
                bad ()

            found

    let private parseWith (lenient: bool) (text: string) : Written option =
        try
            Some(Reader(text, lenient, 64).Document())
        with NotJson ->
            None

    /// JSON as its standard has it.
    let parse = parseWith false

    /// JSON with comments and commas before closing brackets.
    let parseLenient = parseWith true

    /// UTF-8 as its standard has it.
    let decode (bytes: byte[]) : string option =
        try
            Some(UTF8Encoding(false, true).GetString bytes)
        with :? DecoderFallbackException ->
            None

    /// True where some object holds a name more than once.
    let rec repeats (value: Written) =
        match value with
        | Obj members ->
            let names = List.map fst members
            List.length (List.distinct names) < names.Length || List.exists (snd >> repeats) members
        | Arr items -> List.exists repeats items
        | _ -> false

    let rec print (value: Written) : string =
        let quoted (text: string) =
            let escape (c: char) =
                if c = '"' || c = '\\' then $"\\{c}"
                elif c < ' ' || Char.IsSurrogate c then "\\u" + (int c).ToString "x4"
                else c.ToString()

            "\"" + String.collect escape text + "\""

        match value with
        | Null -> "null"
        | Bool true -> "true"
        | Bool false -> "false"
        | Num digits -> digits
        | Str text -> quoted text
        | Arr items -> "[" + String.concat "," (List.map print items) + "]"
        | Obj members -> "{" + String.concat "," [ for name, item in members -> $"{quoted name}:{print item}" ] + "}"

    /// The nearest double of a number as it is written.
    let number (digits: string) = Double.Parse(digits, NumberStyles.Float, CultureInfo.InvariantCulture)

/// Random choices that the number of an input decides.
type Chance(seed: int) =
    let random = Random seed
    member _.Below(count: int) = random.Next count
    member _.Between(low: int, high: int) = random.Next(low, high + 1)
    member _.One(items: 'a list) = items[random.Next items.Length]
    member _.Percent(share: int) = random.Next 100 < share
    member _.Bytes(count: int) = Array.init count (fun _ -> byte (random.Next 256))
    member chance.Shuffle(items: 'a list) = items |> List.sortBy (fun _ -> random.Next())

/// Writes a file that may be there already. Not File.WriteAllBytes: some file systems flush what is cut to nothing and written
/// anew, which takes milliseconds.
let overwrite (path: string) (bytes: byte[]) =
    use stream = new FileStream(path, FileMode.OpenOrCreate)
    stream.Write(ReadOnlySpan bytes)
    stream.SetLength bytes.LongLength

/// How a reader ended.
type Outcome<'a> =
    | Value of 'a
    /// A failure with its sentence
    | Refused of string
    /// Anything else: a fault
    | Crashed of exn

let outcome (read: unit -> 'a) : Outcome<'a> =
    try
        Value(read ())
    with
    | :? UserError as error -> Refused error.Failure.Sentence
    | error -> Crashed error

/// Tries the inputs of a run of seeds. `attempt` gives what is wrong with a seed's outcome. The test fails with the first
/// complaints, or where one input takes longer than ten seconds.
let fuzz (seeds: int seq) (attempt: int -> string option) : unit =
    let complaints = ResizeArray<string>()
    let mutable current = 0
    let mutable turns = 0L
    let mutable stop = false

    let work () =
        for seed in seeds do
            if not stop && complaints.Count < 5 then
                current <- seed
                turns <- turns + 1L

                try
                    attempt seed |> Option.iter (fun text -> complaints.Add $"seed {seed}: {text}")
                with error ->
                    complaints.Add $"seed {seed}: {error}"

    // 16 MB as on the main thread: a stack that is too small is no fault of a reader
    let thread = Thread(work, 16 <<< 20, IsBackground = true)
    thread.Start()
    let mutable seen, since = 0L, DateTime.UtcNow

    while not (thread.Join 50) && not stop do
        if turns <> seen then
            seen <- turns
            since <- DateTime.UtcNow
        elif DateTime.UtcNow - since > TimeSpan.FromSeconds 10.0 then
            stop <- true

    if stop then
        failtest $"seed {current} takes more than ten seconds"

    if complaints.Count > 0 then
        failtest (String.concat "\n" complaints)

/// What is wrong with a sentence: it must be one line that names the file.
let sentenceFault (place: string) (sentence: string) : string option =
    if sentence |> Seq.exists Char.IsControl then
        Some $"not one line: {sentence}"
    elif not (sentence.Contains(place, StringComparison.Ordinal)) then
        Some $"does not name {place}: {sentence}"
    else
        None
