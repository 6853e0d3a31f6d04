namespace Sdac.Experiments

open System
open Sdac.Functional
open Sdac.Sampling

/// What the page is to show, and how it is computed.
[<NoComparison; NoEquality>]
type ToyOptions =
    {
        Targets: Target list
        Methods: ToyMethod list
        Seeds: int64 list
        Folder: string
        /// Processes at a time, with one thread each
        Jobs: int
        /// How many missing cells to compute at most in this call; trainings that make several are not cut where that can be
        /// avoided
        Cells: int
    }

/// Samplers on densities we know, from the options to the page.
[<RequireQualifiedAccess>]
module Toy =
    /// Exit code after Ctrl-C, as shells have it.
    [<Literal>]
    let private Interrupted = 130

    /// Computes missing cells in this process: what the command of `run`'s workers does.
    let work (options: ToyOptions) =
        ToyRun.wishes options.Targets options.Methods options.Seeds |> ToyRun.work options.Folder

    let private check (options: ToyOptions) =
        for name, value in [ "--jobs", options.Jobs; "--cells", options.Cells; "--seeds", options.Seeds.Length ] do
            if value < 1 then
                Errors.fail (Settings $"{name} is %d{value}; it must be at least 1")

    let private compute (options: ToyOptions) worker wishes =
        let missing = ToyRun.missing options.Folder wishes |> ToyRun.atMost options.Cells

        if missing.IsEmpty then
            []
        else
            Sessions.untilInterrupted (fun stopping ->
                Progress.tasks missing.Length (ToyRun.supervise options.Folder worker options.Jobs missing stopping))

    let private failOn (failures: string list) =
        if not failures.IsEmpty then
            let names = String.concat "; " failures
            Errors.fail (Unfinished $"{failures.Length} methods failed: {names}; the same command tries again")

    /// Computes what the folder does not hold yet, by processes of the command `worker` (which takes toy.fsx's arguments), and
    /// writes the page of all that it then holds. Unfinished failure naming the methods that failed; the exit code otherwise.
    let run (options: ToyOptions) (worker: string list) : int =
        check options
        let wishes = ToyRun.wishes options.Targets options.Methods options.Seeds
        let failures = compute options worker wishes
        let cells = ToyRun.kept options.Folder wishes

        if not cells.IsEmpty then
            ToyPage.write options.Folder options.Targets options.Methods cells
            Console.Out.WriteLine(ToyPage.markdown options.Targets options.Methods cells)

        failOn failures

        if cells.Length < wishes.Length then
            Console.Error.WriteLine $"{cells.Length} of {wishes.Length} cells are finished; the same command goes on"

            if options.Cells < Int32.MaxValue then 0 else Interrupted
        else
            0
