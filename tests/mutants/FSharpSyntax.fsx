/// Expressions of F# source text, by the compiler's own parser.
module FSharpSyntax

open System
open System.Collections
open System.Collections.Generic
open System.Reflection
open System.Text
open FSharp.Compiler.CodeAnalysis
open FSharp.Compiler.Syntax
open FSharp.Compiler.Text
open Microsoft.FSharp.Reflection

let private checker = FSharpChecker.Create()

/// The syntax tree, where the text has no error.
let parse (text: string) : ParsedInput option =
    let options = { FSharpParsingOptions.Default with SourceFiles = [| "Text.fs" |] }
    let parsed = checker.ParseFile("Text.fs", SourceText.ofString text, options) |> Async.RunSynchronously
    if parsed.ParseHadErrors then None else Some parsed.ParseTree

let private everything = BindingFlags.Public ||| BindingFlags.NonPublic
let private readers = Dictionary<Type, obj -> obj[]>()

/// The parts of a node of the tree; of what is no part of it (places, comments, names), none.
let private parts (node: obj) : obj[] =
    let fields (t: Type) : obj -> obj[] =
        let name = string t.FullName

        if
            name.Contains "Range"
            || name.Contains "Trivia"
            || name.Contains "Ident"
            || name.Contains ".Xml."
            || t = typeof<string>
            || t.IsPrimitive
            || t.IsEnum
        then
            fun _ -> [||]
        elif typeof<IEnumerable>.IsAssignableFrom t then
            fun node -> [| for part in (node :?> IEnumerable) -> part |]
        elif FSharpType.IsTuple t then
            FSharpValue.GetTupleFields
        elif FSharpType.IsUnion(t, everything) then
            let tag = FSharpValue.PreComputeUnionTagReader(t, everything)

            let cases =
                FSharpType.GetUnionCases(t, everything)
                |> Array.map (fun case -> FSharpValue.PreComputeUnionReader(case, everything))

            fun node -> cases[tag node] node
        elif FSharpType.IsRecord(t, everything) then
            FSharpValue.PreComputeRecordReader(t, everything)
        else
            fun _ -> [||]

    let t = node.GetType()

    match readers.TryGetValue t with
    | true, reader -> reader node
    | _ ->
        let reader = fields t
        readers[t] <- reader
        reader node

/// Every expression with what it stands in, outer ones first.
let expressions (tree: ParsedInput) : (SynExpr * SynExpr option) list =
    let found = ResizeArray()

    let rec walk (around: SynExpr option) (node: obj) =
        if not (isNull node) then
            let inside =
                match node with
                | :? SynExpr as e ->
                    found.Add((e, around))
                    Some e
                | _ -> around

            for part in parts node do
                walk inside part

    walk None tree
    List.ofSeq found

/// The name under which switches are asked in the copy.
let switch = "PlantedFaults.Switch.On"

let private isSwitch (condition: SynExpr) =
    match condition with
    | SynExpr.App(funcExpr = SynExpr.LongIdent(longDotId = name)) ->
        (name.LongIdent |> List.map _.idText |> String.concat ".") = switch
    | _ -> false

/// The shape of a tree with all switches off: two texts of the same shape mean the same.
let shape (tree: ParsedInput) : string =
    let said = StringBuilder()

    let rec walk (node: obj) =
        match node with
        | null -> ()
        | :? SynExpr as e ->
            match e with
            | SynExpr.Paren(expr = inner) -> walk inner
            | SynExpr.IfThenElse(ifExpr = condition; elseExpr = Some original) when isSwitch condition -> walk original
            | _ ->
                said.Append(e.GetType().Name).Append '(' |> ignore
                Array.iter walk (parts node)
                said.Append ')' |> ignore
        | :? SynPat ->
            said.Append(node.GetType().Name).Append '(' |> ignore
            Array.iter walk (parts node)
            said.Append ')' |> ignore
        | _ -> Array.iter walk (parts node)

    walk tree
    said.ToString()

/// Where each line of a text begins.
let lineStarts (text: string) : int[] =
    [| yield 0
       for i in 0 .. text.Length - 1 do
           if text[i] = '\n' then
               yield i + 1 |]

let span (starts: int[]) (range: range) : struct (int * int) =
    struct (starts[range.StartLine - 1] + range.StartColumn, starts[range.EndLine - 1] + range.EndColumn)

/// Whether an expression may be put in parentheses where it stands.
let canStandAlone (e: SynExpr, around: SynExpr option) : bool =
    let isFunction =
        match around with
        | Some(SynExpr.App(funcExpr = f)) -> obj.ReferenceEquals(f, e)
        | Some(SynExpr.TypeApp(expr = f)) -> obj.ReferenceEquals(f, e)
        | _ -> false

    let isArguments =
        match e, around with
        | SynExpr.Paren(expr = SynExpr.Tuple _), Some(SynExpr.App(argExpr = a)) -> obj.ReferenceEquals(a, e)
        | SynExpr.Paren(expr = SynExpr.Const(SynConst.Unit, _)), _ -> true
        | _ -> false

    match e with
    | SynExpr.Tuple(isStruct = false)
    | SynExpr.Typed _
    | SynExpr.YieldOrReturn _
    | SynExpr.ImplicitZero _ -> false
    | _ -> not isFunction && not isArguments

/// The heads of all bindings, with the places of the whole bindings.
let bindings (tree: ParsedInput) : (SynPat * range) list =
    let found = ResizeArray()

    let rec walk (node: obj) =
        match node with
        | null -> ()
        | :? SynBinding as binding ->
            let (SynBinding(headPat = head; expr = body; range = range)) = binding
            found.Add((head, Range.unionRanges range body.Range))
            Array.iter walk (parts node)
        | _ -> Array.iter walk (parts node)

    walk tree
    List.ofSeq found
