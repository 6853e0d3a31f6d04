/// What a user's script and an interactive session have without asking for it.
module Sdac.Experiments.Tests.ScriptTests

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac.Experiments.Tests.Support

let private look =
    """
[<System.Runtime.InteropServices.DllImport("libc")>]
extern nativeint getenv(string name)

let told name = System.Runtime.InteropServices.Marshal.PtrToStringUTF8(getenv name)
printfn "%d %s" (TorchSharp.torch.get_num_threads ()) (told "OMP_WAIT_POLICY")
"""

/// A script or session that names nothing but the pipeline.
let private pipeline =
    """
open Sdac.Functional
let small = fun (c: SdacConfig) -> { c with Hidden = [ 8 ]; Data.Environments = 1 }
let step = Experiment.on Sdac.algorithm "InvertedPendulum-v4" |> Experiment.configure small |> Pipeline.start
Pipeline.dispose step
"""

/// The lines that F# Interactive prints for a script file, or for a session's text.
let private fsi (arguments: string list) (session: string option) : string list =
    let start =
        ProcessStartInfo("dotnet", "fsi" :: "--nologo" :: "--quiet" :: arguments, WorkingDirectory = repository)

    for name in [ "OMP_WAIT_POLICY"; "GOMP_SPINCOUNT"; "OMP_NUM_THREADS"; "MKL_NUM_THREADS" ] do
        start.Environment.Remove name |> ignore

    start.RedirectStandardInput <- true
    start.RedirectStandardOutput <- true
    start.RedirectStandardError <- true
    use fsi = nonNull (Process.Start start)
    let errors = fsi.StandardError.ReadToEndAsync()
    session |> Option.iter fsi.StandardInput.Write
    fsi.StandardInput.Close()
    let output = fsi.StandardOutput.ReadToEnd()
    fsi.WaitForExit()
    Expect.equal (fsi.ExitCode, errors.Result) (0, "") "F# Interactive"
    output.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray |> List.map _.Trim()

[<Tests>]
let tests =
    testList
        "Scripts and sessions"
        [ test "a script that only uses the pipeline has libtorch with one thread and sleeping workers" {
              inFolder (fun folder ->
                  let script = Path.Combine(folder, "own.fsx")
                  let sdac = Path.Combine(repository, "scripts", "sdac.fsx")
                  File.WriteAllText(script, $"#load \"{sdac}\"\n{pipeline}{look}")
                  Expect.equal (fsi [ "--exec"; script ] None) [ "1 passive" ] "threads and policy")
          }

          test "so has an interactive session" {
              let text = $"#load \"scripts/sdac.fsx\";;\n{pipeline};;\n{look};;\n#quit;;\n"
              Expect.contains (fsi [] (Some text)) "1 passive" "threads and policy"
          }

          test "the composed experiment visibly learns, with either algorithm" {
              let lines = fsi [ "--exec"; Path.Combine(repository, "scripts", "compose.fsx") ] None

              let means =
                  [ for line in lines do
                        let found = Regex.Match(line, @"steps: mean return +(-?[0-9.]+)$")

                        if found.Success then
                            float found.Groups[1].Value ]

              Expect.hasLength means 10 $"five parts of two runs: {lines}"

              for run in List.chunkBySize 5 means do
                  // a pendulum that falls at once gets 3 to 6
                  Expect.isLessThan run.Head 15.0 "the first fifth of the episodes"
                  Expect.isGreaterThan (List.last run) 50.0 "the last fifth"
          }

          test "the commands of the recipes run, one after the other" {
              inFolder (fun folder ->
                  let page = File.ReadAllText(Path.Combine(repository, "scripts", "README.md"))

                  let commands =
                      [ for found in Regex.Matches(page, @"(?m)^dotnet fsi --exec (scripts/(?!compose).+)$") ->
                            List.ofArray (found.Groups[1].Value.Split ' ') ]

                  Expect.hasLength commands 5 "commands"

                  let rec small (words: string list) =
                      match words with
                      | "--iterations" :: _ :: rest -> "--iterations" :: "40" :: small rest
                      | word :: rest when word.StartsWith("runs/", StringComparison.Ordinal) ->
                          Path.Combine(folder, word) :: small rest
                      | word :: rest -> word :: small rest
                      | [] -> []

                  for words in commands do
                      let rest = small words.Tail

                      let rest =
                          if rest.Head = "train" then
                              (if List.contains "--iterations" rest then
                                   rest
                               else
                                   rest @ [ "--iterations"; "40" ])
                              @ [ "--set"; "warmUp=200"; "--set"; "evaluationEpisodes=2"; "--quiet" ]
                          else
                              rest

                      let lines = fsi ("--exec" :: Path.Combine(repository, words.Head) :: rest) None
                      Expect.isNonEmpty lines (String.concat " " words))
          }

          test "the example of an algorithm of one's own fulfils the contract" {
              inFolder (fun folder ->
                  let scripts = Path.Combine(repository, "scripts")
                  let text = File.ReadAllText(Path.Combine(scripts, "own-algorithm.fsx"))
                  let registered = text.IndexOf "Registry.standard"
                  let library = Path.Combine(scripts, "sdac.fsx")

                  let script =
                      text.Remove(registered).Replace("\"sdac.fsx\"", $"\"{library}\"") + "Contract.check search\n"

                  let path = Path.Combine(folder, "check.fsx")
                  File.WriteAllText(path, script)
                  let lines = fsi [ "--exec"; path ] None
                  let clauses = lines |> List.filter (fun line -> line.Contains "Random search Q-learning: ")
                  Expect.hasLength clauses 17 "clauses"

                  for clause in clauses do
                      Expect.stringStarts clause "holds" "clause")
          } ]
