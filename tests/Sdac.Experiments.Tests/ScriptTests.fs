/// What a user's script and an interactive session have without asking for it.
module Sdac.Experiments.Tests.ScriptTests

open System
open System.Diagnostics
open System.IO
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
                  Expect.hasLength clauses 16 "clauses"

                  for clause in clauses do
                      Expect.stringStarts clause "holds" "clause")
          } ]
