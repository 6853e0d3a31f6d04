module Sdac.Torch.Tests.SurfaceTests

open System
open System.IO
open System.Reflection
open TorchSharp
open Xunit

let private carried =
    use stream = nonNull (Assembly.GetExecutingAssembly().GetManifestResourceStream "surface.txt")
    use reader = new StreamReader(stream)
    reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries) |> set

let private ours = PublicMembers.ofAssembly typeof<torch.Tensor>.Assembly |> set

/// The full list stands in ../shared beside the checkout, or where SDAC_SHARED says.
let private sharedList =
    let rec above (folder: DirectoryInfo | null) =
        match folder with
        | null -> None
        | f when File.Exists(Path.Combine(f.FullName, "Sdac.Functional.sln")) -> Some f
        | f -> above f.Parent

    let folder =
        match Environment.GetEnvironmentVariable "SDAC_SHARED" with
        | null ->
            above (DirectoryInfo AppContext.BaseDirectory)
            |> Option.map (fun root -> Path.Combine(root.FullName, "..", "shared"))
        | set -> Some set

    folder |> Option.map (fun f -> Path.Combine(f, "torchsharp-api.txt")) |> Option.filter File.Exists

[<Fact>]
let ``every public member is one of TorchSharp's, signature for signature`` () =
    Assert.Equal<string list>([], Set.toList (ours - carried))

[<Fact>]
let ``every carried line is implemented`` () = Assert.Equal<string list>([], Set.toList (carried - ours))

[<Fact>]
let ``the carried lines are part of the list that TorchSharp's releases share`` () =
    match sharedList with
    | None -> () // the list is not part of the repository
    | Some path -> Assert.Equal<string list>([], Set.toList (carried - set (File.ReadAllLines path)))
