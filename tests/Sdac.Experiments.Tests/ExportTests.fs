/// Policies that act in other programs: ONNX Runtime, and Python with numpy.
module Sdac.Experiments.Tests.ExportTests

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open Microsoft.ML.OnnxRuntime
open Microsoft.ML.OnnxRuntime.Tensors
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.FreshPolicies
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open TorchSharp

/// What a model gives for observations [states, O] and the numbers of a key: action, candidates, and values where it has them.
let private runModel (model: byte[]) (form: PolicyForm) (key: Key) (states: int) (obs: float32[]) =
    use options = new SessionOptions(IntraOpNumThreads = 1, InterOpNumThreads = 1)
    options.GraphOptimizationLevel <- GraphOptimizationLevel.ORT_DISABLE_ALL
    use session = new InferenceSession(model, options)
    use _ = torch.NewDisposeScope()

    let steps (noise: ChainNoise) = noise.Steps |> Array.collect Tensors.toArray

    let given name (values: float32[]) =
        let shape = session.InputMetadata[name].Dimensions |> Array.map (fun d -> if d < 0 then states else d)
        NamedOnnxValue.CreateFromTensor(name, DenseTensor<float32>(Memory values, ReadOnlySpan shape))

    let inputs =
        [ given "obs" obs
          if session.InputMetadata.ContainsKey "initial" then
              let noise = form.Noise key states
              given "initial" (Tensors.toArray noise.Initial)

              if session.InputMetadata.ContainsKey "steps" then
                  given "steps" (steps noise) ]

    use results = session.Run(ResizeArray inputs)
    Map [ for result in results -> result.Name, Seq.toArray (result.AsEnumerable<float32>()) ]

/// The largest distance of two vectors.
let private distance (a: float32[]) (b: float32[]) =
    Expect.equal a.Length b.Length "numbers"
    Array.map2 (fun (a: float32) b -> abs (a - b)) a b |> Array.fold max 0.0f

/// Checks that chosen actions are a model's own, and its candidates', wherever its best two values differ by more than 1e-3.
let private sameChoice (name: string) (n: int) (dim: int) (chosen: float32[]) (outputs: Map<string, float32[]>) =
    let rows (numbers: int) (output: string) = Array.chunkBySize numbers outputs[output]

    let values =
        if outputs.ContainsKey "values" then
            rows n "values"
        else
            rows dim "action" |> Array.map (fun _ -> [| 0f |])

    for state, action in Array.indexed (Array.chunkBySize dim chosen) do
        let all, decided = rows (n * dim) "candidates", rows dim "action"
        let candidates = Array.chunkBySize dim all[state]
        let ranked = Array.indexed values[state] |> Array.sortByDescending snd

        if ranked.Length = 1 || snd ranked[0] - snd ranked[1] > 1e-3f then
            // Hopper's actions are those of the networks
            for what, found in [ "action", decided[state]; "candidate", candidates[fst ranked[0]] ] do
                Expect.isLessThan (distance found action) 1e-4f $"{name}: the {what} of state {state}"

[<Tests>]
let tests =
    testList
        "exported policies"
        [ testCase "a model of ONNX acts with the same noise as the agent, for every algorithm and preset" (fun () ->
              let states = 3
              let obs = observations states task.Value.ObsDim
              let mutable compared = 0

              for name, spec in forms () do
                  let policy = fresh spec

                  try
                      match policy.Form with
                      | Error why -> Expect.stringContains why "take 1 particle" name
                      | Ok form ->
                          compared <- compared + 1
                          let model = Export.model form task.Value []
                          let key = Key.ofSeed 9L
                          let outputs = runModel model form key states obs
                          let chosen = policy.Act key states obs
                          sameChoice name form.Particles task.Value.ActionDim chosen outputs
                          Expect.isGreaterThan (distance chosen (Array.zeroCreate chosen.Length)) 1e-3f $"{name} acts"
                  finally
                      policy.Free()

              Expect.isGreaterThan compared 40 "policies compared")

          testCase "all candidates are those of the library, each of them with its own noise" (fun () ->
              for algorithm in [ "sdac"; "dpmd"; "qsm"; "qvpo"; "maxentdp"; "dqs" ] do
                  let with' n = fresh (setTo (small (preset algorithm "tiny")) "evaluationParticles" (string n))
                  let many, one = with' 4, with' 1

                  try
                      let obs, key = observations 2 task.Value.ObsDim, Key.ofSeed 4L
                      let form = Result.defaultWith failtest many.Form
                      let outputs = runModel (Export.model form task.Value []) form key 2 obs
                      // candidates of one state are rows of the same noise, each the only action of a state of its own
                      let repeated =
                          obs
                          |> Array.chunkBySize task.Value.ObsDim
                          |> Array.collect (Array.replicate 4 >> Array.concat)

                      Expect.isLessThan (distance outputs["candidates"] (one.Act key 8 repeated)) 1e-4f algorithm
                  finally
                      many.Free()
                      one.Free())

          testCase "a policy that chooses among candidates in ways of its own is refused" (fun () ->
              for algorithm, settings, words in
                  [ "sdac", [ "candidates", "{\"oneStep\": 2}" ], "candidates is oneStep"
                    "idql",
                    [ "evaluation", "{\"expectile\": 0.7}"; "evaluationParticles", "3" ],
                    "evaluation is expectile" ] do
                  let spec =
                      settings |> List.fold (fun spec (key, value) -> setTo spec key value) (preset algorithm "tiny")

                  let policy = fresh spec

                  try
                      match policy.Form with
                      | Ok _ -> failtest $"{algorithm} was exported"
                      | Error why -> Expect.stringContains why words "sentence"
                  finally
                      policy.Free()) ]

let private interpreter = "/usr/bin/python3"

/// One process of Python for all runs: reads checkpoints by policy.py and acts with the noise given.
let private python =
    "import json, sys\n"
    + "import numpy as np\n"
    + "from policy import Policy\n"
    + "result = []\n"
    + "for one in json.load(sys.stdin):\n"
    + "    noise = [np.array(one[k], 'f4').reshape(one[k + 'Shape']) for k in ('initial', 'steps')]\n"
    + "    policy = Policy(one['path'])\n"
    + "    shapes = [list(n.shape) for n in policy.noise(np.random.default_rng(0), 3)]\n"
    + "    assert 'chain' not in policy.form or shapes == [one['initialShape'], one['stepsShape']], shapes\n"
    + "    result.append(policy(np.array(one['obs'], 'f4').reshape(3, -1), *noise).tolist())\n"
    + "print(json.dumps(result))\n"

/// The form of the newest checkpoint of a run, and its numbers for three states: shape and values of x_T and of the steps.
let private noiseOf (folder: RunFolder) (key: Key) =
    let spec = SpecFile.ofRun standard folder

    (Spec.algorithm standard "" spec.Algorithm).Open
        { new IOpen<(int list * float32[]) * (int list * float32[])> with
            member _.Open algorithm =
                let agent = Runner.agent (Spec.experiment Environment.suite algorithm spec)
                let struct (_, state, _) = CheckpointRestore.newest agent spec.Algorithm spec.Task folder
                use _ = torch.NewDisposeScope()
                let form = Result.defaultWith failtest (agent.Form state)
                let shape = [ 3; form.Particles; agent.Space.ActionDim ]

                let found =
                    match form.Candidates with
                    | FormCandidates.Direct(_, FormSpread.Mode, _) ->
                        (shape, Array.zeroCreate (List.fold (*) 1 shape)), (0 :: shape, [||])
                    | _ ->
                        let noise = form.Noise key 3

                        (shape, Tensors.toArray noise.Initial),
                        (noise.Steps.Length :: shape, noise.Steps |> Array.collect Tensors.toArray)

                Parts.dispose agent.Parts state
                found }

let private numbers (values: float32 seq) : JsonNode =
    JsonArray [| for x in values -> (JsonValue.Create x: JsonNode | null) |]

let private whole (values: int seq) : JsonNode =
    JsonArray [| for x in values -> (JsonValue.Create x: JsonNode | null) |]

[<Tests>]
let readers =
    testList
        "checkpoints in Python"
        [ testCase "policy.py acts as the library does with the same noise, for every algorithm's checkpoint" (fun () ->
              if not (Processes.canRun interpreter [ "-c"; "import numpy" ]) then
                  skiptest "the reader needs Debian's Python with numpy: apt-get install python3-numpy"

              let key = Key.ofSeed 8L
              let obs = observations 3 4
              let runs = PolicyTests.runs |> Map.map (fun _ run -> run.Value)

              let request =
                  [| for KeyValue(_, folder) in runs do
                         let (shape, initial), (stepShape, steps) = noiseOf folder key

                         JsonObject(
                             [ "path", (nonNull (JsonValue.Create(List.head (Checkpoint.list folder))): JsonNode)
                               "obs", numbers obs
                               "initial", numbers initial
                               "initialShape", whole shape
                               "steps", numbers steps
                               "stepsShape", whole stepShape ]
                             |> List.map (fun (name, value) ->
                                 Collections.Generic.KeyValuePair(name, (value: JsonNode | null)))
                         )
                         : JsonNode | null |]

              let folder = Path.Combine(repository, "src", "Sdac.Experiments", "Export")
              let info = Diagnostics.ProcessStartInfo(interpreter, [ "-B"; "-c"; python ], WorkingDirectory = folder)
              info.RedirectStandardInput <- true
              info.RedirectStandardOutput <- true
              info.RedirectStandardError <- true
              use running = Diagnostics.Process.Start info |> nonNull
              running.StandardInput.Write((JsonArray request).ToJsonString())
              running.StandardInput.Close()

              let code, error, output =
                  let output = running.StandardOutput.ReadToEndAsync()
                  let error = running.StandardError.ReadToEnd()
                  running.WaitForExit()
                  running.ExitCode, error, output.Result

              Expect.equal code 0 error
              let found = (nonNull (JsonNode.Parse output)).AsArray()
              let rows = obs |> Array.map float |> Array.chunkBySize 4

              for i, KeyValue(algorithm, folder) in Seq.indexed runs do
                  use policy = Policy.load folder.Path

                  let actions =
                      [| for row in (nonNull found[i]).AsArray() -> (nonNull (nonNull row).[0]).GetValue<float>() |]

                  for ours, theirs in Array.zip (Array.concat (policy.ActMany(rows, key))) actions do
                      Expect.isLessThan (abs (ours - theirs)) 1e-4 algorithm)

          testCase "the page shows the reader as it is" (fun () ->
              let folder = Path.Combine(repository, "src", "Sdac.Experiments", "Export")
              let page = File.ReadAllText(Path.Combine(folder, "EXPORT.md"))
              Expect.stringContains page (File.ReadAllText(Path.Combine(folder, "policy.py")).Trim()) "EXPORT.md") ]

[<Tests>]
let commands =
    testList
        "the export command"
        [ testCase "writes a model that says what it is, and what it asks for and gives" (fun () ->
              inFolder (fun path ->
                  let target = Path.Combine(path, "policy.onnx")
                  let folder: RunFolder = PolicyTests.runs["sdac"].Value

                  let program: Program =
                      { Name = "export.fsx"
                        Shown = "export.fsx"
                        Registry = standard
                        Start = (fun command -> [ command ]) }

                  let code, text =
                      captureOutput (fun () ->
                          ExportCommand.run program [| folder.Path; "--onnx"; target; "--particles"; "3" |])

                  Expect.equal code 0 "code"

                  for part in
                      [ "SDAC on InvertedPendulum-v4"
                        "input   obs [batch, 4]"
                        "input   initial [batch, 3, 1]"
                        "output  action [batch, 1]"
                        "output  values [batch, 3]" ] do
                      Expect.stringContains text part "text"

                  use session = new InferenceSession(target)
                  let metadata = session.ModelMetadata.CustomMetadataMap
                  Expect.equal (metadata["task"], metadata["algorithm"]) ("InvertedPendulum-v4", "sdac") "metadata"
                  // in the task's units: the pendulum's motor takes [-3, 3]
                  use policy = Policy.Load(folder.Path, 3)
                  let (shape, initial), (stepShape, steps) = noiseOf folder (Key.ofSeed 1L)
                  ignore (shape, initial, stepShape, steps)
                  Expect.equal policy.ActionDim 1 "size"))

          testCase "what cannot be exported is refused in one sentence" (fun () ->
              inFolder (fun path ->
                  let target = Path.Combine(path, "policy.onnx")
                  let export path particles = failureOf (fun () -> Export.onnx standard path particles target)
                  export path 0 |> says [ path ]

                  // what is exported, and what else a run would lose
                  let run: RunFolder = { Path = Path.Combine(path, "run") }
                  copy PolicyTests.runs["td3"].Value.Path run.Path

                  for policy, over in
                      [ run.Path, run.Spec
                        run.Path, run.Metrics
                        run.Best, run.Best
                        run.Path, List.head (Checkpoint.list run) ] do
                      let before = File.ReadAllBytes over

                      failureOf (fun () -> Export.onnx standard policy 0 over)
                      |> says [ $"--onnx {over} would overwrite"; "choose another name" ]

                      Expect.equal (File.ReadAllBytes over) before "as it was"

                  Export.onnx standard run.Path 0 (Path.Combine(run.Path, "policy.onnx")) |> ignore
                  export PolicyTests.runs["ppo"].Value.Path 4 |> says [ "PPO does not choose among several actions" ]

                  failureOf (fun () -> Watch.run standard run.Path { Watch.usual with Out = Some run.Metrics })
                  |> says [ $"--out {run.Metrics} would overwrite a file of the run" ]

                  // a checkpoint of another algorithm in a run's folder
                  let mixed = Path.Combine(path, "mixed")
                  copy PolicyTests.runs["td3"].Value.Path mixed
                  let into: RunFolder = { Path = mixed }
                  let other = List.head (Checkpoint.list PolicyTests.runs["sac"].Value)
                  File.Copy(other, List.head (Checkpoint.list into), true)
                  export mixed 0 |> says [ "a checkpoint of the algorithm sac, not of td3" ]

                  // and of another size
                  let wider = Path.Combine(path, "wider")
                  copy PolicyTests.runs["td3"].Value.Path wider
                  let into: RunFolder = { Path = wider }
                  let spec = SpecFile.ofRun standard into |> fun spec -> setTo spec "hidden" "[31, 32]"
                  File.WriteAllText(into.Spec, Spec.print spec)
                  export wider 0 |> says [ "policy.layer0.weight"; "use the settings that the run was made with" ]
                  Expect.isFalse (File.Exists target) "nothing is written"

                  let mine = { Sac.algorithm with Name = "mine"; Title = "Mine" }

                  let shy =
                      { mine with
                          Agent =
                              fun compute space horizon config ->
                                  { mine.Agent compute space horizon config with
                                      Form = PolicyForm.none "it asks an oracle: play it here" } }

                  let registry = Registry.standard |> Registry.add shy
                  let folder = Path.Combine(path, "shy")

                  let spec =
                      { preset "sac" "tiny" with Algorithm = "mine"; Iterations = 8L; Task = "InvertedPendulum-v4" }

                  captureOutput (fun () -> Runner.run registry spec (into.Path |> fun _ -> Runs.into folder 1))
                  |> ignore

                  failureOf (fun () -> Export.onnx registry folder 0 target)
                  |> says [ "the policy of Mine in"; "cannot be exported: it asks an oracle: play it here" ])) ]
