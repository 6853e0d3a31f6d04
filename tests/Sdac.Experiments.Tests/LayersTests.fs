/// The layers of the sources, as their project files state them.
module Sdac.Experiments.Tests.LayersTests

open System.IO
open System.Xml.Linq
open Expecto
open Sdac.Experiments.Tests.Support

/// The projects of src that each project of src may name, from the lowest layer up. All of a layer's own references are listed, those
/// that come through another layer too.
let private allowed =
    let engines = [ "Sdac.Environments"; "Sdac.Kernels" ]

    let core = engines @ [ "Sdac.LibTorch"; "Sdac.Mujoco"; "Sdac.PushT" ]

    Map
        [ "Sdac.Kernels", []
          "Sdac.LibTorch", [ "Sdac.Kernels" ]
          "Sdac.Environments", [ "Sdac.Kernels" ]
          "Sdac.Mujoco", engines
          "Sdac.PushT", engines
          "Sdac.Functional", core
          "Sdac.Sampling", "Sdac.Functional" :: core
          "Sdac.Experiments", [ "Sdac.Sampling"; "Sdac.Functional" ] @ core ]

/// The projects of src: name and file.
let private projects () =
    Directory.GetFiles(Path.Combine(repository, "src"), "*.*proj", SearchOption.AllDirectories)
    |> Array.map (fun file -> string (Path.GetFileNameWithoutExtension file), file)
    |> List.ofArray

/// The names of the projects that a project file references.
let private references (file: string) =
    [ for reference in XDocument.Load(file).Descendants() do
          if reference.Name.LocalName = "ProjectReference" then
              match reference.Attribute(XName.Get "Include") with
              | null -> ()
              | path -> string (Path.GetFileNameWithoutExtension(path.Value.Replace('\\', '/'))) ]

[<Tests>]
let tests =
    testList
        "layers"
        [ testCase "every project of src has its place, and references none above or beside it" (fun () ->
              let found = projects ()
              Expect.equal (set (List.map fst found)) (set allowed.Keys) "projects of src and of this test's list"

              for name, file in found do
                  for reference in references file do
                      Expect.contains allowed[name] reference $"{name} references {reference}") ]
