/// Public members of an assembly, one line each, in the notation of the list that TorchSharp's releases share.
module Sdac.Torch.Tests.PublicMembers

open System
open System.Globalization
open System.Reflection

let private flags =
    BindingFlags.Public ||| BindingFlags.Instance ||| BindingFlags.Static ||| BindingFlags.DeclaredOnly

let private withoutPrefix (name: string) =
    [ "System."; "TorchSharp." ]
    |> List.fold (fun (n: string) prefix -> if n.StartsWith prefix then n.Substring prefix.Length else n) name

let rec private typeName (t: Type) =
    match Nullable.GetUnderlyingType t, t.GetElementType() with
    | NonNull value, _ -> typeName value + "?"
    | _, NonNull element when t.IsByRef -> "ref " + typeName element
    | _, NonNull element -> typeName element + "[" + String(',', t.GetArrayRank() - 1) + "]"
    | _ when t.IsGenericParameter -> t.Name
    | _ ->
        let definition = if t.IsGenericType then t.GetGenericTypeDefinition() else t
        let bare = (string definition.FullName).Replace('+', '.').Split('`')[0] |> withoutPrefix

        if t.IsGenericType then
            let arguments = t.GetGenericArguments() |> Array.map typeName |> String.concat ","
            $"{bare}<{arguments}>"
        else
            bare

let private defaultText (p: ParameterInfo) =
    if not p.HasDefaultValue then
        ""
    else
        match p.RawDefaultValue with
        | null -> "=null"
        | value when p.ParameterType.IsEnum -> $"={Enum.ToObject(p.ParameterType, value)}"
        | value -> "=" + Convert.ToString(value, CultureInfo.InvariantCulture)

let private parameters withDefaults (ps: ParameterInfo[]) =
    ps
    |> Array.map (fun p -> $"{typeName p.ParameterType} {p.Name}" + (if withDefaults then defaultText p else ""))
    |> String.concat ", "

let private memberLine (owner: string) (m: MemberInfo) =
    match m with
    | :? ConstructorInfo as c -> Some $"{owner}::.ctor({parameters false (c.GetParameters())})"
    | :? MethodInfo as f when f.IsSpecialName && not (f.Name.StartsWith "op_") -> None
    | :? MethodInfo as f -> Some $"{owner}::{f.Name}({parameters true (f.GetParameters())}) : {typeName f.ReturnType}"
    | :? PropertyInfo as p ->
        let indices = p.GetIndexParameters() |> Array.map (fun i -> typeName i.ParameterType)
        let index = if indices.Length = 0 then "" else "[" + String.Join(", ", indices) + "]"
        let accessors = (if p.CanRead then "get; " else "") + (if p.CanWrite then "set; " else "")
        Some $"{owner}::{p.Name}{index} {{ {accessors}}} : {typeName p.PropertyType}"
    | :? FieldInfo as f -> Some $"{owner}::{f.Name} : {typeName f.FieldType}"
    | _ -> None

/// Sorted and without repetitions.
let ofAssembly (assembly: Assembly) =
    assembly.GetExportedTypes()
    |> Seq.collect (fun t -> t.GetMembers flags |> Seq.choose (memberLine (typeName t)))
    |> Seq.distinct
    |> Seq.sortWith (fun a b -> String.CompareOrdinal(a, b))
    |> List.ofSeq
