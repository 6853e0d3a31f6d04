namespace Sdac.Benchmarks

open System.Globalization
open Sdac.Functional

/// The costs of one algorithm on each of the tasks' sizes, in the order of `AlgorithmCost.sizes`.
[<NoComparison; NoEquality>]
type CostLine = { Name: string; Title: string; Costs: AlgorithmCost list }

/// The costs of all algorithms as a table in Markdown.
[<RequireQualifiedAccess>]
module CostTable =
    /// 10⁹ operations of an update: two per multiply-add.
    let gflop (cost: AlgorithmCost) : float = 2e-9 * NetworkRows.multiplyAdds cost.Rows.Update

    /// What the others are compared with.
    let unit (lines: CostLine list) : CostLine = lines |> List.find (fun line -> line.Name = "sac")

    let private digits (value: float) : string =
        if value = 0.0 then "–"
        elif value >= 99.5 then value.ToString("N0", CultureInfo.InvariantCulture)
        elif value >= 9.95 then value.ToString("F1", CultureInfo.InvariantCulture)
        else value.ToString("F2", CultureInfo.InvariantCulture)

    let private count (value: float) : string =
        if value = 0.0 then
            "–"
        else
            value.ToString("#,0.#", CultureInfo.InvariantCulture)

    /// The numbers of a line for the tasks, one behind the other.
    let private each (of': AlgorithmCost -> float) (line: CostLine) : string =
        line.Costs |> List.map (of' >> digits) |> String.concat " / "

    let private cells (unit: CostLine) (times: bool) (line: CostLine) : (string * string) list =
        let first = line.Costs.Head
        let rows role cause = NetworkRows.rows role cause first.Rows.Update |> count
        let times' = [ for cost, one in List.zip line.Costs unit.Costs -> digits (gflop cost / gflop one) ]

        [ "algorithm", line.Title
          "actor F", rows Role.Actor Cause.Forward
          "actor G", rows Role.Actor Cause.Parameters
          "critic F", rows Role.Critic Cause.Forward
          "critic G", rows Role.Critic Cause.Parameters
          "critic I", rows Role.Critic Cause.Inputs
          "value F", rows Role.Value Cause.Forward
          "value G", rows Role.Value Cause.Parameters
          "actor F of an action", NetworkRows.rows Role.Actor Cause.Forward first.Rows.Action |> count
          "GFLOP", each gflop line
          "times SAC's", String.concat " / " times'
          if times then
              "ms", each _.UpdateMs line
              "GFLOP/s", each (fun cost -> 1e3 * gflop cost / cost.UpdateMs) line
              "ms of an action", each _.ActionMs line
          "MiB", each _.PeakMiB line
          "why", (CostReasons.find line.Name).Phrase ]

    /// One row per algorithm, the cheapest first. times: with what a clock measures; without, all numbers but the MiB are exact
    /// counts.
    let markdown (times: bool) (lines: CostLine list) : string list =
        let unit = unit lines
        let table = lines |> List.sortBy (fun line -> gflop line.Costs.Head) |> List.map (cells unit times)
        let row cells = "| " + String.concat " | " cells + " |"

        [ row (List.map fst table.Head)
          "|" + String.replicate table.Head.Length "---|"
          for cells in table do
              row (List.map snd cells) ]
