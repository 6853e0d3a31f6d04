/// The models written for this project compile to the published environments' arrays.
module Sdac.Mujoco.Tests.ModelTests

open Xunit
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded

// Looks and names are our own: cameras, lights, textures, materials, and where names lie in the text buffer.
let private ours (field: string) =
    [ "cam_"; "light_"; "tex_"; "mat_"; "name_" ] |> List.exists field.StartsWith
    || List.contains field [ "ncam"; "nlight"; "ntex"; "ntexdata"; "nmat"; "nnames"; "nbuffer" ]

[<Theory; MemberData("Names", MemberType = typeof<EveryTask>)>]
let ``the compiled arrays, options, sizes and statistics are the published ones`` (task: string) =
    use model = Tasks.Create(task).LoadModel.Invoke()

    for record in models task do
        for part, prefix in [ "arrays", ""; "opt", "opt."; "stat", "stat."; "sizes", "" ] do
            for item in (get part record).EnumerateObject() do
                if not (ours item.Name) then
                    Properties.same $"{task} {item.Name}" (numbers item.Value) (model[prefix + item.Name].ToArray())

[<Fact>]
let ``fields carry MuJoCo's own shapes and types`` () =
    use model = Tasks.Create("HalfCheetah-v4").LoadModel.Invoke()
    let range = model["actuator_ctrlrange"]
    Assert.Equal((6, 2, FieldType.Double), (range.Rows, range.Columns, range.Type))
    Assert.Equal((model.NBody, 3), (model["body_pos"].Rows, model["body_pos"].Columns))
    Assert.Equal(FieldType.Byte, model["jnt_limited"].Type)
    Assert.Equal(1 + 9 + 9 + 0 + 9, model.StateSize)

[<Fact>]
let ``objects are found by name and named by number`` () =
    use model = Tasks.Create("HalfCheetah-v4").LoadModel.Invoke()
    Assert.Equal(4, model.Body "bfoot")
    Assert.Equal(8, model.Id("geom", "ffoot"))
    Assert.Equal(-1, model.Id("geom", "wing"))
    Assert.Equal("rooty", model.NameOf("joint", 2))
