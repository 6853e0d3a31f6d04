/// Recorded trajectories and single steps, reproduced: states and raw observations bit for bit.
module Sdac.Mujoco.Tests.TrajectoryTests

open System
open System.Text.Json
open Expecto
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded

/// Rewards and their parts: numpy adds some of them in another order.
let private close (what: string) (expected: float) (actual: float) =
    if abs (actual - expected) > 1e-12 * abs expected then
        failwith $"{what}: {actual:R} instead of {expected:R}"

/// Which entries of the observation went through sine or cosine, where numpy's last bit differs from the C library's.
let private trigonometric (record: JsonElement) =
    let spec = get "spec" record

    [| for slice in (get "obs_layout" spec).EnumerateArray() do
           if List.contains ((get "name" slice).GetString()) [ "sin"; "cos" ] then
               let start = (get "start" slice).GetInt32()
               yield! [ start .. start + (get "len" slice).GetInt32() - 1 ] |]

let private sameObs (what: string) (loose: int[]) (expected: float[]) (actual: float[]) =
    Expect.equal actual.Length expected.Length "number of actual"

    for i in 0 .. expected.Length - 1 do
        let tolerance = if Array.contains i loose then 4e-16 else 0.0

        if not (abs (expected[i] - actual[i]) <= tolerance) then
            failwith $"{what}, entry {i}: {actual[i]:R} instead of {expected[i]:R}"

let private sameNumbers (what: string) (expected: float[]) (actual: float[]) = sameObs what [||] expected actual

/// Names that the record uses for something that we report under another name, or not at all.
let private ourName (withContacts: bool) (name: string) =
    match name with
    | "contact_cost_if_used" -> if withContacts then Some "contact_cost" else None
    | _ -> Some name

let private sameInfo what withContacts (part: JsonElement) (pick: JsonElement -> JsonElement option) (env: Env) =
    for item in part.EnumerateObject() do
        match pick item.Value, ourName withContacts item.Name with
        | Some expected, Some name ->
            let at = Seq.tryFindIndex ((=) name) env.Spec.InfoNames
            Expect.isTrue at.IsSome $"{what}: info lacks {name}"
            close $"{what} {name}" (number expected) env.Info[at.Value]
        | _ -> ()

let private trajectory (task: string) (record: JsonElement) (recorded: JsonElement) =
    let spec = get "spec" record
    let low, high = numbers (get "ctrlrange_low" spec), numbers (get "ctrlrange_high" spec)
    let loose = trigonometric record
    let withContacts = (options recorded).ContainsKey "use_contact_forces"
    use env = new Env(Tasks.Create(task, options recorded))
    let qpos, qvel = numbers (get "qpos_in" recorded), numbers (get "qvel_in" recorded)
    env.SetState(ReadOnlySpan qpos, ReadOnlySpan qvel)
    sameNumbers "qpos after setting" (numbers (get "qpos_after_set" recorded)) (env.Qpos.ToArray())
    sameObs "first obs" loose (numbers (get "obs0" recorded)) (env.Obs.ToArray())
    let kept = numbers (get "obs_steps" recorded) |> Array.map int
    let obs, qpos, qvel = rows (get "obs" recorded), rows (get "qpos" recorded), rows (get "qvel" recorded)
    let rewards = numbers (get "reward" recorded)
    let terminated, truncated = flags (get "terminated" recorded), flags (get "truncated" recorded)

    for k in 0 .. rewards.Length - 1 do
        let what = $"{task}, step {k}:"
        let action = action low high k
        env.Step(ReadOnlySpan action)
        close $"{what} reward" rewards[k] env.Reward
        Expect.equal (env.Terminated, env.Truncated) (terminated[k], truncated[k]) "terminated and truncated"

        for part in List.choose (fun name -> find name recorded) [ "info"; "derived" ] do
            let pick (values: JsonElement) = if values.ValueKind = JsonValueKind.Array then Some values[k] else None

            sameInfo what withContacts part pick env

        match Array.IndexOf(kept, k) with
        | -1 -> ()
        | at ->
            sameNumbers $"{what} qpos" qpos[at] (env.Qpos.ToArray())
            sameNumbers $"{what} qvel" qvel[at] (env.Qvel.ToArray())
            sameObs $"{what} obs" loose obs[at] (env.Obs.ToArray())

[<Tests>]
let tests =
    testList
        "trajectories"
        [ for task in Tasks.NamesOf "v4" do
              testCase $"trajectories equal the recorded ones: {task}" (fun () ->
                  for record in environments task do
                      for recorded in (get "trajectories" record).EnumerateArray() do
                          trajectory task record recorded)

          for task in Tasks.NamesOf "v4" do
              testCase $"single steps from disturbed states equal the recorded ones: {task}" (fun () ->
                  for record in environments task do
                      for recorded in (get "transitions" record).EnumerateArray() do
                          use env = new Env(Tasks.Create(task, options recorded))
                          let withContacts = (options recorded).ContainsKey "use_contact_forces"
                          let part name = numbers (get name recorded)
                          let qpos, qvel, action = part "qpos", part "qvel", part "action"
                          env.SetState(ReadOnlySpan qpos, ReadOnlySpan qvel)
                          sameObs "obs before" (trigonometric record) (part "obs_before") (env.Obs.ToArray())
                          env.Step(ReadOnlySpan action)
                          sameObs "obs" (trigonometric record) (part "obs") (env.Obs.ToArray())
                          sameNumbers "qpos" (part "next_qpos") (env.Qpos.ToArray())
                          sameNumbers "qvel" (part "next_qvel") (env.Qvel.ToArray())
                          close "reward" (Array.head (part "reward")) env.Reward
                          Expect.equal env.Terminated ((get "terminated" recorded).GetBoolean()) "terminated"
                          sameInfo task withContacts (get "info" recorded) Some env)

          for task in Tasks.NamesOf "v4" do
              testCase $"sizes, bounds, frame skip and time limits are the published ones: {task}" (fun () ->
                  for record in environments task do
                      let spec = get "spec" record
                      use env = new Env(Tasks.Create task)
                      Expect.equal env.Spec.ObsDim ((get "obs_dim" spec).GetInt32()) "obs dim"
                      Expect.equal env.Spec.ActionDim ((get "act_dim" spec).GetInt32()) "action dim"
                      sameNumbers "low" (numbers (get "ctrlrange_low" spec)) (Seq.toArray env.Spec.ActionLow)
                      sameNumbers "high" (numbers (get "ctrlrange_high" spec)) (Seq.toArray env.Spec.ActionHigh)
                      Expect.equal env.Spec.FrameSkip ((get "frame_skip" spec).GetInt32()) "frame skip"
                      Expect.equal env.Spec.Dt ((get "dt" spec).GetDouble()) "dt"

                      Expect.equal
                          env.Spec.MaxEpisodeSteps
                          ((get "max_episode_steps" spec).GetInt32())
                          "max episode steps"

                      sameNumbers "init_qpos" (numbers (get "init_qpos" spec)) (env.Model.Qpos0.ToArray()))

          testCase "setting the state again starts the time limit anew" (fun () ->
              use env = new Env(Tasks.Create "Reacher-v4")
              let action = [| 0.1; -0.1 |]

              for _ in 1..50 do
                  env.Step(ReadOnlySpan action)

              Expect.isTrue env.Truncated "truncated"
              let zeros = Array.zeroCreate<float> 4
              env.SetState(ReadOnlySpan zeros, ReadOnlySpan zeros)
              Expect.isFalse env.Truncated "truncated") ]
