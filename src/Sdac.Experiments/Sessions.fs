namespace Sdac.Experiments

open System
open System.Diagnostics
open System.Runtime.InteropServices
open System.Threading

/// Programs beside this one, each a session of its own: Ctrl-C at the terminal reaches this process alone, which then ends them
/// with all their children. Should this process be killed, they go on.
[<RequireQualifiedAccess>]
module Sessions =
    [<DllImport("libc", SetLastError = true)>]
    extern int private kill(int pid, int signal)

    [<Literal>]
    let private Terminate = 15

    [<Literal>]
    let private Kill = 9

    /// How long programs may take to stop.
    let private patience = TimeSpan.FromSeconds 10.0

    /// Starts a command.
    let start (command: string list) : Process =
        match Process.Start(ProcessStartInfo("setsid", command)) with
        | null -> Errors.fail (Missing "setsid could not be started: install util-linux")
        | started -> started

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
