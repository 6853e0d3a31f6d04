namespace Sdac.Benchmarks

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text
open Sdac.Functional
open Sdac.Experiments

/// The costs of all registered algorithms, a table and a picture.
[<RequireQualifiedAccess>]
module AlgorithmCosts =
    /// The first argument of a process that measures one algorithm; the others are its name, the task, seconds.
    [<Literal>]
    let Child = "cost-of"

    let private task (name: string) = AlgorithmCost.sizes |> List.find (fun size -> size.Task = name)

    /// What such a process does: it writes a line.
    let serve (algorithm: string) (taskName: string) (seconds: float) : unit =
        match Registry.tryFind algorithm Registry.standard with
        | Some found ->
            AlgorithmCost.measure (task taskName) seconds found |> AlgorithmCost.print |> Console.Out.WriteLine
        | None -> invalidArg (nameof algorithm) $"no algorithm is called '{algorithm}'"

    let private child (program: string) (seconds: float) (algorithm: string) (size: TaskSize) : AlgorithmCost =
        let number (value: float) = value.ToString("R", CultureInfo.InvariantCulture)
        let threads = string Sdac.Kernels.Workers.Threads

        let start =
            ProcessStartInfo("dotnet", [ program; Child; algorithm; size.Task; number seconds; threads ])

        start.RedirectStandardOutput <- true

        match Option.ofObj (Process.Start start) with
        | Some child ->
            use child = child
            let line = child.StandardOutput.ReadToEnd()
            child.WaitForExit()

            if child.ExitCode <> 0 then
                invalidOp
                    $"the process that measures {algorithm} ended with code {child.ExitCode}: its message stands above"

            AlgorithmCost.parse line
        | None -> invalidOp "dotnet did not start"

    /// Measures all algorithms in processes of their own. program: the benchmarks' assembly, which serves `Child`; tell: a line of the
    /// report. Writes algorithms.md and algorithms.svg into the folder.
    let run (program: string) (seconds: float) (times: bool) (folder: string) (tell: string -> unit) : unit =
        let lines =
            [ for algorithm in Registry.all Registry.standard ->
                  { Name = algorithm.Name
                    Title = algorithm.Title
                    Costs = AlgorithmCost.sizes |> List.map (child program seconds algorithm.Name) } ]

        let table = CostTable.markdown times lines
        List.iter tell table
        Directory.CreateDirectory folder |> ignore
        File.WriteAllText(Path.Combine(folder, "algorithms.md"), String.concat "\n" table + "\n", UTF8Encoding false)
        let svg = Path.Combine(folder, "algorithms.svg")

        match CostPlot.picture lines |> Plot.save svg with
        | Ok() -> tell $"picture: {svg}"
        | Error sentence -> tell $"no picture: {sentence}"
