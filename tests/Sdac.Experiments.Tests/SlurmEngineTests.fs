module Sdac.Experiments.Tests.SlurmEngineTests

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Threading
open Expecto
open FsCheck
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.SweepSupport
open Sdac.Testing

/// Why no private Slurm can be started here; None when it can.
let internal obstacle () =
    let places =
        [ yield! string (Environment.GetEnvironmentVariable "PATH") |> _.Split(':'); "/usr/sbin"; "/sbin" ]

    let there program = places |> List.exists (fun place -> File.Exists(Path.Combine(place, program)))

    let toLoopback () =
        try
            Dns.GetHostAddresses(Dns.GetHostName()) |> Array.contains IPAddress.Loopback
        with :? Sockets.SocketException ->
            false

    match [ "munged"; "slurmctld"; "slurmd"; "sbatch" ] |> List.filter (there >> not) with
    | [] when not Environment.IsPrivilegedProcess -> Some "a private Slurm needs root"
    | [] when not (toLoopback ()) -> Some "a private Slurm needs a host name that resolves to 127.0.0.1"
    | [] -> None
    | missing ->
        let missing = String.concat ", " missing
        Some $"Slurm is not installed ({missing}): apt-get install munge slurmctld slurmd slurm-client"

let private succeed program arguments =
    match Commands.tryRun program arguments with
    | Some(Ok text) -> text
    | Some(Error complaint) -> failwith $"{program}: {complaint}"
    | None -> failwith $"there is no {program}"

/// A Slurm of this test's own, ended with all its jobs and its folder when disposed.
type internal Slurm() =
    let script name = Path.Combine(repository, "tests", "slurm", name)
    let state = Directory.CreateTempSubdirectory("slurm-").FullName
    let before = Environment.GetEnvironmentVariable "SLURM_CONF"

    let start () = succeed (script "start-slurm.sh") [ "-d"; state; "-n"; "2"; "-c"; "1" ] |> ignore

    do
        start ()
        Environment.SetEnvironmentVariable("SLURM_CONF", Path.Combine(state, "slurm.conf"))

    member _.State = state
    /// Ends the controller as an administrator would; what runs goes on.
    member _.StopController() = succeed (script "stop-slurm.sh") [ "-k"; state; "slurmctld" ] |> ignore
    /// Starts again whatever has ended.
    member _.Start() = start ()

    interface IDisposable with
        member _.Dispose() =
            Environment.SetEnvironmentVariable("SLURM_CONF", before)
            succeed (script "stop-slurm.sh") [ "-r"; state ] |> ignore

let internal options (report: string list) =
    { Jobs = None
      Threads = 1
      Retries = 2
      Sbatch = []
      Report = report
      Poll = TimeSpan.FromMilliseconds 500.0 }

let internal never = CancellationToken.None

/// What `scontrol` says of a task: JobState, Restarts, ...
let private field (folder: SweepFolder) (index: int) (name: string) =
    succeed
        "squeue"
        [ "--noheader"
          "--array"
          "--states=all"
          $"--name={SlurmQueue.jobName folder}"
          "--format=%K %F_%K" ]
    |> _.Split('\n')
    |> Array.pick (fun line ->
        match line.Split ' ' with
        | [| found; task |] when found = string index -> Some task
        | _ -> None)
    |> fun task ->
        task,
        (succeed "scontrol" [ "--oneliner"; "show"; "job"; task ]).Split ' '
        |> Array.tryFind _.StartsWith(name + "=")

/// Runs an action with small scripts in the place of programs.
let internal withPrograms (programs: (string * string) list) (action: unit -> 'a) : 'a =
    inFolder (fun path ->
        for name, script in programs do
            let file = Path.Combine(path, name)
            File.WriteAllText(file, "#!/bin/bash\n" + script)
            File.SetUnixFileMode(file, UnixFileMode.UserRead ||| UnixFileMode.UserExecute)

        let path = path + ":" + Environment.GetEnvironmentVariable "PATH"
        withVariable "PATH" path action)

/// A sweep of four runs, the second of which is finished, and the file that tells what it is made of.
let private quarter (path: string) (worker: string list) =
    let sweep = sweepOf "test" 20 """{ "grid": { "particles": [2, 3, 4, 5] } }"""
    let folder, runs = prepared path sweep worker
    let finished = folder.Run(fst runs[1])
    Directory.CreateDirectory finished.Path |> ignore
    File.WriteAllText(finished.Summary, """{ "iterations": 20, "envSteps": 40, "final": { "mean": 1.5 } }""")
    folder, runs

[<Tests>]
let tests =
    testList
        "Slurm engine"
        [ testCase
              "a job array gives what the local engine gives, though a run fails, one is killed, one is requeued and the controller restarts"
              (fun () ->
                  obstacle () |> Option.iter (fun reason -> skiptest reason)

                  inFolder (fun path ->
                      let settings =
                          """{ "list": [{ "particles": 2 }, { "particles": 3 }, { "particles": 4 },
                          { "tau": 2 }, { "particles": 5 }, { "particles": 6 }] }"""

                      let sweep = sweepOf "test" 1500 settings
                      let folder, runs = prepared (Path.Combine(path, "slurm")) sweep worker
                      let requeued, killed, failing = fst runs[0], fst runs[1], fst runs[3]

                      let count =
                          $"mkdir -p {folder.Report}; ls {folder.Runs}/*/summary.json | wc -l >{folder.Report}/count"

                      use slurm = new Slurm()
                      let mutable silence = 0

                      let requeue () =
                          let task, _ = field folder 0 "JobState"
                          succeed "scontrol" [ "requeue"; task ] |> ignore

                      let restart () =
                          let killed = killWorker folder killed
                          slurm.StopController()
                          let clock = Stopwatch.StartNew()

                          // until the engine has asked in vain
                          while silence = 0 && clock.Elapsed.TotalSeconds < 30.0 do
                              Thread.Sleep 20

                          slurm.Start()
                          killed

                      let requeuing = whenBegun folder requeued requeue

                      let killing =
                          whenBegun folder killed (fun () ->
                              requeuing.Wait()
                              restart ())

                      let show (note: string) (_: RunStatus list) =
                          if note.Contains "does not answer" then
                              silence <- silence + 1

                      let ended = SlurmEngine.run folder runs (options [ "bash"; "-c"; count ]) never show
                      requeuing.Wait()
                      Expect.isTrue killing.Result "nothing was killed"
                      Expect.isTrue (silence > 0) "the controller was never missed"
                      // requeued by Slurm, which does not count failures
                      Expect.equal (snd (field folder 0 "Restarts")) (Some "Restarts=1") "field"
                      Expect.equal (ended |> List.map _.Tries) [ 2; 2; 1; 1; 1; 1 ] "tries of ended"

                      for run in ended do
                          match run.State with
                          | Failed sentence when run.Name = failing ->
                              Expect.stringContains sentence "tau is 2" "sentence"
                          | state -> Expect.equal (run.Name, state) (run.Name, Finished) "name of run and state"

                      // the report came behind all of them
                      Expect.equal
                          (File.ReadAllText(Path.Combine(folder.Report, "count")).Trim())
                          "5"
                          "content of report"

                      let local, _ = prepared (Path.Combine(path, "local")) sweep worker
                      let alike = LocalEngine.run local runs { Jobs = 2; Threads = 1; Retries = 2 } never ignore
                      Expect.equal (ended |> List.map _.State) (alike |> List.map _.State) "state of ended"
                      let good = runs |> List.map fst |> List.filter ((<>) failing)
                      sameAs (Map [ for name in good -> name, result (local.Run name) ]) folder

                      // the same command again tries what is unfinished, and nothing else
                      let again = SlurmEngine.run folder runs (options [ "true" ]) never (fun _ _ -> ())
                      Expect.equal (again |> List.map _.State) (ended |> List.map _.State) "state of again"
                      Expect.equal (again |> List.map _.Tries) [ 2; 2; 1; 2; 1; 1 ] "tries of again"))

          testCase "without Slurm's commands there is one sentence that says what to install" (fun () ->
              inFolder (fun path ->
                  let folder, runs = prepared path (sweepOf "test" 20 "{}") worker
                  let run () = SlurmEngine.run folder runs (options []) never (fun _ _ -> ())
                  let failure = withVariable "PATH" path (fun () -> failureOf run)
                  failure |> says [ "squeue was not found"; "slurm-client"; "--engine local" ]
                  Expect.equal failure.ExitCode ((Missing "").ExitCode) "exit code"))

          testCase
              "what is unfinished and not in the queue is submitted, and what Slurm says of its end is shown"
              (fun () ->
                  inFolder (fun path ->
                      let folder, runs = quarter (Path.Combine(path, "sweep")) worker
                      let name = SlurmQueue.jobName folder
                      let asked, submitted = Path.Combine(path, "asked"), Path.Combine(path, "submitted")

                      let programs accounting =
                          [ // the third run is at work under another job, and gone from the second look on
                            "squeue", $"[ -e {asked} ] || echo '{name}|55|2|RUNNING'; touch {asked}"
                            "sbatch", $"echo \"$*\" >>{submitted}; echo 77"
                            "sacct", accounting ]

                      let mutable shown = []

                      let run () =
                          let show _ (runs: RunStatus list) =
                              shown <- shown @ [ runs |> List.map _.State |> List.head ]

                          SlurmEngine.run
                              folder
                              runs
                              { options [ "true" ] with Poll = TimeSpan.FromMilliseconds 5.0 }
                              never
                              show

                      let accounting = "printf '55_2|NODE_FAIL\\n77_0|TIMEOUT\\n77_3|OUT_OF_MEMORY\\n'"
                      let ended = withPrograms (programs accounting) run

                      Expect.equal
                          (ended |> List.map _.State)
                          [ Failed "Slurm says TIMEOUT"
                            Finished
                            Failed "Slurm says NODE_FAIL"
                            Failed "Slurm says OUT_OF_MEMORY" ]
                          "state of ended"

                      // files may show late: what has just left the queue is not over yet
                      Expect.equal shown [ Running; Running; Failed "Slurm says TIMEOUT" ] "shown"
                      let submitted = File.ReadAllLines submitted
                      Expect.equal submitted.Length 2 "number of submitted"

                      for part in [ "--parsable"; $"--job-name={name} "; "--array=0,3 "; "--requeue"; "array.sh" ] do
                          Expect.stringContains (submitted[0]) part "submitted"

                      for part in [ $"--job-name={name}-report"; "--dependency=afterany:77:55 " ] do
                          Expect.stringContains (submitted[1]) part "submitted"

                      // a cluster without accounting: what the folder tells is what is known
                      let silent =
                          withPrograms (programs "echo 'Slurm accounting storage is disabled' >&2; exit 1") run

                      Expect.equal
                          (silent |> List.map _.State)
                          [ Stopped; Finished; Stopped; Stopped ]
                          "state of silent"))

          testCase
              "a task of the array works on the run of its line, tries again what may pass, and waits for one in other hands"
              (fun () ->
                  inFolder (fun path ->
                      let said = Path.Combine(path, "said")
                      // ends with the codes of its file one after the other
                      let recorder =
                          $"echo \"$@\" >>{said}; read code <{path}/codes; sed -i 1d {path}/codes; exit $code"

                      let folder, runs = quarter (Path.Combine(path, "sweep")) [ "bash"; "-c"; recorder; "-" ]

                      let task (index: int) (codes: int list) =
                          File.WriteAllText(
                              Path.Combine(path, "codes"),
                              String.concat "" [ for code in codes -> $"{code}\n" ]
                          )

                          File.WriteAllText(said, "")

                          withVariable "SLURM_ARRAY_TASK_ID" (string index) (fun () ->
                              use running = Process.Start("bash", [ Path.Combine(folder.Path, "array.sh") ])
                              running.WaitForExit()
                              running.ExitCode),
                          File.ReadAllLines said

                      let nothing =
                          [ "squeue", ""
                            "sbatch", "echo 1"
                            "sacct", "exit 1"
                            "sleep", $"echo \"waits $1\" >>{said}" ]

                      withPrograms nothing (fun () ->
                          let quick = { options [ "true" ] with Poll = TimeSpan.FromMilliseconds 5.0 }
                          SlurmEngine.run folder runs quick never (fun _ _ -> ()) |> ignore

                          for index in [ 0; 2; 3 ] do
                              let code, lines = task index [ 0 ]
                              Expect.equal code 0 "code"

                              Expect.stringContains
                                  (Expect.single lines "lines")
                                  $"--config {folder.Spec(fst runs[index])} --out {(folder.Run(fst runs[index])).Path}"
                                  "lines"

                          // a finished run needs no process
                          Expect.equal
                              (task 1 [ 1 ] |> fun (code, lines) -> code, lines.Length)
                              (0, 0)
                              "exit code and number of tries"
                          // three tries at most
                          Expect.equal
                              (task 0 [ 1; 1; 1; 1 ] |> fun (code, lines) -> code, lines.Length)
                              (1, 3)
                              "exit code and number of tries"

                          Expect.equal
                              (task 0 [ 1; 0 ] |> fun (code, lines) -> code, lines.Length)
                              (0, 2)
                              "exit code and number of tries"

                          for code in SweepFolder.failedForGood do
                              Expect.equal
                                  (task 0 [ code; 0 ] |> fun (code, lines) -> code, lines.Length)
                                  (code, 1)
                                  "exit code and number of tries"

                          // somebody else works on it: that is no try
                          let code, lines = task 0 [ 9; 9; 1; 9; 1; 0 ]
                          Expect.equal code 0 "code"
                          Expect.equal (lines |> Array.filter ((=) "waits 5") |> Array.length) 3 "number of lines"
                          Expect.equal lines.Length 9 "number of lines")))

          testCase "indices are written as ranges" (fun () ->
              Expect.equal (SlurmEngine.ranges [ 8; 0; 2; 1; 5; 7 ]) "0-2,5,7-8" "ranges")

          testPropertyWithConfig seeded "indices written as ranges mean the same" (fun (numbers: NonNegativeInt list) ->
              let indices = numbers |> List.map _.Get |> List.distinct |> List.sort

              let expand (range: string) =
                  match range.Split '-' with
                  | [| one |] -> [ int one ]
                  | ends -> [ int ends[0] .. int ends[1] ]

              let text = SlurmEngine.ranges indices
              (if text = "" then [] else text.Split ',' |> List.ofArray |> List.collect expand) = indices) ]
