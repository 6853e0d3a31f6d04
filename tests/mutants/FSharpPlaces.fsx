/// Where a fault in F# can be put behind a switch: expressions that hold it, the smallest first.
module FSharpPlaces

open System
open System.Collections.Generic
open Faults
open Places

let private spans (text: string) =
    let starts = FSharpSyntax.lineStarts text

    FSharpSyntax.parse text
    |> Option.map (fun tree ->
        FSharpSyntax.expressions tree
        |> List.filter FSharpSyntax.canStandAlone
        |> List.map (fun (e, _) -> FSharpSyntax.span starts e.Range))

/// Line breaks inside strings would be moved with the text.
let private canMove (text: string) = not (text.Contains "\"\"\"" && text.Contains '\n') && not (text.Contains "\n#")

let private places (original: string) (f: Fault) (own: struct (int * int) list) : Place list =
    let f = Fault.trimmed original f
    let text = Fault.planted original f
    let longer = f.To.Length - (f.End - f.Start)

    match spans text with
    | None -> []
    | Some others ->
        let others = HashSet others

        [ for struct (first, last) in own do
              if
                  first <= f.Start && last >= f.End && first < last && others.Contains(struct (first, last + longer))
              then
                  { First = first; Last = last; Instead = text.Substring(first, last + longer - first) } ]
        |> List.filter (fun p -> canMove (original.Substring(p.First, p.Last - p.First)) && canMove p.Instead)
        |> List.distinct
        |> List.sortBy (fun p -> p.Last - p.First)

let private column (text: string) (at: int) = at - (if at = 0 then 0 else text.LastIndexOf('\n', at - 1) + 1)

let private moved (text: string) =
    text.Split '\n'
    |> Array.mapi (fun i line -> if i = 0 || String.IsNullOrWhiteSpace line then line else "        " + line)
    |> String.concat "\n"

/// Columns carry meaning: everything of an expression is moved by as much, and `NextLine` keeps what follows in its column.
let private wrap (nextLine: bool) (original: string) (number: int) (p: Place) (rendered: string) : string =
    let at = column original p.First
    let pad count = String(' ', count)

    let switched =
        if rendered.Contains '\n' || p.Instead.Contains '\n' then
            $"(if {FSharpSyntax.switch}({number}) then\n{pad (at + 8)}{moved p.Instead}\n{pad (at + 1)}else\n{pad (at + 8)}{moved rendered})"
        else
            $"(if {FSharpSyntax.switch}({number}) then ({p.Instead}) else ({rendered}))"

    let follows = p.Last < original.Length && original[p.Last] = ' '

    if nextLine && follows then
        $"{switched}\n{pad (column original p.Last)}"
    else
        switched

/// All faults of a file: for each the ways of switching it, in the order in which they are to be tried.
let ways (original: string) (faults: Fault list) : Way list list =
    match spans original with
    | None -> faults |> List.map (fun _ -> [])
    | Some own ->
        faults
        |> List.map (fun f ->
            [ for place in places original f own |> List.truncate 6 do
                  for nextLine in [ false; true ] do
                      { Place = place; Wrap = wrap nextLine original } ])

/// Whether a text with switches means what the original does while they are off.
let sameShape (original: string) : string -> bool =
    let shape text = FSharpSyntax.parse text |> Option.map FSharpSyntax.shape
    let own = shape original
    fun text -> shape text = own
