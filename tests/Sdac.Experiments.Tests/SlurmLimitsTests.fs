/// Sweeps that Slurm would not take as they come: folders whose names mean something to it, and more runs than an array may have.
module Sdac.Experiments.Tests.SlurmLimitsTests

open System
open System.Diagnostics
open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.SlurmEngineTests
open Sdac.Experiments.Tests.SweepSupport
open Sdac.Testing

let private sevenSeeds = """{ "grid": { "particles": [1, 2, 3, 4, 5, 6, 7] } }"""

/// scontrol of a Slurm with this limit.
let private limit (size: int) =
    "scontrol", $"printf 'MaxArrayTasks = 9\\nMaxArraySize            = {size}\\nMaxJobCount = 10000\\n'"

/// What is submitted, one call a line, by programs that know of no job; jobs are numbered from 71.
let private submissions (path: string) (programs: (string * string) list) (run: unit -> 'a) : string list =
    let submitted = Path.Combine(path, "submitted")

    let fakes =
        [ "squeue", ""
          "sacct", "exit 1"
          "sbatch", $"echo \"$*\" >>'{submitted}'; echo $((70 + $(wc -l <'{submitted}')))" ]

    withPrograms (fakes @ programs) run |> ignore
    File.ReadAllLines submitted |> List.ofArray

let private quick (jobs: int option) = { options [ "true" ] with Poll = TimeSpan.FromMilliseconds 1.0; Jobs = jobs }

let private job (name: string) (line: string) = line.Split ' ' |> Array.contains ("--job-name=" + name)

[<Tests>]
let tests =
    testList
        "Slurm's limits"
        [ testCase "more runs than an array may have tasks become several arrays, each task its own run" (fun () ->
              inFolder (fun path ->
                  let said = Path.Combine(path, "said")
                  let recorder = $"echo \"$@\" >>'{said}'"

                  let folder, runs =
                      prepared
                          (Path.Combine(path, "sweep"))
                          (sweepOf "test" 20 sevenSeeds)
                          [ "bash"; "-c"; recorder; "-" ]

                  let name = SlurmQueue.jobName folder
                  let run () = SlurmEngine.run folder runs (quick None) never (fun _ _ -> ())
                  let lines = submissions path [ limit 3 ] run
                  Expect.equal lines.Length 4 "three arrays and the report"

                  for first, tasks, line in
                      [ "", "0-2", lines[0]; "-from3", "0-2", lines[1]; "-from6", "0", lines[2] ] do
                      Expect.isTrue (job (name + first) line) line
                      Expect.stringContains line $"--array={tasks} " "tasks"
                      Expect.stringLacks line "--dependency" "arrays without a number of runs at a time"

                  Expect.stringContains (lines[3]) "--dependency=afterany:71:72:73 " "the report comes behind all"

                  Expect.equal
                      (SlurmQueue.jobNames folder)
                      [ name; name + "-from3"; name + "-from6" ]
                      "names to end them by"

                  // the script's argument is the last word of the line
                  for index, (line: string) in List.indexed (List.truncate 3 lines) do
                      let argument = line.Substring(line.LastIndexOf ' ' + 1)
                      File.WriteAllText(said, "")

                      withVariable "SLURM_ARRAY_TASK_ID" "0" (fun () ->
                          use task = Process.Start("bash", [ Path.Combine(folder.Path, "array.sh"); argument ])
                          task.WaitForExit())

                      Expect.stringContains (File.ReadAllText said) (folder.Spec(fst runs[3 * index])) "the run"))

          testCase "a number of runs at a time holds for the whole sweep: its arrays follow one another" (fun () ->
              inFolder (fun path ->
                  let folder, runs = prepared (Path.Combine(path, "sweep")) (sweepOf "test" 20 sevenSeeds) worker
                  let run () = SlurmEngine.run folder runs (quick (Some 2)) never (fun _ _ -> ())
                  let lines = submissions path [ limit 3 ] run
                  let tasks = [ "--array=0-2%2 "; "--array=0-2%2 "; "--array=0%2 " ]

                  for task, line in List.zip tasks (List.truncate 3 lines) do
                      Expect.stringContains line task "tasks"

                  Expect.stringLacks (lines[0]) "--dependency" "the first"
                  Expect.stringContains (lines[1]) "--dependency=afterany:71 " "the second"
                  Expect.stringContains (lines[2]) "--dependency=afterany:72 " "the third"))

          testCase "tasks of all arrays are known by their runs, in the queue and in the accounts" (fun () ->
              inFolder (fun path ->
                  let folder, runs = prepared (Path.Combine(path, "sweep")) (sweepOf "test" 20 sevenSeeds) worker
                  let name = SlurmQueue.jobName folder
                  File.WriteAllText(Path.Combine(folder.Path, "arrays.txt"), "0\n3\n6\n")
                  let names = $"{name},{name}-from3,{name}-from6,{name}-report"

                  let programs =
                      [ "squeue",
                        $"case \"$*\" in *--name={names}' '*) printf '%%s|8|1|RUNNING\\n%%s|9|0|PENDING\\n' {name}-from3 {name}-from6;; esac"
                        "sacct",
                        $"case \"$*\" in *--name={name}-from3' '*) echo '8_2|TIMEOUT';; *--name={name}' '*) echo '7_2|FAILED';; esac" ]

                  let states = withPrograms programs (fun () -> SlurmEngine.status folder runs) |> List.map _.State

                  Expect.equal
                      states
                      [ Stopped
                        Stopped
                        Failed "Slurm says FAILED"
                        Stopped
                        Running
                        Failed "Slurm says TIMEOUT"
                        Waiting ]
                      "states"

                  // what is in the queue is not submitted again
                  let lines =
                      submissions path (limit 3 :: [ List.head programs ]) (fun () ->
                          use leaving = new Threading.CancellationTokenSource()
                          leaving.Cancel()
                          SlurmEngine.run folder runs (quick None) leaving.Token (fun _ _ -> ()))

                  let arrays = lines |> List.filter _.Contains("--array=")
                  Expect.equal arrays.Length 2 "arrays"
                  Expect.stringContains (arrays[0]) "--array=0-2 " "the first"
                  Expect.stringContains (arrays[1]) "--array=0,2 " "the second"))

          testCase "where Slurm says no limit it is Slurm's own, and where it takes no arrays it is said" (fun () ->
              inFolder (fun path ->
                  let folder, runs = prepared (Path.Combine(path, "sweep")) (sweepOf "test" 20 sevenSeeds) worker
                  let run () = SlurmEngine.run folder runs (quick None) never (fun _ _ -> ())
                  let lines = submissions path [ "scontrol", "exit 1" ] run
                  Expect.stringContains (lines[0]) "--array=0-6 " "one array"

                  withPrograms [ "squeue", ""; limit 0 ] (fun () ->
                      failureOf run |> says [ "MaxArraySize is 0"; "--engine local" ])))

          testCase "a path's own per cent signs and backslashes are not Slurm's" (fun () ->
              inFolder (fun path ->
                  let outputs (name: string) =
                      let folder, runs = prepared (Path.Combine(path, name)) (sweepOf "test" 20 "{}") worker
                      let run () = SlurmEngine.run folder runs (quick None) never (fun _ _ -> ())

                      submissions folder.Path [ limit 1001 ] run
                      |> List.map (fun line ->
                          let rest = line.Substring(line.IndexOf "--output=" + 9)
                          rest.Substring(0, rest.IndexOf ".out" + 4))

                  Expect.equal
                      (outputs "sl 50%a x")
                      [ $"{path}/sl 50%%%%a x/logs/slurm-%%A_%%a.out"; $"{path}/sl 50%%%%a x/logs/report.out" ]
                      "per cent"

                  // one backslash and Slurm takes every per cent sign for itself
                  Expect.equal
                      (outputs "b\\a %j")
                      [ $"{path}/b\\\\a %%j/logs/slurm.out"; $"{path}/b\\\\a %%j/logs/report.out" ]
                      "backslash"))

          testCase "Slurm itself runs several arrays in a folder of such a name, and leaves their logs there" (fun () ->
              obstacle () |> Option.iter (fun reason -> skiptest reason)

              inFolder (fun path ->
                  let sweep = sweepOf "test" 20 """{ "grid": { "particles": [2, 3, 4] } }"""

                  use _ = new Slurm()

                  for name in [ "sl 50%a x"; "b\\a %j" ] do
                      let folder, runs = prepared (Path.Combine(path, name)) sweep worker
                      let report = [ "bash"; "-c"; $"mkdir '{folder.Report}'" ]

                      let ended =
                          withPrograms [ limit 2 ] (fun () ->
                              SlurmEngine.run folder runs { options report with Jobs = Some 1 } never (fun _ _ -> ()))

                      Expect.equal (ended |> List.map _.State) [ Finished; Finished; Finished ] name
                      Expect.isTrue (Directory.Exists folder.Report) "report"
                      let logs = Directory.GetFiles(Path.Combine(folder.Path, "logs"), "slurm*.out")
                      Expect.isNonEmpty logs "logs")) ]
