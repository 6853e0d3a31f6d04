/// The models written for this project compile to the published environments' arrays.
module Sdac.Mujoco.Tests.ModelTests

open Expecto
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded

// Looks and names are our own: cameras, lights, textures, materials, and where names lie in the text buffer.
let private ours (field: string) =
    [ "cam_"; "light_"; "tex_"; "mat_"; "name_" ] |> List.exists field.StartsWith
    || List.contains field [ "ncam"; "nlight"; "ntex"; "ntexdata"; "nmat"; "nnames"; "nbuffer" ]

[<Tests>]
let tests =
    testList
        "models"
        [ for task in Tasks.NamesOf "v4" do
              testCase $"the compiled arrays, options, sizes and statistics are the published ones: {task}" (fun () ->
                  use model = Tasks.Create(task).LoadModel.Invoke()

                  for record in models task do
                      for part, prefix in [ "arrays", ""; "opt", "opt."; "stat", "stat."; "sizes", "" ] do
                          for item in (get part record).EnumerateObject() do
                              if not (ours item.Name) then
                                  Properties.same
                                      $"{task} {item.Name}"
                                      (numbers item.Value)
                                      (model[prefix + item.Name].ToArray()))

          testCase "fields carry MuJoCo's own shapes and types" (fun () ->
              use model = Tasks.Create("HalfCheetah-v4").LoadModel.Invoke()
              let range = model["actuator_ctrlrange"]
              Expect.equal (range.Rows, range.Columns, range.Type) (6, 2, FieldType.Double) "rows, columns and type"
              Expect.equal (model["body_pos"].Rows, model["body_pos"].Columns) (model.NBody, 3) "rows and columns"
              Expect.equal (model["jnt_limited"].Type) FieldType.Byte "type"
              Expect.equal model.StateSize (1 + 9 + 9 + 0 + 9) "state size")

          testCase "objects are found by name and named by number" (fun () ->
              use model = Tasks.Create("HalfCheetah-v4").LoadModel.Invoke()
              Expect.equal (model.Body "bfoot") 4 "body"
              Expect.equal (model.Id("geom", "ffoot")) 8 "id"
              Expect.equal (model.Id("geom", "wing")) (-1) "id"
              Expect.equal (model.NameOf("joint", 2)) "rooty" "name of") ]
