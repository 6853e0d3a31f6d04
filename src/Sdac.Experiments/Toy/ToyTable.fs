namespace Sdac.Experiments

open System
open Sdac.Functional
open Sdac.Sampling

/// Tables of the page.
[<RequireQualifiedAccess>]
module ToyTable =
    /// The measures by column.
    let private columns: (string * (ToyCell -> float)) list =
        [ "KL", _.Measures.Kl
          "KL's error", _.Measures.KlError
          "W2", _.Measures.Wasserstein2
          "energy distance", _.Measures.EnergyDistance
          "mode-weight error", _.Measures.ModeWeightError
          "modes found", _.Measures.ModesFound
          "worst score error", ToyCell.worstScoreError
          "seconds", _.Measures.Seconds ]

    /// The largest over seeds: a process that computes several finds memory from the first one at hand for the others.
    let private peak (cells: ToyCell list) = cells |> List.map _.Measures.PeakMiB |> List.max

    /// The mean over seeds with its 95 % bootstrap interval: "mean [low, high]".
    let interval (values: float[]) : Cell =
        let mean =
            Statistics.bootstrap 0.95 2000 (Key.ofSeed 5L) (Statistics.perStratum Statistics.mean) [| values |]

        let shown (value: float) = value.ToString("G3", Globalization.CultureInfo.InvariantCulture)

        let text =
            if Double.IsNaN mean.Value then "–"
            elif Double.IsNaN mean.Low then shown mean.Value
            else $"{shown mean.Value} [{shown mean.Low}, {shown mean.High}]"

        { Cell.number mean.Value with Shown = text }

    /// The measures that mean something for one of the cells.
    let private used (cells: ToyCell list) =
        columns |> List.filter (fun (_, f) -> cells |> List.exists (fun cell -> not (Double.IsNaN(f cell))))

    /// One target's table: a row per method.
    let target (name: string) (cells: ToyCell list) : Table =
        let cells = cells |> List.filter (fun cell -> cell.Target = name)
        let used = used cells

        { Name = $"toy-{name}"
          Caption = name
          Columns = [ "method"; "seeds" ] @ List.map fst used @ [ "peak MiB" ]
          Rows =
            [ for method, group in cells |> List.groupBy _.Method do
                  Cell.text method
                  :: Cell.count group.Length
                  :: [ for _, f in used -> interval [| for cell in group -> f cell |] ]
                  @ [ Cell.number (Math.Round(peak group)) ] ] }

    /// Every cell in full.
    let cells (cells: ToyCell list) : Table =
        { Name = "toy"
          Caption = "every cell"
          Columns = [ "target"; "method"; "seed" ] @ List.map fst columns @ [ "peak MiB" ]
          Rows =
            [ for cell in cells ->
                  Cell.text cell.Target
                  :: Cell.text cell.Method
                  :: Cell.count cell.Seed
                  :: [ for _, f in columns -> Cell.number (f cell) ]
                  @ [ Cell.number cell.Measures.PeakMiB ] ] }

    /// Where methods depart from their standard settings.
    let settings (targets: Target list) (methods: ToyMethod list) : Table =
        { Name = "toy-settings"
          Caption = "settings that differ from the method's standard"
          Columns = [ "target"; "method"; "setting"; "standard"; "here" ]
          Rows =
            [ for target in targets do
                  for method in methods do
                      for path, standard, here in method.Adapted target ->
                          List.map Cell.text [ target.Name; method.Name; path; standard; here ] ] }
