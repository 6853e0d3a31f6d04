/// What is observed, what success means, what is paid.
module Sdac.PushT.Tests.OptionTests

open System
open System.Collections.Generic
open Expecto
open Sdac.Environments
open Sdac.PushT
open Sdac.PushT.Tests.Recorded
open Sdac.PushT.Tests.CoverageTests
open Sdac.Testing

let private create (options: (string * obj) list) =
    PushTTask.Suite.Create("PushT", Dictionary(options |> Seq.map KeyValuePair)) :?> PushTTask

let private inPlace = poseOf (100.0, 100.0) 256.0 256.0 (Math.PI / 4.0)

/// Puts the block in place for two steps, then sweeps it away; reward, terminated and figures of each step.
let private successThenAway (task: PushTTask) =
    use env = new PushTEnv(task)
    env.SetState inPlace

    [ for target in [ [| 100.0; 100.0 |]; [| 100.0; 100.0 |] ] @ List.replicate 40 [| 400.0; 400.0 |] do
          env.Step(ReadOnlySpan target)
          env.Reward, env.Terminated, env.Info.ToArray() ]

[<Tests>]
let tests =
    testList
        "options"
        [ testCase "sizes, bounds and limits" (fun () ->
              for form, size in [ "state", 5; "vertices", 18; "scaled", 6 ] do
                  use envs = new VecEnv(create [ "obs_type", form ], 1)
                  Expect.equal (envs.ObsDim, envs.ActionDim) (size, 2) form
                  Expect.equal (envs.Spec.Dt, envs.Spec.MaxEpisodeSteps, envs.Spec.FrameSkip) (0.1, 300, 10) form

                  same
                      form
                      [| 0.0; 0.0; 512.0; 512.0 |]
                      (Seq.toArray (Seq.append envs.Spec.ActionLow envs.Spec.ActionHigh))

                  Expect.equal envs.Spec.Options["obs_type"] form "as written down")

          testCase "the three forms of one observation say the same" (fun () ->
              let pose = Pose(60.0, 440.0, 120.0, 130.0, -1.2)

              let seen form =
                  use env = new PushTEnv(create [ "obs_type", form ])
                  env.SetState pose
                  env.Step(ReadOnlySpan [| 100.0; 200.0 |])
                  env.Obs.ToArray(), env.Vertices, env.Pose

              let state, vertices, pose = seen "state"
              Expect.isTrue (state[4] >= 0.0 && state[4] < 2.0 * Math.PI) "angle reduced"
              Expect.floatClose (within 1e-12) (sin state[4]) (sin pose.BlockAngle) "angle"
              let corners, _, _ = seen "vertices"
              same "vertices, then agent" (Array.append vertices state[..1]) corners
              let scaled, _, _ = seen "scaled"
              same "places" (state[..3] |> Array.map (fun x -> x / 512.0)) scaled[..3]
              Expect.floatClose (within 1e-12) scaled[4] (sin pose.BlockAngle) "sine"
              Expect.floatClose (within 1e-12) scaled[5] (cos pose.BlockAngle) "cosine")

          testCase "success ends, changes nothing, or is held" (fun () ->
              let ends = successThenAway (create [])
              let goesOn = successThenAway (create [ "success", "continues" ])
              let held = successThenAway (create [ "success", "holds" ])
              Expect.isTrue (ends |> List.exists (fun (r, _, _) -> r < 0.5)) "the block is swept away"

              for (r, terminated, info), (r', terminated', _), (r'', terminated'', _) in List.zip3 ends goesOn held do
                  Expect.equal terminated (info[0] > 0.95) "ends on success"
                  Expect.equal (terminated', terminated'') (false, false) "the others do not"
                  Expect.equal r (min 1.0 (info[0] / 0.95)) "published reward"
                  Expect.equal (r', r'') (r, 1.0) "the same, and held at 1"

              let _, _, last = List.last ends
              Expect.equal (last[1], last[3]) (0.0, 1.0) "no success at the end, but the highest reward was 1")

          testCase "held success is the episode's own" (fun () ->
              let task = create [ "success", "holds" ]
              use env = new PushTEnv(task)
              env.SetState inPlace
              env.Step(ReadOnlySpan [| 100.0; 100.0 |])
              env.SetState(poseOf (100.0, 100.0) 350.0 350.0 0.0)
              env.Step(ReadOnlySpan [| 100.0; 100.0 |])
              Expect.isLessThan env.Reward 0.5 "a new episode has not succeeded")

          testCase "paid by new bests, the return is the highest reward" (fun () ->
              let published = successThenAway (create [ "success", "continues" ])
              let paid = successThenAway (create [ "success", "continues"; "pay", "new_best" ])
              Expect.equal (paid |> List.sumBy (fun (r, _, _) -> r)) 1.0 "return"
              use env = new PushTEnv(create [ "pay", "new_best" ])
              env.SetState(Pose(256.0, 400.0, 256.0, 300.0, 0.7))
              let mutable total, highest = 0.0, 0.0

              for _ in 1..60 do
                  let pose = env.Pose
                  env.Step(ReadOnlySpan [| pose.BlockX; pose.BlockY |])
                  total <- total + env.Reward
                  highest <- max highest (min 1.0 (env.Info[0] / 0.95))

              Expect.isTrue (env.Reward >= 0.0 && highest > 0.2) "something was covered"
              Expect.floatClose (within 1e-14) total highest "return"
              Expect.equal published.Length paid.Length "as many steps")

          testCase "options that are not there, or cannot be, are refused by name" (fun () ->
              failsWith [ "PushT"; "obs_tipe"; "obs_type" ] (fun () -> create [ "obs_tipe", "state" ] |> ignore)

              failsWith [ "obs_type"; "state, vertices, scaled"; "pixels" ] (fun () ->
                  create [ "obs_type", "pixels" ] |> ignore)

              failsWith [ "success"; "ends, continues, holds"; "1" ] (fun () -> create [ "success", 1.0 ] |> ignore)

              failsWith [ "success"; "ends, continues, holds" ] (fun () ->
                  PushTTask(PushTOptions(Success = enum 7)) |> ignore)

              failsWith [ "PushTT"; "PushT" ] (fun () -> PushTTask.Suite.Create "PushTT" |> ignore)) ]
