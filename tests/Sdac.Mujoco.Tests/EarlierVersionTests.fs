/// Gym's v2 and v3 as rules over the models of v4, whose recordings say what their numbers are.
module Sdac.Mujoco.Tests.EarlierVersionTests

open System
open System.Collections.Generic
open System.IO
open Expecto
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded
open Sdac.Testing

let private create (task: string) (options: (string * objnull) list) = Tasks.Create(task, Dictionary(dict options))

/// Observations, rewards and ends of a task along the start and the actions of v4's recording.
let private played (task: TaskDefinition) (steps: int) =
    let recorded = environments $"{task.Name.Substring(0, task.Name.LastIndexOf '-')}-v4" |> List.last
    let spec = get "spec" recorded
    let low, high = numbers (get "ctrlrange_low" spec), numbers (get "ctrlrange_high" spec)

    let init =
        (get "trajectories" recorded).EnumerateArray()
        |> Seq.find (fun trajectory -> (get "name" trajectory).GetString() = "init")

    use env = new Env(task)
    env.SetState(ReadOnlySpan(numbers (get "qpos_in" init)), ReadOnlySpan(numbers (get "qvel_in" init)))

    [ for k in 0 .. steps - 1 do
          env.Step(ReadOnlySpan(action low high k))
          env.Obs.ToArray(), env.Reward, env.Terminated, env.Info.ToArray() ]

let private obs (played: (float[] * float * bool * float[]) list) = played |> List.map (fun (o, _, _, _) -> o)
let private rewards played = played |> List.map (fun (_: float[], r: float, _: bool, _: float[]) -> r)
let private ends played = played |> List.map (fun (_: float[], _: float, t: bool, _: float[]) -> t)

let private close (what: string) (expected: float) (actual: float) =
    if not (abs (actual - expected) <= 1e-12 * (1.0 + abs expected)) then
        failwith $"{what}: {actual:R} instead of {expected:R}"

/// The tasks of both versions that are v4 in every number.
let private same =
    [ for task in [ "HalfCheetah"; "Hopper"; "Swimmer"; "Walker2d" ] do
          yield! [ $"{task}-v3"; $"{task}-v2" ]

      for task in [ "Reacher"; "Pusher"; "InvertedPendulum"; "InvertedDoublePendulum" ] do
          $"{task}-v2" ]

/// Figures of v4 by name, from what is shown under another version.
let private figures (task: TaskDefinition) played =
    [ for name in task.InfoNames ->
          name, played |> List.map (fun (_, _, _, info: float[]) -> info[Seq.findIndex ((=) name) task.InfoNames]) ]

let private forces = 84

[<Tests>]
let tests =
    testList
        "Gym's v2 and v3"
        [ testCase "where contact forces play no part, they are v4 bit for bit" (fun () ->
              for name in same do
                  let now, before = Tasks.Create name, Tasks.Create(name.Substring(0, name.Length - 1) + "4")
                  let a, b = played now 60, played before 60
                  Properties.same $"{name}: obs" (Array.concat (obs b)) (Array.concat (obs a))
                  Properties.same $"{name}: rewards" (Array.ofList (rewards b)) (Array.ofList (rewards a))
                  Expect.equal (ends a) (ends b) $"{name}: ends"
                  Expect.equal now.MaxEpisodeSteps before.MaxEpisodeSteps $"{name}: limit"
                  let known = figures before b

                  for figure, values in figures now a do
                      Expect.equal values (List.find (fst >> (=) figure) known |> snd) $"{name}: {figure}")

          testCase "Humanoid pays for the forces that it sees" (fun () ->
              let v4 = played (Tasks.Create "Humanoid-v4") 60

              for version, tolerance in [ "v3", 0.0; "v2", 1e-12 ] do
                  let zero = played (create $"Humanoid-{version}" []) 60
                  let real = played (create $"Humanoid-{version}" [ "contact_forces", box "real" ]) 60
                  close "zero, 49" 3.335816451780531 (List.item 49 (rewards zero))
                  close "real, 49" 3.22971361927997 (List.item 49 (rewards real))
                  Properties.same "real: all of v4's" (Array.concat (obs v4)) (Array.concat (obs real))

                  for a, b in List.zip (obs zero) (obs v4) do
                      Properties.same
                          "zero: v4's but for the forces"
                          b[.. b.Length - forces - 1]
                          a[.. a.Length - forces - 1]

                      Expect.all a[a.Length - forces ..] ((=) 0.0) "no forces"

                  for a, b in List.zip (rewards zero) (rewards v4) do
                      Expect.isTrue (abs (a - b) <= tolerance) "v4 pays for no forces"

                  Expect.equal (ends zero) (ends v4) "ends")

          testCase "Ant sees 111 numbers, the last 84 of them forces or zeros" (fun () ->
              let without = played (Tasks.Create "Ant-v4") 60
              let withForces = played (create "Ant-v4" [ "use_contact_forces", box true ]) 60

              for version, tolerance in [ "v3", 0.0; "v2", 1e-12 ] do
                  let zero = played (create $"Ant-{version}" []) 60
                  let real = played (create $"Ant-{version}" [ "contact_forces", box "real" ]) 60
                  Properties.same "real" (Array.concat (obs withForces)) (Array.concat (obs real))

                  for a, b in List.zip (obs zero) (obs without) do
                      Properties.same "zero" (Array.append b (Array.zeroCreate forces)) a

                  for version, known in [ real, withForces; zero, without ] do
                      for a, b in List.zip (rewards version) (rewards known) do
                          Expect.isTrue (abs (a - b) <= tolerance) $"{a} is not {b}")

          testCase "the versions have their tasks, claims and options" (fun () ->
              Expect.equal (Tasks.NamesOf "v2").Count 10 "v2"
              Expect.equal (Tasks.NamesOf "v3").Count 6 "v3"

              for version in [ "v2"; "v3" ] do
                  Expect.stringContains (string (Tasks.ClaimOf version)) $"{version}'s rules on MuJoCo 2.2.2" "claim"


              let refused (words: string list) action = failsWith words action

              refused [ "Hopper-v2 has no option healthy_reward" ] (fun () ->
                  create "Hopper-v2" [ "healthy_reward", box 2.0 ] |> ignore)

              refused [ "contact_forces must be one of zero, real, not some" ] (fun () ->
                  create "Ant-v3" [ "contact_forces", box "some" ] |> ignore)

              refused [ "no version v3 of Reacher"; "there are Reacher-v2, Reacher-v4, Reacher-v5." ] (fun () ->
                  Tasks.Create "Reacher-v3" |> ignore)

              refused [ "no version v9 of Ant"; "Ant-v2, Ant-v3, Ant-v4, Ant-v5." ] (fun () ->
                  Tasks.Create "Ant-v9" |> ignore)

              refused [ "There is no suite dm; there are dmc"; "Hopper-v4" ] (fun () ->
                  TaskSuite.Join([ Tasks.Suite; ControlSuite.Suite ]).Create("dm/cheetah-run") |> ignore))

          testCase "xml_file puts a model of the same joints under the rules" (fun () ->
              let folder = Directory.CreateTempSubdirectory("sdac-test-").FullName

              try
                  let file (name: string) (text: string) =
                      let path = Path.Combine(folder, name)
                      File.WriteAllText(path, text)
                      path

                  let text = Models.Text "hopper"
                  let own = file "own.xml" text
                  let task = create "Hopper-v4" [ "xml_file", box own ]
                  Expect.equal (string (task.Options["xml_file"])) own "recorded"
                  let now, before = played task 20, played (Tasks.Create "Hopper-v4") 20
                  Properties.same "the same file" (Array.concat (obs before)) (Array.concat (obs now))
                  let light = file "light.xml" (text.Replace("<option ", "<option gravity=\"0 0 -5\" "))
                  let slow = played (create "Hopper-v4" [ "xml_file", box light ]) 20
                  Expect.notEqual (obs slow) (obs before) "another file"

                  failsWith [ "Hopper-v4"; "ant.xml has 15 numbers in qpos"; "own model has 6" ] (fun () ->
                      create "Hopper-v4" [ "xml_file", box (file "ant.xml" (Models.Text "ant")) ] |> ignore)

                  let missing = [ "xml_file", box (Path.Combine(folder, "nowhere.xml")) ]
                  let error = Expect.raises<MujocoException>(fun () -> create "Hopper-v4" missing |> ignore)
                  Expect.stringContains error.Message "nowhere.xml does not exist" "sentence"

                  failsWith [ "xml_file must be the path" ] (fun () ->
                      create "Hopper-v4" [ "xml_file", box 3.0 ] |> ignore)
              finally
                  Directory.Delete(folder, true)) ]
