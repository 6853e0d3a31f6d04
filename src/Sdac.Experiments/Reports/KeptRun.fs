namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open System.Text.Json.Nodes

/// A finished run whose evaluations are kept: a CSV file, its specification and what it ran on, side by side.
type KeptRun =
    {
        /// The folder's name
        Experiment: string
        Seed: int64
        Task: string
        /// The program's version and commit
        Program: string
        /// Environment steps and mean return of each evaluation
        Evaluations: (int64 * float)[]
        /// Figures of whole episodes by name: environment steps and mean of each evaluation
        Figures: Map<string, (int64 * float)[]>
        /// Updates done
        Iterations: int64
        /// Episodes of all evaluations
        Episodes: int
    }

    member run.Final = snd (Array.last run.Evaluations)

/// Reading kept runs.
[<RequireQualifiedAccess>]
module KeptRun =
    /// Of the CSV file; behind them one for each figure of whole episodes, named as in an evaluation's line.
    let columns = [ "iteration"; "envSteps"; "mean"; "deviation"; "returns" ]

    /// The files of a run beside its CSV file.
    let spec (csv: string) : string = string (Path.ChangeExtension(csv, ".spec.json"))

    let machine (csv: string) : string = string (Path.ChangeExtension(csv, ".machine.json"))

    /// The CSV files of the runs that a folder keeps.
    let files (folder: string) : string list = Directory.GetFiles(folder, "seed-*.csv") |> Array.sort |> List.ofArray

    let private number (file: string) (text: string) : float =
        match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
        | true, value -> value
        | _ -> Errors.fail (Damaged $"{file} holds '{text}' where a number should be: put back the committed file")

    let private field (file: string) (name: string) : JsonNode =
        match Json.parseNode file (Files.readUtf8 file) with
        | :? JsonObject as fields when not (isNull fields[name]) -> nonNull fields[name]
        | _ -> Errors.fail (Damaged $"{file} lacks {name}: put back the committed file")

    /// The names of the figures of whole episodes, where a line is a CSV file's first.
    let private (|Header|_|) (line: string) : string list option =
        let names = List.ofArray (line.Split ',')
        let isFigure (name: string) = name.StartsWith(Metrics.EpisodePrefix, StringComparison.Ordinal)

        if
            names.Length >= columns.Length
            && List.take columns.Length names = columns
            && List.forall isFigure (List.skip columns.Length names)
        then
            Some [ for name in List.skip columns.Length names -> name.Substring Metrics.EpisodePrefix.Length ]
        else
            None

    /// The run of a CSV file, by what lies beside it. Fails with Damaged where it is not as it was written.
    let read (csv: string) : KeptRun =
        let folder = Files.folderOf csv

        match List.ofArray ((Files.readUtf8 csv).Split('\n', StringSplitOptions.RemoveEmptyEntries)) with
        | Header names :: (_ :: _ as lines) ->
            let evaluation (line: string) =
                match List.ofArray (line.Split ',') with
                | iteration :: envSteps :: mean :: _ :: returns :: figures when figures.Length = names.Length ->
                    let steps = int64 (number csv envSteps)

                    // empty where the program had noted none
                    let average (values: string) =
                        if values = "" then nan else values.Split ' ' |> Array.averageBy (number csv)

                    {| Iteration = int64 (number csv iteration)
                       At = steps, number csv mean
                       Figures = List.map2 (fun name values -> name, (steps, average values)) names figures
                       Episodes = returns.Split(' ').Length |}
                | _ -> Errors.fail (Damaged $"{csv} holds the line '{line}': put back the committed file")

            let evaluations = lines |> List.map evaluation

            { Experiment = string (Path.GetFileName folder)
              Seed = (field (spec csv) "seed").GetValue<int64>()
              Task = (field (spec csv) "task").GetValue<string>()
              Program = (field (machine csv) "program").GetValue<string>()
              Evaluations = [| for e in evaluations -> e.At |]
              Figures =
                Metrics.byName
                    [ for e in evaluations do
                          for name, (steps, mean) in e.Figures do
                              if Double.IsFinite mean then
                                  name, (steps, mean) ]
              Iterations = (List.last evaluations).Iteration
              Episodes = evaluations |> List.sumBy _.Episodes }
        | _ -> Errors.fail (Damaged $"{csv} holds no evaluations: put back the committed file")
