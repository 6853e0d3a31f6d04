namespace Sdac.Functional

open System
open System.Collections
open System.Reflection
open Microsoft.FSharp.Reflection

/// The fields of a value of any type, at any depth, for comparing two of them.
[<RequireQualifiedAccess>]
module internal StateFields =
    let private instance = BindingFlags.Instance ||| BindingFlags.Public ||| BindingFlags.NonPublic

    let rec private fieldsOf (ty: Type | null) : FieldInfo list =
        match ty with
        | null -> []
        | ty -> fieldsOf ty.BaseType @ List.ofArray (ty.GetFields(instance ||| BindingFlags.DeclaredOnly))

    /// "X" of the field that F# makes for the record's X, and of the one that C# makes for a property.
    let private nameOf (field: FieldInfo) =
        match field.Name.IndexOf '>' with
        | close when field.Name.StartsWith '<' && close > 0 -> field.Name.Substring(1, close - 1)
        | _ -> field.Name.TrimEnd '@'

    /// What is compared as a whole: numbers, texts, keys, functions, and sequences, whose lengths may differ.
    let private isWhole (value: obj) =
        let ty = value.GetType()

        ty.IsPrimitive
        || ty.IsEnum
        || FSharpType.IsUnion(ty, true)
        || value :? string
        || value :? decimal
        || value :? Key
        || value :? Delegate
        || value :? IEnumerable
        || FSharpType.IsFunction ty
        || (fieldsOf ty).IsEmpty

    let rec private equal (a: obj | null) (b: obj | null) : bool =
        match a, b with
        | (:? float as a), (:? float as b) -> BitConverter.DoubleToInt64Bits a = BitConverter.DoubleToInt64Bits b
        | (:? string as a), (:? string as b) -> a = b
        | (:? IEnumerable as a), (:? IEnumerable as b) ->
            let a, b = Array.ofSeq (Seq.cast<obj> a), Array.ofSeq (Seq.cast<obj> b)
            a.Length = b.Length && Array.forall2 equal a b
        | NonNull x, NonNull y when not (isWhole x) && x.GetType() = y.GetType() ->
            fieldsOf (x.GetType()) |> List.forall (fun field -> equal (field.GetValue x) (field.GetValue y))
        | _ -> Object.Equals(a, b)

    /// Each field's path, and whether both values have the same in it. What holds nothing is left out.
    let rec compare (path: string) (a: obj | null) (b: obj | null) : (string * bool) list =
        match a, b with
        | NonNull x, NonNull y when not (isWhole x) && x.GetType() = y.GetType() ->
            fieldsOf (x.GetType())
            |> List.collect (fun field ->
                let name = nameOf field
                compare (if path = "" then name else $"{path}.{name}") (field.GetValue x) (field.GetValue y))
        | (:? ICollection as x), _ when x.Count = 0 -> []
        | null, null -> []
        | _ -> [ path, equal a b ]
