namespace Sdac.Benchmarks

open System
open Sdac.Experiments

/// The costs of all algorithms as a picture.
[<RequireQualifiedAccess>]
module CostPlot =
    let private causes =
        [ "actor forward", Role.Actor, Cause.Forward
          "actor forward and gradient", Role.Actor, Cause.Parameters
          "critic forward", Role.Critic, Cause.Forward
          "critic forward and gradient", Role.Critic, Cause.Parameters
          "critic forward and action gradient", Role.Critic, Cause.Inputs
          "value network", Role.Value, Cause.Forward
          "value network", Role.Value, Cause.Parameters ]

    let private colours =
        causes
        |> List.map (fun (name, _, _) -> name)
        |> List.distinct
        |> List.mapi (fun i name -> name, Plot.palette[i])
        |> Map

    let private titles (lines: CostLine list) : Axis = lines |> List.map _.Title |> Plot.rows
    let private height (lines: CostLine list) = 24.0 * float lines.Length

    /// A bar for each algorithm, cut by cause; the whole is all multiply-adds of its update.
    let private shares (title: string) (task: int) (lines: CostLine list) : Panel =
        let bar row (line: CostLine) =
            let update = line.Costs[task].Rows.Update
            let all = NetworkRows.multiplyAdds update

            let ends =
                causes
                |> List.map (fun (_, role, cause) ->
                    (Map.tryFind struct (role, cause) update |> Option.defaultValue NetworkRows.none).MultiplyAdds
                    / all)
                |> List.scan (+) 0.0
                |> List.map ((*) 100.0)

            [ for (name, _, _), (low, high) in List.zip causes (List.pairwise ends) do
                  if high > low then
                      name, (float row, low, high) ]

        let layers =
            List.mapi bar lines
            |> List.concat
            |> List.groupBy fst
            |> List.map (fun (name, bars) ->
                { Name = name; Colour = colours[name]; Mark = Mark.Bars(15.0, List.map snd bars) })
            |> List.sortBy (fun layer -> List.findIndex (fun (name, _, _) -> name = layer.Name) causes)

        let share =
            { Plot.axis "% of the multiply-adds" with
                Extent = Extent.Between(0.0, 100.0)
                Ticks = Ticks.Round 5 }

        Plot.panel title (300.0, height lines) share (titles lines) layers

    /// All operations of an update on a logarithmic axis: a bar for each task.
    let private totals (tasks: string list) (lines: CostLine list) : Panel =
        let all = lines |> List.collect (fun line -> List.map CostTable.gflop line.Costs)
        let power round (value: float) = 10.0 ** round (Math.Log10 value)
        let low, high = power Math.Floor (List.min all), power Math.Ceiling (List.max all)

        let layer i task =
            let place row = float row + 0.4 * (float i / float (tasks.Length - 1) - 0.5)
            let bars = lines |> List.mapi (fun row line -> place row, low, CostTable.gflop line.Costs[i])
            { Name = task; Colour = (if i = 0 then "#AAAAAA" else "#000000"); Mark = Mark.Bars(7.0, bars) }

        let axis =
            { Plot.axis "GFLOP of an update" with Scale = Scale.Log 10.0; Extent = Extent.Between(low, high) }

        Plot.panel "What an update costs" (300.0, height lines) axis (titles lines) (List.mapi layer tasks)

    /// lines: as for the table.
    let picture (lines: CostLine list) : Picture =
        let lines = lines |> List.sortBy (fun line -> CostTable.gflop line.Costs.Head)
        let tasks = AlgorithmCost.sizes |> List.map _.Task

        { Title = "The cost of an update, by cause"
          Subtitle = "published settings, counted by the kernels, acting left out"
          Panels = [ totals tasks lines :: List.mapi (fun i task -> shares task i lines) tasks ]
          Legend = true }
