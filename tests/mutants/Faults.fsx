/// What a planted fault is, and how the hand-written ones are read.
module Faults

open System
open System.IO

/// A test project and the words that choose its tests.
type Tests = { Project: string; Words: string list }

/// A text of a source file, from Start to before End, gives way to another.
type Fault =
    { Name: string
      Title: string
      File: string
      Tests: Tests list
      Start: int
      End: int
      To: string
      Generated: bool }

module Fault =
    /// The whole file with the fault in it.
    let planted (original: string) (f: Fault) : string =
        original.Substring(0, f.Start) + f.To + original.Substring f.End

    /// The same fault without the ends that both texts share.
    let trimmed (original: string) (f: Fault) : Fault =
        let from = original.Substring(f.Start, f.End - f.Start)
        let most = min from.Length f.To.Length
        let mutable head = 0

        while head < most && from[head] = f.To[head] do
            head <- head + 1

        let mutable tail = 0

        while tail < most - head && from[from.Length - 1 - tail] = f.To[f.To.Length - 1 - tail] do
            tail <- tail + 1

        { f with
            Start = f.Start + head
            End = f.End - tail
            To = f.To.Substring(head, f.To.Length - head - tail) }

    let private lineAt (text: string) (at: int) : string =
        let first = text.LastIndexOf('\n', max 0 (at - 1)) + 1
        let last = if at < text.Length then text.IndexOf('\n', at) else -1
        text.Substring(first, (if last < 0 then text.Length else last) - first).Trim()

    /// What a generated fault is known by where lines move: the file's name, and its line before and after.
    let text (original: string) (f: Fault) : string =
        let line (text: string) = lineAt text f.Start
        $"{Path.GetFileName f.File} | {line original} => {line (planted original f)}"

    let lineNumber (original: string) (f: Fault) : int = 1 + (original.AsSpan(0, f.Start).Count '\n')

/// `Project word word`.
let tests (text: string) : Tests =
    match text.Split(' ', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray with
    | project :: words -> { Project = project; Words = words }
    | [] -> failwith "tests: names a project and words of its tests"

/// A .mutant file: its title, `file:`, one or several `tests:`, and the text to be replaced (behind ---) by another (behind +++).
/// A file that has moved to another folder is found by its name.
let read (files: string list) (source: string -> string) (path: string) : Result<Fault, string> =
    let name = string (Path.GetFileNameWithoutExtension path)
    let text = File.ReadAllText path
    let head, body = let i = text.IndexOf "---\n" in text.Substring(0, i), text.Substring(i + 4)
    let lines = head.Split '\n'

    let fields (name: string) =
        [ for line in lines do
              if line.StartsWith $"{name}: " then
                  line.Substring(name.Length + 2) ]

    let middle = body.IndexOf "\n+++\n"
    let from = body.Substring(0, middle)
    let said = List.exactlyOne (fields "file")
    let ofName = files |> List.filter (fun f -> Path.GetFileName f = Path.GetFileName said)

    match (if List.contains said files then [ said ] else ofName) with
    | [ file ] ->
        let original = source file

        match original.Split(from).Length - 1 with
        | 1 ->
            let at = original.IndexOf(from, StringComparison.Ordinal)

            Ok
                { Name = name
                  Title = lines[0]
                  File = file
                  Tests = fields "tests" |> List.map tests
                  Start = at
                  End = at + from.Length
                  To = body.Substring(middle + 5).TrimEnd '\n'
                  Generated = false }
        | count -> Error $"{name}: its text is {count} times in {file}: bring the fault up to date"
    | _ -> Error $"{name}: {said} is not there: bring the fault up to date"

/// The lines of a list without comments and empty ones.
let private linesOf (path: string) =
    File.ReadAllLines path
    |> Array.map _.TrimEnd()
    |> Array.filter (fun line -> line <> "" && not (line.StartsWith '#'))
    |> List.ofArray

/// areas.txt: the tests of a source file, by its name without folders.
let areas (path: string) : string -> Tests list =
    let table =
        linesOf path
        |> List.map (fun line ->
            let space = line.IndexOf ' '
            line.Substring(0, space), tests (line.Substring(space + 1)))
        |> List.groupBy fst
        |> List.map (fun (file, rows) -> file, List.map snd rows)
        |> Map

    fun file -> table |> Map.tryFind (string (Path.GetFileName file)) |> Option.defaultValue []

/// equivalent.txt: what no test can notice. A line has a fault's name or text, the indented one below it says why.
let equivalent (path: string) : Set<string> = linesOf path |> List.filter (fun line -> not (line.StartsWith ' ')) |> Set
