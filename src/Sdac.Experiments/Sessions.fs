namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Threading

/// The script that brought stages or an algorithm of its own into a run.
type ScriptMark = { File: string; Sha256: string }

/// Programs beside this one, each a session of its own: Ctrl-C at the terminal reaches this process alone, which then ends them
/// with all their children. Should this process be killed, the system kills them too.
[<RequireQualifiedAccess>]
module Sessions =
    [<DllImport("libc", SetLastError = true)>]
    extern int private kill(int pid, int signal)

    [<DllImport("libc", SetLastError = true)>]
    extern int private prctl(int option, unativeint argument, unativeint a3, unativeint a4, unativeint a5)

    [<DllImport("libc")>]
    extern int private getppid()

    [<Literal>]
    let private Terminate = 15

    [<Literal>]
    let private Kill = 9

    [<Literal>]
    let private SetParentDeathSignal = 1

    /// The exit code of a process that was killed, as shells have it.
    [<Literal>]
    let private Killed = 137

    /// How long programs may take to stop.
    let private patience = TimeSpan.FromSeconds 10.0

    /// Has bash run the command behind it, unless the process that this one should die with has died before setpriv asked for that.
    let private unlessOrphaned = "[ $PPID = $0 ] && exec \"$@\""

    /// A line of bash: what `"${guard[@]}"` begins is killed when that bash dies. Older versions of util-linux cannot do it.
    let endWithBash =
        $"guard=(setpriv --pdeathsig KILL bash -c '{unlessOrphaned}' $$)\nsetpriv --pdeathsig KILL true 2>/dev/null || guard=()"

    /// The beginning of a command that is killed when this process dies. The signal comes when the thread ends that has started the
    /// command: it has to outlive it.
    let private endWithThis =
        lazy
            (match Commands.tryRun "setpriv" [ "--pdeathsig"; "KILL"; "true" ] with
             | Some(Ok _) ->
                 [ "setpriv"; "--pdeathsig"; "KILL"; "bash"; "-c"; unlessOrphaned; string Environment.ProcessId ]
             | _ -> [])

    /// Starts a command, which is killed when this process or this thread ends.
    let start (command: string list) : Process =
        let words = endWithThis.Value @ [ "setsid" ] @ command

        match Process.Start(ProcessStartInfo(List.head words, List.tail words)) with
        | null -> Errors.fail (Missing "setsid could not be started: install util-linux")
        | started -> started

    let private words (path: string) =
        try
            File.ReadAllText(path).Split('\000') |> List.ofArray
        with
        | :? IOException
        | :? UnauthorizedAccessException -> []

    /// The script that this process runs, by `dotnet fsi`: its name and what is in it. None for other programs.
    let script () : ScriptMark option =
        Environment.GetCommandLineArgs()
        |> Seq.takeWhile ((<>) "--")
        |> Seq.tryFind (fun word -> word.EndsWith(".fsx", StringComparison.OrdinalIgnoreCase) && File.Exists word)
        |> Option.map (fun path ->
            { File = string (Path.GetFileName path)
              Sha256 = Convert.ToHexStringLower(Security.Cryptography.SHA256.HashData(File.ReadAllBytes path)) })

    /// `dotnet fsi` runs a script in a child of the process that the user has started and may kill: has this process it killed with its
    /// parent, if that is a `dotnet fsi`.
    let endWithDotnetFsi () =
        let isFsi (parent: int) =
            match words $"/proc/{parent}/cmdline" with
            | program :: arguments -> Path.GetFileName program = "dotnet" && List.contains "fsi" arguments
            | [] -> false

        // what the .NET command line gives its children, and fsi.dll does not have when it is started directly
        let hasParent () =
            Environment.GetEnvironmentVariable "MSBUILDFAILONDRIVEENUMERATINGWILDCARD" = "1"
            && words "/proc/self/cmdline" |> List.exists (fun word -> Path.GetFileName word = "fsi.dll")

        if OperatingSystem.IsLinux() then
            let parent = getppid ()

            if isFsi parent then
                prctl (SetParentDeathSignal, unativeint Kill, 0un, 0un, 0un) |> ignore

                // it may have died before the signal was asked for
                if getppid () <> parent then
                    exit Killed
            elif hasParent () then
                eprintfn "the `dotnet fsi` that was to run this script has ended: so does this process"
                exit Killed

    let private signal (program: Process) (number: int) =
        // the session's process group, or the process alone while it has not made its session yet
        if kill (-program.Id, number) <> 0 then
            kill (program.Id, number) |> ignore

    /// Ends programs, first by asking.
    let stop (programs: Process list) =
        let clock = Stopwatch.StartNew()
        let left () = programs |> List.filter (fun program -> not program.HasExited)
        left () |> List.iter (fun program -> signal program Terminate)

        while not (List.isEmpty (left ())) && clock.Elapsed < patience do
            Thread.Sleep 50

        // also what a program may have left behind in its group
        programs |> List.iter (fun program -> kill (-program.Id, Kill) |> ignore)
        programs |> List.iter (fun program -> program.WaitForExit())

    /// The first Ctrl-C (or SIGTERM, SIGHUP) asks the body to stop; another one ends the process.
    let untilInterrupted (body: CancellationToken -> 'a) : 'a =
        use source = new CancellationTokenSource()

        let handle (context: PosixSignalContext) =
            context.Cancel <- not source.IsCancellationRequested
            source.Cancel()

        use _ = PosixSignalRegistration.Create(PosixSignal.SIGINT, handle)
        use _ = PosixSignalRegistration.Create(PosixSignal.SIGTERM, handle)
        use _ = PosixSignalRegistration.Create(PosixSignal.SIGHUP, handle)
        body source.Token
