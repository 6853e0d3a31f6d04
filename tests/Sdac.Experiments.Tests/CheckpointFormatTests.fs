/// What a checkpoint says of its own layout is read before anything else of it.
module Sdac.Experiments.Tests.CheckpointFormatTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support

let private spec = varied 40L

/// DPMD's run of the same length.
let private dpmd = asDpmd spec

/// A run with checkpoints at 20 and 40 that has lost its summary.
let private whole =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
         let folder = prepared path spec
         resumed folder |> ignore
         File.Delete folder.Summary
         folder)

/// Writes a checkpoint again with other metadata and tensors; its checksum is right.
let private rewrite
    (path: string)
    (metadata: Map<string, string> -> Map<string, string>)
    (tensors: TensorSource list -> TensorSource list)
    =
    let file = Safetensors.read path

    let sources =
        [ for KeyValue(name, t) in file.Tensors -> Safetensors.ofBytes name t.Dtype t.Shape (ReadOnlyMemory t.Data) ]

    Safetensors.write path (metadata file.Metadata |> Map.remove "sha256") (tensors sources)

let private inCopy (test: RunFolder -> unit) =
    inFolder (fun path ->
        copy whole.Value.Path (Path.Combine(path, "run"))
        test (RunFolder.openExisting (Path.Combine(path, "run"))))

/// The sentences about the newest checkpoint when the run is taken up and when it is evaluated; both use the older one.
let private passedOver (folder: RunFolder) : string list =
    let struct (used, state, complaints) = CheckpointRestore.newest (agentOf spec) "sdac" spec.Task folder
    disposeState state
    Expect.equal used (Checkpoint.path folder 20L) "evaluated"
    let summary, warnings = captureError (fun () -> resumed folder)
    Expect.isTrue summary.IsSome "resumed"
    Expect.stringContains warnings "an older checkpoint is used" "warnings"
    warnings :: complaints

let private replaced (name: string) (source: TensorSource) (sources: TensorSource list) =
    sources |> List.map (fun old -> if old.Name = name then source else old)

[<Tests>]
let tests =
    testList
        "checkpoint formats"
        [ testCase
              "a checkpoint without a format, or with one that is none, is damaged: the older one is used"
              (fun () ->
                  for change in
                      [ Map.remove "format"
                        Map.add "format" ""
                        Map.add "format" "sdac-checkpoint"
                        Map.add "format" "sdac-checkpoint/"
                        Map.add "format" "sdac-checkpoint/two"
                        Map.add "format" "sdac-checkpoint/-2"
                        Map.add "format" "sdac-memory/2" ] do
                      inCopy (fun folder ->
                          rewrite (Checkpoint.path folder 40L) change id

                          for sentence in passedOver folder do
                              Expect.stringContains sentence "000000040.safetensors names no format" "sentence"))

          testCase "a checkpoint of another version is refused by its format, and an older one is not used" (fun () ->
              for version in [ "4"; "17"; "1" ] do
                  inCopy (fun folder ->
                      let newest = Checkpoint.path folder 40L
                      rewrite newest (Map.add "format" $"sdac-checkpoint/{version}") id
                      let agent = agentOf spec

                      let words =
                          [ newest
                            $"sdac-checkpoint/{version}"
                            "reads sdac-checkpoint/2 and sdac-checkpoint/3"
                            "use the version" ]

                      for attempt in
                          [ fun () -> resumed folder |> ignore
                            fun () -> CheckpointRestore.newest agent "sdac" spec.Task folder |> ignore
                            fun () -> CheckpointRestore.load agent "sdac" spec.Task newest |> ignore ] do
                          let failure = failureOf attempt
                          failure |> says words
                          Expect.equal failure.ExitCode (Settings "").ExitCode "exit code"))

          testCase
              "a checkpoint whose metadata lacks an entry or cannot be read is damaged: the older one is used"
              (fun () ->
                  for key, change in
                      [ "remembered", Map.remove "remembered"
                        "remembered", Map.add "remembered" "many"
                        "remembered", Map.add "remembered" "-1"
                        "openSteps", Map.remove "openSteps"
                        "openSteps", Map.add "openSteps" "1e3"
                        "openSteps", Map.add "openSteps" "99999999999"
                        "journal", Map.remove "journal"
                        "journal", Map.add "journal" "{"
                        "memory", Map.add "memory" "[ 1 ]"
                        "figures", Map.add "figures" "nothing"
                        "own", Map.add "own" "nothing"
                        "envSteps", Map.add "envSteps" "-1"
                        "envSteps", Map.add "envSteps" "1e3"
                        "spec", Map.remove "spec"
                        "spec", Map.add "spec" "{{" ] do
                      inCopy (fun folder ->
                          rewrite (Checkpoint.path folder 40L) change id
                          let summary, warnings = captureError (fun () -> resumed folder)
                          Expect.isTrue summary.IsSome "resumed"

                          for part in [ "000000040.safetensors"; $"'{key}'"; "an older checkpoint is used" ] do
                              Expect.stringContains warnings part "warnings"))

          testCase "what an older checkpoint does not know is not taken from what spec.json says now" (fun () ->
              inCopy (fun folder ->
                  let older (text: string) =
                      let node = nonNull (Json.parseNode "spec" text)
                      let config = nonNull node["config"]
                      let critics = nonNull config["critics"]
                      Expect.isTrue (critics.AsObject().Remove "criticSteps") "criticSteps"
                      node.ToJsonString()

                  for path in Checkpoint.list folder do
                      rewrite path (Map.change "spec" (Option.map older)) id

                  File.WriteAllText(folder.Spec, Spec.print (setTo (withOwnStages spec) "criticSteps" "2"))

                  failureOf (fun () -> resumed folder) |> says [ "config.critics.criticSteps = 2"; "made with 1" ]

                  // the run as it was goes on
                  File.WriteAllText(folder.Spec, Spec.print (withOwnStages spec))
                  Expect.isTrue ((resumed folder).IsSome) "resumed"))

          testCase "numbers of another count, sign or kind are damage, not another setting" (fun () ->
              for source in
                  [ Safetensors.ofInt64 "updates" [ 2L ] (Array.create 2 40L)
                    Safetensors.ofInt64 "updates" [ 1L ] [| -40L |]
                    Safetensors.ofFloat64 "updates" [ 1L ] [| 40.0 |]
                    Safetensors.ofInt64 "q1.adam.count" [ 0L ] [||]
                    Safetensors.ofInt64 "policy.adam.count" [ 1L ] [| Int64.MinValue |]
                    Safetensors.ofFloat64 "temperature.m" [ 2L ] [| 0.0; 0.0 |]
                    Safetensors.ofInt64 "temperature.log_lambda" [ 1L ] [| 0L |] ] do
                  inCopy (fun folder ->
                      rewrite (Checkpoint.path folder 40L) id (replaced source.Name source)

                      for sentence in passedOver folder do
                          Expect.stringContains sentence $"'{source.Name}'" "sentence"))

          testCase "every leaf of the state must be in a checkpoint under its name" (fun () ->
              for name in [ "updates"; "q1.adam.count"; "q2.adam.v"; "energy_shift.idle"; "target_policy.layer0.bias" ] do
                  inCopy (fun folder ->
                      rewrite (Checkpoint.path folder 40L) id (List.filter (fun source -> source.Name <> name))

                      for sentence in passedOver folder do
                          Expect.stringContains sentence $"'{name}'" "sentence"))

          testCase "the scale of raw weights is part of a checkpoint" (fun () ->
              inCopy (fun folder ->
                  let path = Checkpoint.path folder 40L
                  let state = CheckpointRestore.load (agentOf spec) "sdac" spec.Task path
                  Expect.equal state.EnergyShift EnergyShift.init "a run that has none"
                  disposeState state

                  rewrite
                      path
                      id
                      (replaced "energy_shift.shift" (Safetensors.ofFloat64 "energy_shift.shift" [ 1L ] [| 71.0 |])
                       >> replaced "energy_shift.idle" (Safetensors.ofInt64 "energy_shift.idle" [ 1L ] [| 5L |]))

                  let state = CheckpointRestore.load (agentOf spec) "sdac" spec.Task path
                  Expect.equal state.EnergyShift { Shift = 71.0; Idle = 5L } "read back"
                  disposeState state))

          testCase "moments of another size, or none, are refused by their name" (fun () ->
              inFolder (fun path ->
                  let spec =
                      { Spec.iterations 16L (Spec.preset "" "tiny" (Algorithm.hide Ppo.algorithm)) with
                          EvaluationEpisodes = 1 }

                  let folder = prepared (Path.Combine(path, "run")) spec
                  resumed folder |> ignore
                  let agent = Runner.agent (Spec.experiment Environment.suite Ppo.algorithm spec)
                  let checkpoint = Checkpoint.path folder 16L
                  let load () = CheckpointRestore.load agent "ppo" spec.Task checkpoint
                  let state = load ()
                  Expect.equal state.Observations.Mean.Length 4 "one number for each observation"
                  Expect.isGreaterThan state.Observations.Count 256.0 "observations"
                  Parts.dispose agent.Parts state

                  rewrite
                      checkpoint
                      id
                      (replaced
                          "observations.mean"
                          (Safetensors.ofFloat64 "observations.mean" [ 3L ] [| 1.0; 2.0; 3.0 |]))

                  failureOf (load >> ignore) |> says [ "'observations.mean'"; checkpoint; "[3]"; "need 4 numbers" ]

                  rewrite checkpoint id (List.filter (fun source -> source.Name <> "observations.mean"))
                  failureOf (load >> ignore) |> says [ checkpoint; "holds no 'observations.mean'" ]))

          testCase "rows beside a memory that has dropped its oldest come back under their ids" (fun () ->
              inFolder (fun path ->
                  let spec =
                      { Spec.iterations 60L (Spec.preset "" "tiny" (Algorithm.hide Dipo.algorithm)) with
                          EvaluationEpisodes = 1
                          CheckpointEvery = 30L }
                      |> configuredAs Dipo.algorithm (fun c -> { c with Data.BufferCapacity = 256 })

                  let expected = prepared (Path.Combine(path, "whole")) spec
                  resumed expected |> ignore
                  let agent = Runner.agent (Spec.experiment Environment.suite Dipo.algorithm spec)
                  let checkpoint = Checkpoint.path expected 60L
                  let load () = CheckpointRestore.load agent "dipo" spec.Task checkpoint
                  let state = load ()
                  // 200 random transitions, then four a round
                  Expect.equal state.Improved.Next 440L "the last row"
                  let firstRow = state.Improved.First
                  Expect.isGreaterThan firstRow 0L "rows were dropped"
                  Parts.dispose agent.Parts state

                  let folder = prepared (Path.Combine(path, "stopped")) spec

                  Expect.throws
                      (fun () -> Runner.resumeComposed (stoppingAt 47L) Dipo.algorithm folder.Path 1 true |> ignore)
                      "killed"

                  Expect.isTrue ((resumed folder).IsSome) "resumed"
                  same expected folder

                  // rows of other transitions than the memory's: an older checkpoint is used
                  let misplaced (first: int64) =
                      let place = Path.Combine(path, $"from {first}")
                      copy expected.Path place
                      let folder = RunFolder.openExisting place
                      File.Delete folder.Summary
                      let source = Safetensors.ofInt64 "improved_action.first" [ 1L ] [| first |]
                      rewrite (Checkpoint.path folder 60L) id (replaced "improved_action.first" source)
                      let _, warnings = captureError (fun () -> resumed folder)
                      Expect.stringContains warnings "an older checkpoint is used" "warnings"
                      same expected folder
                      warnings

                  let count = 440L - firstRow

                  for first in [ firstRow + 1L; 1000L ] do
                      Expect.stringContains
                          (misplaced first)
                          $"holds 'improved_action' of the transitions {first} to {first + count - 1L} where its replay memory has {firstRow} to 439"
                          "rows"

                  let flat = Safetensors.ofFloat32 "improved_action.rows" [ 5L ] (Array.zeroCreate 5)
                  rewrite checkpoint id (replaced "improved_action.rows" flat)

                  failureOf (load >> ignore)
                  |> says [ checkpoint; "holds 'improved_action.rows' of shape [5] where rows of 1 belong" ]

                  rewrite checkpoint id (List.filter (fun source -> source.Name <> "improved_action.rows"))
                  failureOf (load >> ignore) |> says [ checkpoint; "holds no 'improved_action.rows'" ]))

          testCase "a run whose energies raise the scale resumes exactly" (fun () ->
              let change (c: DpmdConfig) =
                  { c with
                      Energy.QNormalisation = QNormalisation.Off
                      Energy.QScale = 1e4
                      Temperature.InitialTemperature = 1.0 }

              let spec = configuredAs Dpmd.algorithm change dpmd

              inFolder (fun path ->
                  let expected = prepared (Path.Combine(path, "whole")) spec
                  resumed expected |> ignore

                  let agent = Runner.agent (dpmdOf spec)
                  let state = CheckpointRestore.load agent "dpmd" "Hopper-v4" (Checkpoint.path expected 20L)
                  Expect.isGreaterThan state.EnergyShift.Shift 0.0 "shift at the checkpoint"
                  disposeState state
                  let folder = prepared (Path.Combine(path, "stopped")) spec

                  Expect.throws
                      (fun () -> Runner.resumeComposed (stoppingAt 30L) Dpmd.algorithm folder.Path 1 true |> ignore)
                      "killed"

                  Expect.isTrue ((resumed folder).IsSome) "resumed"
                  same expected folder)) ]
