/// Faults made mechanically: a seed picks their sites in the pure code.
module Generator

open System
open System.Globalization
open System.Security.Cryptography
open System.Text
open System.Text.RegularExpressions
open FSharp.Compiler.Syntax
open Faults

/// What is done to the code, in the order in which a round takes one of each.
let private kinds = [ "constant"; "sign"; "comparison"; "call"; "key"; "line" ]

type private Site = { Kind: string; From: int; Until: int; New: string }

let private operators =
    Map
        [ "op_Addition", ("sign", "+", "-")
          "op_Subtraction", ("sign", "-", "+")
          "op_Multiply", ("sign", "*", "/")
          "op_Division", ("sign", "/", "*")
          "op_LessThan", ("comparison", "<", "<=")
          "op_LessThanOrEqual", ("comparison", "<=", "<")
          "op_GreaterThan", ("comparison", ">", ">=")
          "op_GreaterThanOrEqual", ("comparison", ">=", ">")
          "op_BooleanAnd", ("comparison", "&&", "||")
          "op_BooleanOr", ("comparison", "||", "&&") ]

let private calls =
    Map
        [ for a, b in
              [ "add", "sub"
                "mul", "div"
                "minimum", "maximum"
                "lt", "gt"
                "le", "ge"
                "min", "max"
                "clamp_min", "clamp_max"
                "amax", "amin"
                "mean", "sum"
                "exp", "square" ] do
              a, b
              b, a ]

let private literal (text: string) : string option =
    let number = Regex.Match(text, @"^(?<value>[0-9][0-9_]*)(?<suffix>L?)$")

    if number.Success then
        let value = Int64.Parse(number.Groups["value"].Value.Replace("_", ""))
        let suffix = number.Groups["suffix"].Value
        Some $"{value + 1L}{suffix}"
    else
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, 0.0 -> Some "1.0"
        | true, value -> Some((2.0 * value).ToString("0.0###############", CultureInfo.InvariantCulture))
        | _ -> None

/// What says what the code is, not what it does: texts, published settings and checks of settings have tests of another kind.
let private isDescription (name: string) =
    Regex.IsMatch(
        name,
        "^(published|presets?|describe|problems?|figures|title|algorithm|names?|settings|check|refuse|print|text)",
        RegexOptions.IgnoreCase
    )

let rec private nameOf (pattern: SynPat) =
    match pattern with
    | SynPat.Named(ident = SynIdent(ident = i)) -> i.idText
    | SynPat.LongIdent(longDotId = i) -> (List.last i.LongIdent).idText
    | SynPat.Typed(pat = inner)
    | SynPat.Paren(pat = inner) -> nameOf inner
    | _ -> ""

/// A field of published settings: what it is was chosen by others, and no property follows from it.
let private isSetting (line: string) =
    let field = Regex.Match(line, @"^[{\s]*([A-Za-z]+\.)*[A-Z][A-Za-z]+ = (?<value>.*)$")
    // without a name of a value or function it is a constant
    field.Success && not (Regex.IsMatch(field.Groups["value"].Value, @"\b[a-z_]\w*"))

/// Conditions under which an argument is refused.
let private isRefused (lines: string[]) (i: int) =
    lines[i + 1 .. i + 2]
    |> Array.exists (fun line -> Regex.IsMatch(line, "invalidArg|failwith|raise|Error|refuse|Checks\\."))

/// The lines of a description, and of what fails by a sentence.
let private described (text: string) (tree: ParsedInput) : Set<int> =
    let lines = text.Split '\n'

    Set
        [ for name, range in FSharpSyntax.bindings tree |> List.map (fun (p, r) -> nameOf p, r) do
              if isDescription name then
                  yield! [ range.StartLine .. range.EndLine ]

          for i, line in Array.indexed lines do
              if
                  line.Contains '"'
                  || line.Contains "failwith"
                  || line.Contains "invalidArg"
                  || line.Contains "Literal"
                  || isSetting line
                  || isRefused lines i
              then
                  i + 1 ]

let private sites (text: string) : Site list =
    let starts = FSharpSyntax.lineStarts text

    match FSharpSyntax.parse text with
    | None -> []
    | Some tree ->
        let described = described text tree

        let isKey (e: SynExpr option) =
            match e with
            | Some(SynExpr.DotIndexedGet(objectExpr = SynExpr.Ident i)) -> i.idText.StartsWith "key"
            | Some(SynExpr.App(funcExpr = SynExpr.LongIdent(longDotId = i))) ->
                i.LongIdent.Head.idText = "Key" && (List.last i.LongIdent).idText <> "splitMany"
            | _ -> false

        // one key more changes none of the others
        let isCount (e: SynExpr option) =
            match e with
            | Some(SynExpr.App(funcExpr = SynExpr.LongIdent(longDotId = i))) ->
                (List.last i.LongIdent).idText = "splitMany"
            | _ -> false

        let ofSpan kind struct (first, last) change =
            change (text.Substring(first, last - first))
            |> Option.map (fun changed -> { Kind = kind; From = first; Until = last; New = changed })
            |> Option.toList

        [ for e, around in FSharpSyntax.expressions tree do
              if not (described.Contains e.Range.StartLine) then
                  match e with
                  | SynExpr.Const _ when isCount around -> ()
                  | SynExpr.Const(SynConst.Int32 _, range)
                  | SynExpr.Const(SynConst.Int64 _, range)
                  | SynExpr.Const(SynConst.Double _, range) ->
                      let kind = if isKey around then "key" else "constant"
                      yield! ofSpan kind (FSharpSyntax.span starts range) literal
                  | SynExpr.App(isInfix = true; funcExpr = SynExpr.LongIdent(longDotId = SynLongIdent(id = [ name ]))) ->
                      match operators.TryFind name.idText with
                      | Some(kind, symbol, other) ->
                          yield!
                              ofSpan kind (FSharpSyntax.span starts name.idRange) (fun t ->
                                  if t = symbol then Some other else None)
                      | None -> ()
                  | SynExpr.LongIdent(longDotId = SynLongIdent(id = names))
                  | SynExpr.DotGet(longDotId = SynLongIdent(id = names)) when names.Length > 0 ->
                      let name = List.last names

                      match calls.TryFind name.idText with
                      | Some other when around |> Option.exists (fun a -> a.IsApp) ->
                          yield! ofSpan "call" (FSharpSyntax.span starts name.idRange) (fun _ -> Some other)
                      | _ -> ()
                  // a field of a record that keeps its old value
                  | SynExpr.Record(copyInfo = Some _; recordFields = fields) when fields.Length > 1 ->
                      for SynExprRecordField(fieldName = ((field, _)); expr = value) in fields do
                          match value with
                          | Some v when field.Range.StartLine = v.Range.EndLine ->
                              let line = field.Range.StartLine
                              let first, last = starts[line - 1], starts[line]
                              let whole = text.Substring(first, last - first).Trim()

                              if whole.StartsWith((List.last field.LongIdent).idText) && not (whole.EndsWith '}') then
                                  { Kind = "line"; From = first; Until = last; New = "" }
                          | _ -> ()
                  // a step of a pipeline that is left out
                  | SynExpr.App(
                      argExpr = step
                      funcExpr = SynExpr.App(isInfix = true; funcExpr = SynExpr.LongIdent(longDotId = pipe))) when
                      (List.last pipe.LongIdent).idText = "op_PipeRight" && step.Range.StartLine = step.Range.EndLine
                      ->
                      let line = step.Range.StartLine
                      let first, last = starts[line - 1], starts[line]
                      let whole = text.Substring(first, last - first).Trim()

                      if whole.StartsWith "|> " && not (whole.EndsWith ')' && whole.Contains "fun ") then
                          { Kind = "line"; From = first; Until = last; New = "" }
                  | _ -> () ]
        |> List.filter (fun site -> not (described.Contains(1 + text.AsSpan(0, site.From).Count '\n')))
        |> List.distinct

/// A random order that changes little when sites come and go: each has a number of its own, by the seed and its text.
let private order (seed: int) (text: string) =
    Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes $"{seed} {text}"))

/// About `count` faults in the files that have tests, of every kind alike, no two in one line.
let faults
    (seed: int)
    (count: int)
    (tests: string -> Tests list)
    (source: string -> string)
    (files: string list)
    : Fault list =
    let all =
        [ for file in files do
              if not (List.isEmpty (tests file)) then
                  let text = source file

                  for site in sites text do
                      let fault =
                          { Name = ""
                            Title = ""
                            File = file
                            Tests = tests file
                            Start = site.From
                            End = site.Until
                            To = site.New
                            Generated = true }

                      let said = Fault.text text fault

                      { fault with
                          Name = $"generated-{site.Kind}-{(order 0 said).Substring(0, 6).ToLowerInvariant()}"
                          Title = said },
                      site.Kind ]

    let ordered kind =
        all
        |> List.filter (fun (_, k) -> k = kind)
        |> List.map fst
        |> List.sortBy (fun f -> order seed f.Title)
        |> List.distinctBy (fun f -> f.File, Fault.lineNumber (source f.File) f)

    let queues = kinds |> List.map ordered
    let rounds = List.init count (fun i -> queues |> List.choose (List.tryItem i)) |> List.concat
    rounds |> List.distinctBy _.Name |> List.truncate count
