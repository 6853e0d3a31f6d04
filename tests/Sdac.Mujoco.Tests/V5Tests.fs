/// Gymnasium's v5 rules, derived from the recordings of v4: the physics of eight of the ten tasks is the same.
module Sdac.Mujoco.Tests.V5Tests

open System
open System.Collections.Generic
open System.Text.Json
open Expecto
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded
open Sdac.Testing

let private close (what: string) (expected: float) (actual: float) =
    if not (abs (actual - expected) <= 1e-12 * (1.0 + abs expected)) then
        failwith $"{what}: {actual:R} instead of {expected:R}"

/// The full recordings hold 200 steps; what travels with the tests is shorter.
let private record (task: string) = environments $"{task}-v4" |> List.last

let private trajectoryOf (task: string) (name: string) =
    (get "trajectories" (record task)).EnumerateArray()
    |> Seq.find (fun recorded -> (get "name" recorded).GetString() = name)

let private bounds (task: string) =
    let spec = get "spec" (record task)
    numbers (get "ctrlrange_low" spec), numbers (get "ctrlrange_high" spec)

/// Steps a task from a state with the recordings' actions: what `seen` makes of the environment after step k.
let private played (task: string) (version: string) (qpos: float[]) (qvel: float[]) steps (seen: int -> Env -> unit) =
    let low, high = bounds task
    use env = new Env(Tasks.Create $"{task}-{version}")
    env.SetState(ReadOnlySpan qpos, ReadOnlySpan qvel)

    for k in 0 .. steps - 1 do
        let action = action low high k
        env.Step(ReadOnlySpan action)
        seen k env

/// A v5 task along a recorded v4 trajectory; `check` gets the recording, the step, and whether it ended in health.
let private along (task: string) (name: string) (check: JsonElement -> int -> Env -> unit) =
    let recorded = trajectoryOf task name
    let qpos, qvel = numbers (get "qpos_in" recorded), numbers (get "qvel_in" recorded)
    played task "v5" qpos qvel (numbers (get "reward" recorded)).Length (check recorded)

let private create (task: string) (option: string) (value: objnull) =
    Tasks.Create(task, Dictionary(dict [ option, value ]))

let private info (env: Env) (name: string) = env.Info[Seq.findIndex ((=) name) env.Spec.InfoNames]

let private healthy (recorded: JsonElement) k = if (flags (get "terminated" recorded))[k] then 0.0 else 1.0

/// v4's observations without these entries, bit for bit but where numpy's sine differs.
let private sameObs (task: string) (name: string) (dropped: int list) (loose: int list) =
    let recorded = trajectoryOf task name
    let kept = numbers (get "obs_steps" recorded) |> Array.map int
    let obs = rows (get "obs" recorded)

    along task name (fun _ k env ->
        match Array.IndexOf(kept, k) with
        | -1 -> ()
        | at ->
            let wanted =
                [| for i, x in Array.indexed obs[at] do
                       if not (List.contains i dropped) then
                           x |]

            Expect.equal env.Obs.Length wanted.Length $"{task}: numbers"

            for i in 0 .. wanted.Length - 1 do
                let tolerance = if List.contains i loose then 4e-16 else 0.0

                if not (abs (wanted[i] - env.Obs[i]) <= tolerance) then
                    failwith $"{task}, step {k}, entry {i}: {env.Obs[i]:R} instead of {wanted[i]:R}")

/// v5's reward from what was recorded of v4's step.
let private rewards (task: string) (name: string) (wanted: JsonElement -> int -> float) =
    along task name (fun recorded k env -> close $"{task}, step {k}" (wanted recorded k) env.Reward)

let private v4 (recorded: JsonElement) k = (numbers (get "reward" recorded))[k]
let private derived name recorded k = (numbers (get name (get "derived" recorded)))[k]

/// Rewards of these steps, and what was recorded of them.
let private rewardsAt (task: string) (name: string) (steps: (int * float) list) =
    along task name (fun _ k env ->
        match List.tryFind (fst >> (=) k) steps with
        | Some(_, wanted) -> close $"{task}-v5, step {k}" wanted env.Reward
        | None -> ())

let private unchanged =
    [ for task in [ "HalfCheetah"; "Swimmer" ] do
          testCase $"{task}-v5 has v4's numbers" (fun () ->
              sameObs task "init" [] []
              rewards task "init" v4
              use env = new Env(Tasks.Create $"{task}-v5")
              Expect.contains env.Spec.InfoNames "reward_forward" "its name in v5") ]

let private walking =
    [ testCase "Hopper-v5 pays health only on steps that end in it" (fun () ->
          sameObs "Hopper" "init" [] []
          rewards "Hopper" "init" (fun recorded k -> v4 recorded k - 1.0 + healthy recorded k)
          rewardsAt "Hopper" "init" [ 15, 0.18893903326372086 - 1.0 ]

          along "Hopper" "init" (fun recorded k env ->
              close "survival" (healthy recorded k) (info env "reward_survive")
              close "control" -(derived "ctrl_cost" recorded k) (info env "reward_ctrl")
              close "height" (env.Qpos[1] - 1.25) (info env "z_distance_from_origin")))

      testCase "Walker2d-v5 walks on two feet that grip alike" (fun () ->
          let recorded = trajectoryOf "Walker2d" "init"
          let qpos, qvel = numbers (get "qpos_in" recorded), numbers (get "qvel_in" recorded)

          played "Walker2d" "v5" qpos qvel 50 (fun k env ->
              match k with
              | 0 -> Properties.same "k = 0" (rows (get "qpos" recorded)).[0] (env.Qpos.ToArray())
              | 9 ->
                  Properties.same
                      "k = 9"
                      [| -0.030584644552632718
                         1.2165587475216442
                         -0.14735618265756711
                         0.011854333606904199
                         -0.30526399441407337
                         0.25439074060095274
                         -0.13530782015405904
                         -0.043191387477155604
                         0.72288935051911651 |]
                      (env.Qpos.ToArray())

                  close "reward" -0.052035896335657167 env.Reward
              | 49 ->
                  Properties.same
                      "k = 49"
                      [| -0.09880618337181557; 0.75739545860897262; -3.1435225702659921 |]
                      (env.Qpos.Slice(0, 3).ToArray())

                  close "reward" -0.23546250952265621 env.Reward
                  Expect.isTrue env.Terminated "unhealthy"
              | _ -> ()))

      testCase "the models of v5 differ from v4's in what the versions differ" (fun () ->
          let load name = Tasks.Create(name: string).LoadModel.Invoke()
          use walker = load "Walker2d-v5"
          use before = load "Walker2d-v4"
          let friction (model: Model) = model["geom_friction"].ToArray()

          let differing =
              Array.zip (friction before) (friction walker)
              |> Array.indexed
              |> Array.filter (fun (_, (a, b)) -> a <> b)

          Expect.equal differing [| 3 * 4, (0.9, 1.9) |] "the right foot's friction"
          use pusher = load "Pusher-v5"
          let body = pusher.Body "object"
          Expect.equal (int ((pusher["ngeom"].ToArray())[0])) 20 "a sphere less"
          close "mass" 7.853981634e-6 (Math.Round((pusher["body_mass"].ToArray())[body], 15))

          for i, inertia in List.indexed [ 1.145372322e-8; 1.145372322e-8; 9.817477042e-9 ] do
              Expect.isTrue (abs ((pusher["body_inertia"].ToArray())[3 * body + i] - inertia) < 1e-17) $"inertia {i}") ]

let private contacts =
    [ testCase "Ant-v5 observes and pays contact forces, but for the world's" (fun () ->
          let name = "init+use_contact_forces"
          sameObs "Ant" name [ 27..32 ] []
          rewards "Ant" name (fun recorded k -> v4 recorded k - 1.0 + healthy recorded k)
          rewardsAt "Ant" name [ 0, -0.9686086145265282; 9, -1.7406308193297797; 199, -1.2389463042284055 ]

          along "Ant" name (fun recorded k env ->
              close "contact" -(derived "contact_cost_if_used" recorded k) (info env "reward_contact")
              close "x" env.Qpos[0] (info env "x_position"))

          let without = create "Ant-v5" "include_cfrc_ext_in_observation" (box false)

          Expect.equal without.ObsDim 27 "without"
          Expect.isTrue without.ContactForces "they still cost"

          let refused value =
              let error =
                  Expect.raises<RefusedArgumentException>(fun () -> create "Ant-v5" "main_body" (box value) |> ignore)

              Expect.stringContains error.Message "main_body must be a whole number from 1 to 13" "sentence"

          List.iter refused [ 0.0; 14.0; 1.5 ])

      testCase "Ant-v5 observes the forces that v4 can be asked for, but for the world's" (fun () ->
          let recorded = trajectoryOf "Ant" "init+use_contact_forces"
          let qpos, qvel = numbers (get "qpos_in" recorded), numbers (get "qvel_in" recorded)
          let low, high = bounds "Ant"
          use v4 = new Env(create "Ant-v4" "use_contact_forces" (box true))
          use v5 = new Env(Tasks.Create "Ant-v5")

          for env in [ v4; v5 ] do
              env.SetState(ReadOnlySpan qpos, ReadOnlySpan qvel)

          let mutable touched = 0

          for k in 0..99 do
              for env in [ v4; v5 ] do
                  env.Step(ReadOnlySpan(action low high k))

              let forces = v5.Obs.Slice(27).ToArray()
              Expect.equal forces (v4.Obs.Slice(27 + 6).ToArray()) $"after step {k}"

              if forces |> Array.exists ((<>) 0.0) then
                  touched <- touched + 1

          Expect.isGreaterThan touched 10 "steps on the ground")

      testCase "Humanoid-v5 leaves out what is always 0 and pays contact forces" (fun () ->
          let dropped = [ 45..54 ] @ [ 185..190 ] @ [ 269..274 ] @ [ 292..297 ]
          sameObs "Humanoid" "init" dropped []
          use env = new Env(Tasks.Create "Humanoid-v5")
          Expect.equal env.Spec.ObsDim 348 "numbers"

          along "Humanoid" "init" (fun recorded k env ->
              let contact = info env "reward_contact"
              close $"step {k}" (v4 recorded k - 5.0 + 5.0 * healthy recorded k + contact) env.Reward

              match k with
              | 9 -> close "contact, 9" 0.0 contact
              | 49 -> close "contact, 49" -0.1061028325005615 contact
              | 199 -> close "contact, 199" -0.0033734957505816613 contact
              | _ -> ())

          rewardsAt "Humanoid" "init" [ 9, 4.864243194951069; 49, -1.7702863807200302; 199, -0.594667523754346 ]

          let names =
              [ "include_cinert_in_observation"
                "include_cvel_in_observation"
                "include_qfrc_actuator_in_observation"
                "include_cfrc_ext_in_observation" ]

          for name, left in List.zip names [ 130; 78; 17; 78 ] do
              let task = create "Humanoid-v5" name (box false)
              Expect.equal task.ObsDim (348 - left) name) ]

let private arms =
    [ testCase "Reacher-v5 pays for the distance after the step and observes two of its numbers" (fun () ->
          sameObs "Reacher" "init" [ 10 ] [ 0; 1; 2; 3 ]

          rewardsAt "Reacher" "init" [ 0, -1.0799070616581112; 9, -1.2250765664136245; 49, -0.9094653162481109 ]

          // v4's reward of the next step is of the same distance
          let low, high = bounds "Reacher"
          let cost k = action low high k |> Array.sumBy (fun a -> a * a)

          along "Reacher" "init" (fun recorded k env ->
              let rewards = numbers (get "reward" recorded)

              if k + 1 < rewards.Length then
                  close $"step {k}" (rewards[k + 1] + cost (k + 1) - cost k) env.Reward))

      testCase "Pusher-v5 pays for the distances after the step, its puck has a mass" (fun () ->
          let recorded = trajectoryOf "Pusher" "init"
          let qvel = numbers (get "qvel_in" recorded)
          let qpos = numbers (get "qpos_in" recorded)
          qpos[7] <- -0.2
          qpos[8] <- 0.1

          played "Pusher" "v5" qpos qvel 10 (fun k env ->
              match k with
              | 0 -> close "k = 0" -1.8863240386194893 env.Reward
              | 9 -> close "k = 9" -1.8758137486109432 env.Reward
              | _ -> ()

              let terms = List.sumBy (info env) [ "reward_dist"; "reward_ctrl"; "reward_near" ]
              close "the terms are weighted" terms env.Reward)

          // until it is touched, the puck's mass changes nothing
          let states version =
              let found = ResizeArray()
              played "Pusher" version qpos qvel 10 (fun _ env -> found.Add(env.Qpos.ToArray()))
              Array.concat found

          Properties.same "untouched" (states "v4") (states "v5")) ]

let private pendulums =
    [ testCase "the pendulums' last step pays no health" (fun () ->
          sameObs "InvertedPendulum" "init" [] []
          rewards "InvertedPendulum" "init" (fun recorded k -> healthy recorded k)
          rewardsAt "InvertedPendulum" "init" [ 2, 1.0; 3, 0.0 ]
          sameObs "InvertedDoublePendulum" "init" [ 9; 10 ] [ 1; 2; 3; 4 ]

          rewards "InvertedDoublePendulum" "init" (fun recorded k -> v4 recorded k - 10.0 + 10.0 * healthy recorded k)

          rewardsAt "InvertedDoublePendulum" "init" [ 4, -1.3496432579871058 ]

          along "InvertedDoublePendulum" "init" (fun recorded k env ->
              close "distance" -(derived "dist_penalty" recorded k) (info env "distance_penalty")
              close "speed" -(derived "vel_penalty" recorded k) (info env "velocity_penalty")))

      testCase "v5 has v4's time limits, steps, bounds and ends" (fun () ->
          for name in Tasks.NamesOf "v5" do
              use now = new Env(Tasks.Create name)
              use before = new Env(Tasks.Create(name.Replace("-v5", "-v4")))

              let facts (spec: EnvSpec) =
                  spec.MaxEpisodeSteps, spec.Dt, List.ofSeq spec.ActionLow, List.ofSeq spec.ActionHigh

              Expect.equal (facts now.Spec) (facts before.Spec) name
              Expect.equal now.Spec.Task name "its own name"

          Expect.equal (Tasks.NamesOf "v5").Count 10 "ten tasks"

          for version in [ "v4"; "v5" ] do
              Expect.isFalse (isNull (Tasks.ClaimOf version)) version

          Expect.isTrue (isNull (Tasks.ClaimOf "v6")) "no such version") ]

[<Tests>]
let tests = testList "Gymnasium's v5" (unchanged @ walking @ contacts @ arms @ pendulums)
