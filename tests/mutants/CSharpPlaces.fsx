/// Where a fault in C# can be put behind a switch: expressions and statements that hold it, the smallest first.
module CSharpPlaces

open System.Collections.Generic
open Microsoft.CodeAnalysis
open Microsoft.CodeAnalysis.CSharp
open Microsoft.CodeAnalysis.CSharp.Syntax
open Faults
open Places

/// Places that only a constant may stand in, or no value at all.
let private isFixed (node: SyntaxNode) =
    node.AncestorsAndSelf()
    |> Seq.exists (fun n ->
        match n with
        | :? AttributeSyntax
        | :? CaseSwitchLabelSyntax
        | :? PatternSyntax
        | :? EnumMemberDeclarationSyntax -> true
        | :? FieldDeclarationSyntax as f -> f.Modifiers.Any SyntaxKind.ConstKeyword
        | :? LocalDeclarationStatementSyntax as l -> l.IsConst
        | :? EqualsValueClauseSyntax as e -> e.Parent :? ParameterSyntax
        | _ -> false)

let private isValue (e: ExpressionSyntax) =
    match e, e.Parent with
    | (:? TypeSyntax as t), _ when not (t :? SimpleNameSyntax || t :? QualifiedNameSyntax) -> false
    | :? InitializerExpressionSyntax, _
    | :? DeclarationExpressionSyntax, _
    | :? AssignmentExpressionSyntax, _
    | :? RefExpressionSyntax, _
    | :? StackAllocArrayCreationExpressionSyntax, _ -> false
    | _, (:? InvocationExpressionSyntax as call) -> not (obj.ReferenceEquals(call.Expression, e))
    | _, (:? MemberAccessExpressionSyntax as access) -> not (obj.ReferenceEquals(access.Name, e))
    | _, (:? AssignmentExpressionSyntax as a) -> not (obj.ReferenceEquals(a.Left, e))
    | _, (:? ArgumentSyntax as a) -> a.RefKindKeyword.IsKind SyntaxKind.None
    | _, (:? ExpressionStatementSyntax) -> false
    | _ -> true

type private Piece =
    | Value
    | Statement

let private pieces (text: string) : (struct (int * int) * Piece) list =
    let root = CSharpSyntaxTree.ParseText(text).GetRoot()

    [ for node in root.DescendantNodes() do
          if not (isFixed node) then
              match node with
              | :? ExpressionSyntax as e when isValue e -> struct (e.SpanStart, e.Span.End), Value
              | :? LocalDeclarationStatementSyntax
              | :? LocalFunctionStatementSyntax -> ()
              | :? StatementSyntax as s -> struct (s.SpanStart, s.Span.End), Statement
              | _ -> () ]

let private wrap (piece: Piece) (number: int) (p: Place) (rendered: string) : string =
    let on = $"global::PlantedFaults.Switch.On({number})"

    match piece with
    | Value -> $"({on} ? ({p.Instead}) : ({rendered}))"
    | Statement -> $"{{ if ({on}) {{ {p.Instead} }} else {{ {rendered} }} }}"

let ways (original: string) (faults: Fault list) : Way list list =
    let own = pieces original

    faults
    |> List.map (fun f ->
        let f = Fault.trimmed original f
        let text = Fault.planted original f
        let longer = f.To.Length - (f.End - f.Start)
        let others = HashSet(pieces text)

        [ for (struct (first, last), piece) in own do
              if first <= f.Start && last >= f.End && others.Contains((struct (first, last + longer), piece)) then
                  { Place = { First = first; Last = last; Instead = text.Substring(first, last + longer - first) }
                    Wrap = wrap piece } ]
        |> List.sortBy (fun w -> w.Place.Last - w.Place.First)
        |> List.truncate 6)
