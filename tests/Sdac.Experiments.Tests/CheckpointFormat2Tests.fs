/// Runs whose checkpoints the program before this format wrote, gone on with by this one.
module Sdac.Experiments.Tests.CheckpointFormat2Tests

open System
open System.IO
open System.Runtime.InteropServices
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support

let private algorithms = [ "sdac"; "dpmd" ]

/// A copy of a recorded run, as it was killed some time after its checkpoint.
let private inRecorded (algorithm: string) (test: RunFolder -> unit) =
    inFolder (fun path ->
        let run = Path.Combine(path, "run")
        copy (Schema1.recorded algorithm) run
        test (RunFolder.openExisting run))

let private resumedOn (threads: int) (folder: RunFolder) =
    captureOutput (fun () -> Runner.resume standard folder.Path threads true) |> fst

let private bytesOf (file: TensorFile) (name: string) =
    match Map.tryFind name file.Tensors with
    | Some tensor -> tensor.Data
    | None -> failtest $"there is no {name}"

let private numbers (file: TensorFile) (name: string) : 'a[] =
    MemoryMarshal.Cast<byte, 'a>(ReadOnlySpan<byte>(bytesOf file name)).ToArray()

/// Names of today for numbers that stood together in one tensor: the tensor, the place in it.
let private floats =
    [ "temperature.log_lambda", "temperature", 0
      "temperature.m", "temperature", 1
      "temperature.v", "temperature", 2
      "values.mean", "values", 0
      "values.deviation", "values", 1 ]

let private integers =
    [ "updates", 2
      "policy.adam.count", 3
      "q1.adam.count", 4
      "q2.adam.count", 5
      "temperature.count", 6 ]

/// The recording is another machine's: last bits can differ from it. A wrong key, rhythm or coefficient moves far more.
let private close (largest: float) = 1e-6 * largest

/// Checks that float32 tensors agree but for last bits.
let private agree (name: string) (expected: float32[]) (found: float32[]) =
    Expect.equal found.Length expected.Length $"length of {name}"
    let largest = expected |> Array.fold (fun largest x -> max largest (abs x)) 0f
    let apart = Array.map2 (fun a b -> abs (a - b)) expected found |> Array.fold max 0f
    Expect.isLessThanOrEqual (float apart) (close (float largest)) name

let private closeTo (name: string) (expected: float) (found: float[]) =
    Expect.equal found.Length 1 $"length of {name}"
    Expect.isLessThanOrEqual (abs (found[0] - expected)) (close (abs expected)) name

/// Checks that a checkpoint of today holds what one of format 2 holds, up to last bits.
let private holdsTheSame (old: string) (now: string) =
    let old, now = Safetensors.read old, Safetensors.read now
    Expect.equal old.Metadata["format"] "sdac-checkpoint/2" "the old one"
    Expect.equal now.Metadata["format"] "sdac-checkpoint/3" "the new one"

    for name, tensor, place in floats do
        let values: float[] = numbers old tensor
        closeTo name values[place] (numbers now name)

    for name, place in integers do
        Expect.equal (numbers now name: int64[]) [| (numbers old "counters": int64[])[place] |] name

    let counters: int64[] = numbers old "counters"
    Expect.equal (now.Metadata["iteration"], now.Metadata["envSteps"]) (string counters[0], string counters[1]) "where"

    let shift: float[] =
        if old.Tensors.ContainsKey "energy_shift" then
            numbers old "energy_shift"
        else
            [| 0.0; 0.0 |]

    closeTo "energy_shift.shift" shift[0] (numbers now "energy_shift.shift")
    Expect.equal (numbers now "energy_shift.idle": int64[]) [| int64 shift[1] |] "updates since it was needed"

    let together = set [ "temperature"; "values"; "energy_shift"; "counters" ]
    let others = Set.ofSeq old.Tensors.Keys - together

    for name in others do
        agree name (numbers old name) (numbers now name)

    let split =
        List.map (fun (name, _, _) -> name) floats
        @ List.map fst integers
        @ [ "energy_shift.shift"; "energy_shift.idle" ]

    Expect.equal (Set.ofSeq now.Tensors.Keys) (others + set split) "and nothing else"

let private losses = set [ "q1Loss"; "q2Loss"; "policyLoss" ]

/// Checks that two runs logged the same, losses but for last bits.
let private tellTheSame (recorded: RunFolder) (now: RunFolder) =
    let read (folder: RunFolder) = Metrics.read folder.Metrics
    Expect.equal (read now).Length (read recorded).Length "lines"

    for i, (expected, found) in List.indexed (List.zip (read recorded) (read now)) do
        // as text: a figure may be NaN
        let others (line: Map<string, Figure>) = $"%A{Map.filter (fun name _ -> not (losses.Contains name)) line}"
        Expect.equal (others found) (others expected) $"line {i}"
        let number name = Map.tryFind name >> Option.bind Metrics.number

        for name in losses do
            match number name expected, number name found with
            | Some expected, Some found -> closeTo $"{name} in line {i}" expected [| found |]
            | expected, found -> Expect.equal found expected $"{name} in line {i}"

/// Writes the recorded checkpoint again, with another metadata entry and other tensors.
let private rewrite
    (folder: RunFolder)
    (metadata: Map<string, string> -> Map<string, string>)
    (others: TensorSource list)
    =
    let path = Checkpoint.path folder 45L
    let file = Safetensors.read path
    let replaced = others |> List.map _.Name |> set

    let sources =
        [ for KeyValue(name, t) in file.Tensors do
              if not (replaced.Contains name) then
                  Safetensors.ofBytes name t.Dtype t.Shape (ReadOnlyMemory t.Data)
          yield! others ]

    Safetensors.write path (metadata file.Metadata |> Map.remove "sha256") sources

/// The checkpoint for an agent of SDAC on the run's task, with the settings of the recorded run of SDAC.
let private load (folder: RunFolder) =
    let recorded = SpecFile.ofRun standard (RunFolder.openExisting (Schema1.recorded "sdac"))
    let own = SpecFile.ofRun standard folder
    let spec = { recorded with Task = own.Task; TaskOptions = own.TaskOptions }
    CheckpointRestore.load (agentOf spec) "sdac" spec.Task (Checkpoint.path folder 45L)

[<Tests>]
let tests =
    testList
        "checkpoints of format 2"
        [ for threads in [ 1; 2 ] do
              testCase
                  $"a run resumed from one ends as the old program's uninterrupted run, on {threads} threads"
                  (fun () ->
                      for algorithm in algorithms do
                          inRecorded algorithm (fun folder ->
                              let spec = File.ReadAllText folder.Spec
                              Expect.isTrue (resumedOn threads folder).IsSome "resumed"

                              tellTheSame (RunFolder.openExisting (Schema1.recorded algorithm)) folder

                              holdsTheSame
                                  (Path.Combine(folder.Path, "final.safetensors"))
                                  (Checkpoint.path folder 90L)

                              Expect.equal (File.ReadAllText folder.Spec) spec "its specification stays"))

          testCase "what is read of one is what it holds" (fun () ->
              inRecorded "sdac" (fun folder ->
                  let state = load folder

                  Expect.equal
                      (state.Updates, state.PolicyAdam.Count, state.Critics.Q1Adam.Count, state.Temperature.Count)
                      (45L, 15L, 90L, 7L)
                      "counters: every third update moves the policy, critics take two steps, λ moves every seventh"

                  let file = Safetensors.read (Checkpoint.path folder 45L)
                  let temperature: float[] = numbers file "temperature"
                  let values: float[] = numbers file "values"

                  Expect.equal
                      [| state.Temperature.LogLambda; state.Temperature.M; state.Temperature.V |]
                      temperature
                      "temperature"

                  Expect.equal [| state.Values.Mean; state.Values.Deviation |] values "running averages of Q"
                  Expect.notEqual values [| 0.0; 1.0 |] "which have moved"
                  disposeState state))

          testCase "early ones without averages of Q and shift of the energies had those of the beginning" (fun () ->
              inRecorded "sdac" (fun folder ->
                  let path = Checkpoint.path folder 45L
                  let file = Safetensors.read path

                  let sources =
                      [ for KeyValue(name, t) in file.Tensors do
                            if name <> "values" && name <> "energy_shift" then
                                Safetensors.ofBytes name t.Dtype t.Shape (ReadOnlyMemory t.Data) ]

                  Safetensors.write path (Map.remove "sha256" file.Metadata) sources
                  let state = load folder
                  Expect.equal state.Values RunningValues.init "averages"
                  Expect.equal state.EnergyShift EnergyShift.init "shift"
                  disposeState state
                  rewrite folder id [ Safetensors.ofFloat64 "energy_shift" [ 2L ] [| 71.0; 5.0 |] ]
                  let state = load folder
                  Expect.equal state.EnergyShift { Shift = 71.0; Idle = 5L } "read back"
                  disposeState state))

          testCase "a run goes on from format 3 under a specification of schema 1" (fun () ->
              for algorithm in algorithms do
                  inRecorded algorithm (fun folder ->
                      resumedOn 1 folder |> ignore
                      let expected = results folder
                      File.Delete folder.Summary
                      // killed after its last checkpoint, and once more in the middle of the part after the old one
                      Expect.isTrue (resumedOn 1 folder).IsSome "from the last checkpoint"
                      Expect.equal (results folder) expected "the same files"
                      File.Delete folder.Summary
                      File.Delete(Checkpoint.path folder 90L)
                      Expect.isTrue (resumedOn 1 folder).IsSome "from the old checkpoint once more"
                      Expect.equal (results folder) expected "the same files"))

          testCase "one of an older run can be played again" (fun () ->
              inRecorded "dpmd" (fun folder ->
                  let score, text = captureOutput (fun () -> Evaluate.run standard folder.Path None (Some 2) None 1)

                  Expect.stringContains text "000000045.safetensors" "which one"
                  Expect.isGreaterThan score.Mean 0.0 "return"))

          testCase "counters of another number or kind are damage, not another setting" (fun () ->
              for source in
                  [ Safetensors.ofInt64 "counters" [ 6L ] (Array.create 6 45L)
                    Safetensors.ofInt64 "counters" [ 7L ] (Array.create 7 -45L)
                    Safetensors.ofFloat64 "counters" [ 7L ] (Array.create 7 45.0) ] do
                  inRecorded "sdac" (fun folder ->
                      rewrite folder id [ source ]

                      for attempt in
                          [ fun () -> resumed folder |> ignore
                            fun () -> load folder |> ignore ] do
                          let failure = failureOf attempt
                          Expect.isTrue failure.IsDamaged "damage"

                          Expect.isTrue
                              (failure.Sentence.Contains "'counters'" || failure.Sentence.Contains "negative number")
                              failure.Sentence))

          testCase "one whose metadata lacks an entry or cannot be read is damaged" (fun () ->
              for key, change in
                  [ "metrics", Map.remove "metrics"
                    "metrics", Map.add "metrics" "nothing"
                    "metrics", Map.add "metrics" "[3]"
                    "journal", Map.add "journal" "{"
                    "journal", Map.add "journal" """{"weightCounts":3}"""
                    "spec", Map.add "spec" "{{" ] do
                  inRecorded "sdac" (fun folder ->
                      rewrite folder change []
                      let failure = failureOf (fun () -> resumed folder)
                      Expect.isTrue failure.IsDamaged $"{key}: {failure.Sentence}"
                      failure |> says [ "000000045.safetensors"; $"'{key}'" ]))

          testCase "one of another algorithm is not played, though it has the same networks" (fun () ->
              inRecorded "dpmd" (fun folder ->
                  let failure = failureOf (fun () -> load folder |> ignore)
                  Expect.isTrue failure.IsSettings "kind"
                  failure |> says [ "000000045.safetensors"; "algorithm dpmd"; "not of sdac" ]))

          testCase "one that was made with other settings or another algorithm is refused by the setting" (fun () ->
              inRecorded "sdac" (fun folder ->
                  File.WriteAllText(folder.Spec, Schema1.sdac.Replace("\"tau\": 0.03", "\"tau\": 0.04"))
                  let metrics = File.ReadAllBytes folder.Metrics

                  failureOf (fun () -> resumed folder)
                  |> says [ "config.critics.tau = 0.04"; "made with 0.03"; "000000045.safetensors" ]

                  Expect.equal (File.ReadAllBytes folder.Metrics) metrics "nothing is written")

              inRecorded "sdac" (fun folder ->
                  let dpmd = Schema1.sdac.Replace("\"algorithm\": \"sdac\"", "\"algorithm\": \"dpmd\"")

                  File.WriteAllText(folder.Spec, dpmd)
                  failureOf (fun () -> resumed folder) |> says [ "algorithm"; "sdac"; "dpmd" ])) ]
