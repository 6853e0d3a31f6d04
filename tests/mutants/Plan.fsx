/// Which way each fault is switched, such that everything compiles.
module Plan

open System
open System.Collections.Generic
open System.IO
open System.Text.RegularExpressions
open Faults
open Places

/// A fault with its number, the ways that are left to switch it (the first is taken), and nothing left where it is built alone.
type Planned = { Number: int; Fault: Fault; Ways: Way list }

let private isCode (file: string) =
    // what runs inside the build has no switch
    (file.EndsWith ".fs" || file.EndsWith ".cs") && not (file.Contains "/build/")

let private next (p: Planned) = { p with Ways = p.Ways.Tail }

/// The next piece of text: the compiler does not mind where lines break.
let private larger (p: Planned) = { p with Ways = p.Ways |> List.skipWhile (fun w -> w.Place = p.Ways.Head.Place) }

let private text (original: string) (planned: Planned list) =
    planned
    |> List.choose (fun p -> p.Ways |> List.tryHead |> Option.map (fun way -> p.Number, way))
    |> switched original

/// Goes on to the next way where the first does not parse to the same tree.
let private parsing (original: string) (planned: Planned list) : Planned list =
    let same = FSharpPlaces.sameShape original

    let rec one (p: Planned) = if p.Ways.IsEmpty || same (text original [ p ]) then p else one (next p)

    // Together they are checked first: that one by one all parse is dear and nearly always needless.
    let rec all (accepted: Planned list) (left: Planned list) =
        match left with
        | [] -> List.rev accepted
        | p :: rest ->
            let rec fitting (p: Planned) =
                let p = one p

                if p.Ways.IsEmpty || same (text original (p :: accepted)) then
                    p
                else
                    fitting (next p)

            all (fitting p :: accepted) rest

    if same (text original planned) then planned else all [] planned

let make (faults: (int * Fault) list) : Planned list =
    faults
    |> List.groupBy (fun (_, f) -> f.File)
    |> List.collect (fun (file, faults) ->
        let original = Copy.source file
        let only = List.map snd faults

        let ways =
            if not (isCode file) then faults |> List.map (fun _ -> [])
            elif file.EndsWith ".fs" then FSharpPlaces.ways original only
            else CSharpPlaces.ways original only

        let planned =
            List.map2 (fun (number, fault) ways -> { Number = number; Fault = fault; Ways = ways }) faults ways

        if file.EndsWith ".fs" then parsing original planned else planned)

/// Writes every file that has switches.
let write (planned: Planned list) : unit =
    for file, planned in List.groupBy _.Fault.File planned do
        Copy.write file (text (Copy.source file) planned)

/// The switches in whose text a line of a switched file lies, the innermost last.
let private at (line: int) (file: string) (planned: Planned list) : Planned list =
    let original = Copy.source file
    let switchedText = text original planned
    let lines = switchedText.Split '\n'
    let asked = Regex @"PlantedFaults\.Switch\.On\((\d+)\)"
    // the nearest switch that is asked at or before the line
    lines[.. min line lines.Length - 1]
    |> Seq.collect (fun l -> asked.Matches l)
    |> Seq.tryLast
    |> Option.toList
    |> List.collect (fun m -> planned |> List.filter (fun p -> string p.Number = m.Groups[1].Value))

let private complaint =
    Regex(@"^\s*(?<file>/[^(\n]+)\((?<line>\d+),\d+\): error (?<what>[^\n\[]*)", RegexOptions.Multiline)

/// The plan after a build that failed: where the compiler complains, the next way is taken.
let after (output: string) (planned: Planned list) : Planned list =
    let blamed = HashSet<int>()

    for m in complaint.Matches output do
        let file = Path.GetRelativePath(Copy.folder, m.Groups["file"].Value)
        let here = planned |> List.filter (fun p -> p.Fault.File = file && not p.Ways.IsEmpty)

        for p in at (int m.Groups["line"].Value) file here do
            if blamed.Add p.Number then
                let what = m.Groups["what"].Value.Trim()
                eprintfn $"  {p.Fault.Name}: {what}"

    if blamed.Count = 0 then
        failwith $"the copy does not build: {output}"

    // a generated fault that is no code is none
    planned
    |> List.map (fun p ->
        if not (blamed.Contains p.Number) then p
        elif p.Fault.Generated then { p with Ways = [] }
        else larger p)
