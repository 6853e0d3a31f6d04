/// The Control Suite against dm_control's recordings: states bit for bit, rewards of every variant.
module Sdac.Mujoco.Tests.SuiteTests

open System
open System.IO
open System.Text.Json
open Expecto
open Sdac.Environments
open Sdac.Kernels
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Recorded
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

/// The recorded tasks, one of each domain.
let private recorded =
    ControlSuite.Suite.Names
    |> Seq.map (fun name -> name.Replace("dmc/", ""))
    |> Seq.filter (fun name -> File.Exists(Path.Combine(AppContext.BaseDirectory, "recorded", $"dmc-{name}.json")))
    |> List.ofSeq

let private create (name: string) = ControlSuite.Suite.Create("dmc/" + name) :?> TaskDefinition

let private close (what: string) (tolerance: float) (expected: float) (actual: float) =
    if not (abs (actual - expected) <= tolerance * max 1.0 (abs expected)) then
        failwith $"{what}: {actual:R} instead of {expected:R}"

/// Which entries of the observation went through a logarithm, an arsinh or a product of vectors, where numpy's last bits differ.
let private computed (record: JsonElement) =
    [| for slice in (get "obs_layout" (get "spec" record)).EnumerateArray() do
           if
               List.contains
                   ((get "name" slice).GetString())
                   [ "touch"; "force_torque"; "extremities"; "torso_com_velocity" ]
           then
               let start = (get "start" slice).GetInt32()
               yield! [ start .. start + (get "len" slice).GetInt32() - 1 ] |]

let private sameObs (what: string) (loose: int[]) (expected: float[]) (actual: float[]) =
    Expect.equal actual.Length expected.Length $"{what}: numbers"

    for i in 0 .. expected.Length - 1 do
        if Array.contains i loose then
            close $"{what}, entry {i}" 1e-14 expected[i] actual[i]
        elif not (expected[i].Equals actual[i]) then
            failwith $"{what}, entry {i}: {actual[i]:R} instead of {expected[i]:R}"

let private bounds (record: JsonElement) =
    let spec = get "spec" record
    numbers (get "act_low" spec), numbers (get "act_high" spec)

/// Our names of the recorded quantities that rewards are made of.
let private measure (name: string) =
    match name with
    | "upright_zz" -> Some "upright"
    | "com_speed_xy"
    | "forward_velocity"
    | "com_forward_velocity" -> Some "speed"
    | "touch_sum" -> Some "touch"
    | "stand_height_torso"
    | "stand_height_pelvis"
    | "body_weight" -> None
    | name -> Some name

let private sameMeasures (what: string) (k: int) (measures: JsonElement) (env: Env) =
    for item in measures.EnumerateObject() do
        match measure item.Name with
        | None -> ()
        | Some name ->
            match Seq.tryFindIndex ((=) name) env.Spec.InfoNames with
            | Some at ->
                let expected = numbers item.Value
                close $"{what} {name}" 1e-13 expected[k] env.Info[at]
            | None -> failtest $"{what}: info lacks {name}"

let private trajectory (name: string) (record: JsonElement) (recorded: JsonElement) =
    let low, high = bounds record
    let loose = computed record
    use env = new Env(create name)
    let part name = numbers (get name recorded)
    env.SetState(ReadOnlySpan(part "qpos_in"), ReadOnlySpan(part "qvel_in"), ReadOnlySpan(part "act_in"))
    same "qpos after setting" (part "qpos_after_set") (env.Qpos.ToArray())
    sameObs "first obs" loose (part "obs0") (env.Obs.ToArray())
    let kept = part "obs_steps" |> Array.map int
    let obs, qpos, qvel = rows (get "obs" recorded), rows (get "qpos" recorded), rows (get "qvel" recorded)
    let acts = if env.Act.Length > 0 then rows (get "act" recorded) else [||]
    let rewards = part "reward"

    for k in 0 .. rewards.Length - 1 do
        let what = $"{name}, step {k}:"
        env.Step(ReadOnlySpan(action low high k))
        close $"{what} reward" 1e-12 rewards[k] env.Reward
        Expect.isFalse env.Terminated what
        sameMeasures what k (get "measures" recorded) env

        match Array.IndexOf(kept, k) with
        | -1 -> ()
        | at ->
            same $"{what} qpos" qpos[at] (env.Qpos.ToArray())
            same $"{what} qvel" qvel[at] (env.Qvel.ToArray())

            if acts.Length > 0 then
                same $"{what} act" acts[at] (env.Act.ToArray())

            sameObs $"{what} obs" loose obs[at] (env.Obs.ToArray())

let private transition (name: string) (record: JsonElement) (recorded: JsonElement) =
    use env = new Env(create name)
    let part name = numbers (get name recorded)
    let loose = computed record
    env.SetState(ReadOnlySpan(part "qpos"), ReadOnlySpan(part "qvel"), ReadOnlySpan(part "act"))
    sameObs "obs before" loose (part "obs_before") (env.Obs.ToArray())
    env.Step(ReadOnlySpan(part "action"))
    same "qpos" (part "next_qpos") (env.Qpos.ToArray())
    same "qvel" (part "next_qvel") (env.Qvel.ToArray())
    same "act" (part "next_act") (env.Act.ToArray())
    sameObs "obs" loose (part "obs") (env.Obs.ToArray())
    close "reward" 1e-12 (Array.head (part "reward")) env.Reward

/// Rewards of the variants on the recorded trajectories, computed elsewhere from the recorded quantities: task, step, value.
let private variants =
    [ "walker-stand", 0, 0.9999032975938265
      "walker-stand", 9, 0.9999576249908964
      "walker-stand", 199, 0.12465464080818968
      "walker-walk", 0, 0.25273755900233263
      "walker-walk", 9, 0.48319097949104745
      "walker-walk", 199, 0.04421139139751273
      "hopper-stand", 0, 0.916639583462352
      "hopper-stand", 9, 0.9161001162152506
      "hopper-stand", 199, 0.0
      "humanoid-stand", 0, 0.9015990003706916
      "humanoid-stand", 9, 0.8454831238865294
      "humanoid-walk", 0, 0.19819589904152743
      "humanoid-walk", 9, 0.21385930590278965
      "quadruped-walk", 0, 0.4705514036555118
      "quadruped-walk", 9, 0.11041017486642063
      "quadruped-walk", 199, 0.48416587658886184
      "dog-stand", 0, 0.9355548813853348
      "dog-stand", 9, 0.6624472573375986
      "dog-stand", 199, 0.010942062160655694
      "dog-walk", 0, 0.18711097627706696
      "dog-walk", 9, 0.13248945146751973
      "dog-walk", 199, 0.002864197325825424
      "dog-trot", 199, 0.002413674063362567 ]

let private states (envs: VecEnv) (start: EnvStates) (actions: float[][]) =
    let folder (states: EnvStates, outcomes) (action: float[]) =
        let struct (next, result) = envs.Step(states, ReadOnlySpan action)
        next, (next.Physics.ToArray(), next.Observations.ToArray(), result.Rewards.ToArray()) :: outcomes

    let last, outcomes = Array.fold folder (start, []) actions
    last, List.rev outcomes

let private sameStates expected actual =
    List.iter2
        (fun (physics, obs, rewards) (physics', obs', rewards') ->
            same "physics" physics physics'
            same "obs" obs obs'
            same "rewards" rewards rewards')
        expected
        actual

[<Tests>]
let tests =
    testList
        "control suite"
        [ for name in recorded do
              testCase $"trajectories equal the recorded ones: {name}" (fun () ->
                  for record in suite name do
                      for recorded in (get "trajectories" record).EnumerateArray() do
                          trajectory name record recorded)

              testCase $"single steps from disturbed states equal the recorded ones: {name}" (fun () ->
                  for record in suite name do
                      for recorded in (get "transitions" record).EnumerateArray() do
                          transition name record recorded)

              testCase $"sizes, bounds and limits are the published ones: {name}" (fun () ->
                  for record in suite name do
                      let spec, (low, high) = get "spec" record, bounds record
                      use env = new Env(create name)
                      Expect.equal env.Spec.ObsDim ((get "obs_dim" spec).GetInt32()) "obs dim"
                      same "low" low (Seq.toArray env.Spec.ActionLow)
                      same "high" high (Seq.toArray env.Spec.ActionHigh)
                      Expect.equal env.Spec.FrameSkip ((get "n_sub_steps" spec).GetInt32()) "steps of the engine"
                      Expect.floatClose (within 1e-15) env.Spec.Dt ((get "control_timestep" spec).GetDouble()) "dt"
                      Expect.equal env.Spec.MaxEpisodeSteps ((get "step_limit" spec).GetInt32()) "limit")

          testCase "rewards of the variants have the values computed from the recorded quantities" (fun () ->
              for task, steps in variants |> List.groupBy (fun (task, _, _) -> task) do
                  if Seq.contains ("dmc/" + task) ControlSuite.Suite.Names then
                      use env = new Env(create task)
                      let low, high = Seq.toArray env.Spec.ActionLow, Seq.toArray env.Spec.ActionHigh

                      for k in 0..199 do
                          env.Step(ReadOnlySpan(action low high k))

                          match steps |> List.tryFind (fun (_, at, _) -> at = k) with
                          | Some(_, _, expected) -> close $"{task}, step {k}" 1e-12 expected env.Reward
                          | None -> ())

          for task in ControlSuite.Suite.Names do
              testCase $"a state that is put back goes on as if it had never been left: {task}" (fun () ->
                  use envs = new VecEnv(ControlSuite.Suite.Create task, 2)
                  let key = PhiloxKey(7u, 8u, 9u, 10u)
                  let actions = actions envs.Spec 2 12 key
                  let start = envs.Reset key
                  let _, expected = states envs start actions
                  let middle, _ = states envs start actions[..5]
                  states envs (envs.Reset(Philox.Derive(key, 99UL))) actions[..2] |> ignore
                  let _, again = states envs middle actions[6..]
                  sameStates expected[6..] again
                  use fresh = new VecEnv(ControlSuite.Suite.Create task, 2)
                  sameStates expected[6..] (snd (states fresh middle actions[6..])))

              testCase $"starts depend on the key alone, and rewards lie in [0, 1]: {task}" (fun () ->
                  use envs = new VecEnv(ControlSuite.Suite.Create task, 3)
                  let key = PhiloxKey(1u, 2u, 3u, 4u)
                  let start = envs.Reset key
                  let first = start.Physics.ToArray()
                  let actions = actions envs.Spec 3 20 key
                  let _, outcomes = states envs start actions
                  same "again" first ((envs.Reset key).Physics.ToArray())
                  Expect.differs first ((envs.Reset(Philox.Derive(key, 1UL))).Physics.ToArray()) "another key"

                  for _, _, rewards in outcomes do
                      for reward in rewards do
                          Expect.inRange reward (0.0, 1.0) "reward")

          testCase "an episode has 1,000 steps and does not terminate" (fun () ->
              use envs = new VecEnv(ControlSuite.Suite.Create "dmc/cheetah-run", 1)
              let mutable states = envs.Reset(PhiloxKey(1u, 2u, 3u, 4u))
              let none = Array.zeroCreate<float> 6

              for k in 1..1000 do
                  let struct (next, result) = envs.Step(states, ReadOnlySpan none)
                  Expect.isFalse result.Terminated[0] "terminated"
                  Expect.equal result.Truncated[0] (k = 1000) "truncated"
                  states <- next)

          testCase "repeated actions sum the rewards of their steps" (fun () ->
              let options = Collections.Generic.Dictionary<string, objnull>()
              options["action_repeat"] <- "2"

              for task in [ "dmc/walker-walk"; "dmc/cheetah-run" ] do
                  use twice = new VecEnv(ControlSuite.Suite.Create(task, options), 2)
                  use once = new VecEnv(ControlSuite.Suite.Create task, 2)
                  Expect.equal twice.Spec.MaxEpisodeSteps 500 "limit"
                  Expect.equal twice.Spec.Dt (2.0 * once.Spec.Dt) "dt"
                  let key = PhiloxKey(5u, 6u, 7u, 8u)
                  let actions = actions once.Spec 2 10 key
                  let _, singles = states once (once.Reset key) (Array.collect (fun a -> [| a; a |]) actions)
                  let _, doubles = states twice (twice.Reset key) actions

                  doubles
                  |> List.iteri (fun k (physics, obs, rewards) ->
                      let (_, _, first), (physics', obs', second) = singles[2 * k], singles[2 * k + 1]
                      same "physics" physics' physics
                      same "obs" obs' obs
                      same "rewards" (Array.map2 (+) first second) rewards)

              for bad in [ "0"; "1.5"; "-2" ] do
                  options["action_repeat"] <- bad

                  failsWith [ "dmc/cheetah-run"; "action_repeat"; bad; "whole number" ] (fun () ->
                      ControlSuite.Suite.Create("dmc/cheetah-run", options) |> ignore)

              options["action_repeat"] <- "3"

              failsWith [ "dmc/cheetah-run"; "action_repeat is 3"; "1000" ] (fun () ->
                  new VecEnv(ControlSuite.Suite.Create("dmc/cheetah-run", options), 1) |> ignore))

          testCase "the compiled models equal the recorded ones, but for looks" (fun () ->
              let looks = [ "cam_"; "light_"; "hfield_"; "mesh_"; "skin_"; "key_"; "site_size"; "geom_size" ]

              for name, expected in suiteModels recorded do
                  use model = (create name).LoadModel.Invoke()

                  for array in (get "arrays" expected).EnumerateObject() do
                      let compared = looks |> List.forall (fun look -> not (array.Name.StartsWith look))
                      let numbers = numbers array.Value

                      // the dog's bones, which touch nothing, are left out
                      match compared, model.Fields.TryGetValue array.Name with
                      | true, (true, field) when
                          field.Type = FieldType.Double
                          && (field.Length = numbers.Length || not (array.Name.StartsWith "geom_"))
                          ->
                          same $"{name} {array.Name}" numbers (field.ToArray())
                      | _ -> ()) ]
