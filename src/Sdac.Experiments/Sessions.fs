namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open System.Threading

/// The script that brought stages or an algorithm of its own into a run.
type ScriptMark = { File: string; Sha256: string }

/// A signal that has asked this process to stop what it does.
[<Sealed>]
type StopRequest internal (echoes: int) =
    let source = new CancellationTokenSource()
    // 0: none
    let mutable number = 0
    // SIGTERMs that the request may still bring on top of itself
    let mutable echoes = echoes

    /// The signal that came first, by its number.
    member _.Signal: int option =
        match Volatile.Read &number with
        | 0 -> None
        | first -> Some first

    member _.Token = source.Token

    /// True for the first signal, and for those that are the same request again.
    member internal _.Ask(signal: int) : bool =
        let isFirst = Interlocked.CompareExchange(&number, signal, 0) = 0

        if isFirst then
            source.Cancel()

        isFirst
        || signal = StopRequest.Hangup
        || (signal = StopRequest.Terminate && Interlocked.Decrement &echoes >= 0)

    /// SIGHUP
    static member internal Hangup = 1

    /// SIGTERM
    static member internal Terminate = 15

    interface IDisposable with
        member _.Dispose() = source.Dispose()

/// Programs beside this one, each a session of its own: Ctrl-C at the terminal reaches this process alone, which then ends them
/// with all their children. Should this process be killed, the system kills them too.
[<RequireQualifiedAccess>]
module Sessions =
    [<DllImport("libc", SetLastError = true)>]
    extern int private kill(int pid, int signal)

    [<DllImport("libc", SetLastError = true)>]
    extern int private prctl(int option, unativeint argument, unativeint a3, unativeint a4, unativeint a5)

    [<DllImport("libc", SetLastError = true, EntryPoint = "prctl")>]
    extern int private prctlInto(int option, int& into, unativeint a3, unativeint a4, unativeint a5)

    [<DllImport("libc")>]
    extern int private getppid()

    [<Literal>]
    let private Kill = 9

    [<Literal>]
    let private SetParentDeathSignal = 1

    [<Literal>]
    let private GetParentDeathSignal = 2

    /// The exit code of a process that was killed, as shells have it.
    [<Literal>]
    let private Killed = 137

    /// How long programs may take to stop: a run ends its round and writes a checkpoint, with the open part of its replay memory.
    let private patience = TimeSpan.FromSeconds 60.0

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
        left () |> List.iter (fun program -> signal program StopRequest.Terminate)

        while not (List.isEmpty (left ())) && clock.Elapsed < patience do
            Thread.Sleep 50

        // also what a program may have left behind in its group
        programs |> List.iter (fun program -> kill (-program.Id, Kill) |> ignore)
        programs |> List.iter (fun program -> program.WaitForExit())

    /// What asks a program to stop: Ctrl-C, an end by the system or a scheduler, a terminal that has gone. With the numbers and names
    /// that the system gives them.
    let private stopping =
        [ PosixSignal.SIGINT, 2, "SIGINT"
          PosixSignal.SIGTERM, StopRequest.Terminate, "SIGTERM"
          PosixSignal.SIGHUP, StopRequest.Hangup, "SIGHUP" ]

    /// The name of a signal that stops.
    let signalName (number: int) : string =
        stopping
        |> List.tryPick (fun (_, known, name) -> if known = number then Some name else None)
        |> Option.defaultValue $"signal {number}"

    /// Is this how a program ends that was asked to stop?
    let isStop (code: int) : bool = stopping |> List.exists (fun (_, number, _) -> code = 128 + number)

    /// What this thread's process gets when its parent dies; 0: nothing.
    let private parentDeathSignal () : int =
        let mutable signal = 0

        if OperatingSystem.IsLinux() && prctlInto (GetParentDeathSignal, &signal, 0un, 0un, 0un) = 0 then
            signal
        else
            0

    /// While the body runs, a process that is killed with its parent is asked to stop instead: the parent, a `dotnet fsi` or the
    /// launcher of a sweep, dies of a hang-up or a Ctrl-C that this process wants to act upon. True for such a process.
    let private askedByParentsDeath (body: bool -> 'a) : 'a =
        if parentDeathSignal () <> Kill then
            body false
        else
            prctl (SetParentDeathSignal, unativeint StopRequest.Terminate, 0un, 0un, 0un) |> ignore

            try
                body true
            finally
                prctl (SetParentDeathSignal, unativeint Kill, 0un, 0un, 0un) |> ignore

    /// SIGTERMs that one request may bring on top of itself: a `dotnet fsi` passes its own on, and its death is told by one.
    [<Literal>]
    let private Echoes = 2

    /// The first signal asks the body to stop; another one ends the process. One request may come as several signals: a terminal that
    /// closes hangs up more than once, and a parent passes on what it gets. Those are not counted.
    let untilStopped (body: StopRequest -> 'a) : 'a =
        askedByParentsDeath
        <| fun hasParent ->
            use request = new StopRequest(if hasParent then Echoes else 0)
            let handle (number: int) (context: PosixSignalContext) = context.Cancel <- request.Ask number

            let registrations =
                [ for signal, number, _ in stopping do
                      // .NET leaves a SIGINT or SIGHUP ignored that the process was started to ignore, as nohup does
                      PosixSignalRegistration.Create(signal, handle number) ]

            try
                body request
            finally
                for registration in registrations do
                    registration.Dispose()

    /// `untilStopped`, for a body that only wants to know that it is to stop.
    let untilInterrupted (body: CancellationToken -> 'a) : 'a = untilStopped (fun request -> body request.Token)
