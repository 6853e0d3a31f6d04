/// Trained policies that act.
module Sdac.Experiments.Tests.PolicyTests

open System
open System.Diagnostics
open System.IO
open System.Reflection
open Expecto
open FsCheck
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing
open TorchSharp

/// A finished run of an algorithm, small in all that costs time. Walker2d takes actions in [-1, 1], the pendulum in [-3, 3].
let private finished (algorithm: string) =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))

         let spec =
             { Spec.iterations 24L (preset algorithm "tiny") with
                 Task = "InvertedPendulum-v4"
                 EvaluateEvery = 8L
                 EvaluationEpisodes = 2 }

         let folder = prepared path spec
         resumed folder |> ignore
         folder)

let internal runs = Map [ for algorithm in Registry.names standard -> algorithm, finished algorithm ]

let private sdac () = runs["sdac"].Value.Path

/// Observations of the pendulum.
let private some (n: int) (seed: int) : float[][] =
    let random = Random seed
    Array.init n (fun _ -> Array.init 4 (fun _ -> 0.4 * random.NextDouble() - 0.2))

/// What the agent of a run's newest checkpoint does in an evaluation, in [-1, 1].
let private chosen (folder: RunFolder) (key: Key) (obs: float[][]) : float32[] =
    let spec = SpecFile.ofRun standard folder

    (Spec.algorithm standard "" spec.Algorithm).Open
        { new IOpen<float32[]> with
            member _.Open algorithm =
                let agent = Runner.agent (Spec.experiment Environment.suite algorithm spec)
                let struct (_, state, _) = CheckpointRestore.newest agent spec.Algorithm spec.Task folder
                use _ = torch.NewDisposeScope()
                let rows = Array.concat obs |> Array.map float32
                let input = Tensors.ofArray agent.Compute [ obs.Length; 4 ] rows
                let actions = (agent.Act Purpose.Evaluate state key input).Action |> Tensors.toArray
                Parts.dispose agent.Parts state
                actions }

/// A program in C# against this library, compiled by the SDK's own compiler, and what its Main.Run returns.
let private csharp (text: string) (arguments: obj[]) : obj | null =
    inFolder (fun path ->
        let source, assembly = Path.Combine(path, "program.cs"), Path.Combine(path, "program.dll")
        File.WriteAllText(source, text)

        let sdk =
            Commands.tryRun dotnet [ "--version" ]
            |> Option.bind Result.toOption
            |> Option.map _.Trim()
            |> Option.defaultWith (fun () -> skiptest "there is no SDK beside this dotnet")

        let root =
            string (
                Path.GetDirectoryName(
                    string (
                        FileInfo(dotnet).ResolveLinkTarget true
                        |> Option.ofObj
                        |> Option.map _.FullName
                        |> Option.defaultValue dotnet
                    )
                )
            )

        let compiler = Path.Combine(root, "sdk", sdk, "Roslyn", "bincore", "csc.dll")

        if not (File.Exists compiler) then
            skiptest $"there is no {compiler}"

        let managed (file: string) =
            try
                AssemblyName.GetAssemblyName file |> ignore
                true
            with :? BadImageFormatException ->
                false

        let runtime = Directory.GetFiles(string (Path.GetDirectoryName typeof<obj>.Assembly.Location), "*.dll")
        let own = Directory.GetFiles(AppContext.BaseDirectory, "*.dll")

        let references =
            Seq.append runtime own
            |> Seq.distinctBy (fun file -> string (Path.GetFileName file))
            |> Seq.filter managed
            |> Seq.map (fun file -> $"-r:{file}")
            |> List.ofSeq

        match
            Commands.tryRun
                dotnet
                ([ "exec"; compiler; "-nologo"; "-nostdlib"; "-t:library"; $"-out:{assembly}"; source ] @ references)
        with
        | Some(Ok _) -> ()
        | Some(Error complaint) -> failtest $"C#: {complaint}"
        | None -> failtest "no dotnet"

        let program = Assembly.Load(File.ReadAllBytes assembly)
        (nonNull ((nonNull (program.GetType "Example")).GetMethod "Run")).Invoke(null, arguments))

[<Tests>]
let tests =
    testList
        "policies"
        [ testCase "every algorithm's policy acts as in an evaluation, in the task's units" (fun () ->
              for KeyValue(algorithm, run) in runs do
                  let folder = run.Value
                  use policy = Policy.load folder.Path
                  let obs = some 5 1
                  let key = Key.ofSeed 3L
                  let actions = policy.ActMany(obs, key)

                  // the pendulum's motor takes [-3, 3]
                  let expected = chosen folder key obs |> Array.map (fun a -> Math.Clamp(3.0 * float a, -3.0, 3.0))

                  for action, expected in Array.zip (Array.concat actions) expected do
                      Expect.isLessThan (abs (action - expected)) 1e-6 algorithm

                  Expect.equal (policy.ObsDim, policy.ActionDim) (4, 1) "sizes"
                  Expect.equal (List.ofSeq policy.ActionLow, List.ofSeq policy.ActionHigh) ([ -3.0 ], [ 3.0 ]) "bounds")

          testCase
              "equal calls on a policy that is loaded again give equal actions, and further calls others"
              (fun () ->
                  let sequence () =
                      use policy = Policy.load (sdac ())
                      [ for obs in some 4 2 -> policy.act obs ]

                  Expect.equal (sequence ()) (sequence ()) "the same calls"
                  use policy = Policy.load (sdac ())
                  let obs = (some 1 5)[0]
                  let first, second = policy.act obs, policy.act obs
                  Expect.notEqual first second "another call draws other numbers"
                  Expect.equal (policy.Act(obs, 1L)) second "the number of a call"
                  Expect.equal (policy.Act(obs, 0L)) first "whatever was asked between"
                  let key = Key.ofSeed 8L
                  Expect.equal (policy.Act(obs, key)) (policy.Act(obs, key)) "a key of one's own"
                  use other = Policy.Load(sdac (), seed = 1L)
                  Expect.notEqual (other.Act(obs, 0L)) first "another seed")

          testCase "many observations at once are a call as well" (fun () ->
              use policy = Policy.load (sdac ())
              use again = Policy.load (sdac ())
              let obs = some 3 4
              let key = Key.ofSeed 5L
              let all = policy.ActMany(obs, key)
              Expect.equal (all.Length, all[2].Length) (3, 1) "rows"
              Expect.equal (policy.ActMany(obs, key)) all "the same key"
              Expect.equal (policy.actMany obs) (again.ActMany(obs, 0L)) "the first counted call"
              Expect.equal (policy.actMany [||]) [||] "none, which is no call"
              Expect.equal (policy.actMany obs) (again.ActMany(obs, 1L)) "the second one")

          testCase
              "the best of so many actions is that of the settings, and an algorithm without a choice says so"
              (fun () ->
                  let obs = some 6 7
                  let key = Key.ofSeed 1L

                  let acted particles =
                      use policy = Policy.Load(sdac (), particles = particles)
                      policy.ActMany(obs, key)

                  let spec = SpecFile.ofRun standard runs["sdac"].Value
                  let own = ParticleSettings.evaluation (experimentOf spec).Config.Particles
                  Expect.isGreaterThan own 1 "the run's own"
                  Expect.equal (acted own) (acted 0) "the run's own"
                  Expect.notEqual (acted 1) (acted 0) "no choice"

                  failureOf (fun () -> Policy.Load(runs["ppo"].Value.Path, particles = 8))
                  |> says [ "does not choose among several actions" ]

                  failureOf (fun () -> acted -1) |> says [ "evaluationParticles is -1" ])

          testCase "actions do not depend on the number of threads" (fun () ->
              let acted threads =
                  use policy = Policy.Load(sdac (), threads = threads)
                  policy.ActMany(some 9 3, Key.ofSeed 2L)

              Expect.equal (acted 2) (acted 1) "two threads and one")

          testCase "a checkpoint can be named, the best one too, and needs no run folder around it" (fun () ->
              let folder = runs["sdac"].Value
              use newest = Policy.load folder.Path
              use named = Policy.load newest.File
              Expect.equal newest.File (List.head (Checkpoint.list folder)) "the newest"
              let obs = (some 1 9)[0]
              Expect.equal (named.act obs) (newest.act obs) "the same networks"

              inFolder (fun path ->
                  let elsewhere = Path.Combine(path, "mine.safetensors")
                  File.Copy(folder.Best, elsewhere)
                  use best = Policy.load elsewhere
                  use kept = Policy.load folder.Best
                  Expect.equal (best.act obs, best.Task) (kept.act obs, "InvertedPendulum-v4") "the best"))

          testCase "what is no observation of the task is refused with its place" (fun () ->
              use policy = Policy.load (sdac ())

              failureOf (fun () -> policy.act [| 0.0; 1.0 |])
              |> says [ "InvertedPendulum-v4 has 4 numbers"; "has 2" ]

              for wrong in [ nan; infinity; 1e300 ] do
                  let obs = some 2 1
                  obs[1][2] <- wrong

                  failureOf (fun () -> policy.actMany obs) |> says [ "number 2 of observation 1"; "finite" ]

              // a refused call is none
              use again = Policy.load (sdac ())
              let obs = (some 1 1)[0]
              Expect.equal (policy.act obs) (again.act obs) "the first call")

          testCase "a folder that is no run, a file that is no checkpoint and one of other sizes are refused" (fun () ->
              inFolder (fun path ->
                  failureOf (fun () -> Policy.load path) |> says [ path; "not a run folder" ]
                  let file = Path.Combine(path, "x.safetensors")
                  failureOf (fun () -> Policy.load file) |> says [ file; "no such file" ]
                  File.WriteAllText(file, "nothing")
                  failureOf (fun () -> Policy.load file) |> says [ file ]
                  Safetensors.write file Map.empty [ Safetensors.ofFloat32 "a" [ 1L ] [| 1.0f |] ]
                  failureOf (fun () -> Policy.load file) |> says [ file; "holds no specification" ]))

          testCase "a policy that is disposed frees its tensors, once, and acts no more" (fun () ->
              Policy.load (sdac ()) |> using <| ignore
              let before = torch.Tensor.TotalCount
              let policy = Policy.load (sdac ())
              let obs = (some 1 1)[0]
              policy.act obs |> ignore
              policy.actMany (some 3 1) |> ignore
              (policy :> IDisposable).Dispose()
              (policy :> IDisposable).Dispose()
              Expect.equal torch.Tensor.TotalCount before "live tensors"
              Expect.throwsT<ObjectDisposedException> (fun () -> policy.act obs |> ignore) "it is closed")

          testCase "the same from C#" (fun () ->
              let program =
                  """
using Sdac.Experiments;

public static class Example
{
    public static double[] Run(string run, double[] obs)
    {
        using var policy = Policy.Load(run, particles: 4);
        double[] action = policy.Act(obs);
        double[][] actions = policy.ActMany(new[] { obs, obs });
        return new[] { action[0], actions[0][0], actions[1][0], policy.Act(obs, 0L)[0] };
    }
}
"""

              let obs = (some 1 6)[0]

              match csharp program [| sdac (); obs |] with
              | :? (float[]) as found ->
                  use policy = Policy.Load(sdac (), particles = 4)
                  let action = policy.act obs
                  let actions = policy.actMany [| obs; obs |]
                  Expect.equal found [| action[0]; actions[0][0]; actions[1][0]; action[0] |] "actions"
              | other -> failtest $"it returned {other}") ]
