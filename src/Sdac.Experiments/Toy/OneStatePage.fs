namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Threading
open Sdac.Functional
open Sdac.Sampling

/// One method on one target, with the Q itself or with a network fitted to noisy values of it.
[<NoComparison>]
type OneStateCell =
    {
        Target: string
        Method: string
        Fitted: bool
        Seed: int64
        Updates: int
        /// `OneStatePage.Version` of the program that made it
        Version: int
        Measures: OneStateMeasures
        /// Processor time of training and sampling
        Seconds: float
        /// Rows of an update: through the policy's network forward alone, with its gradient; through Q alone, with its slope
        PolicyForward: int
        PolicyGradient: int
        ValueForward: int64
        ValueSlope: int64
        /// The samples' share of each cell of the grid
        Histogram: float[]
    }

/// The bench of policies for one state: its cells, its table, its picture and its page.
[<RequireQualifiedAccess>]
module OneStatePage =
    /// Samples that are measured.
    [<Literal>]
    let Samples = 20_000

    /// Raised whenever a change of the program changes what a cell comes to.
    [<Literal>]
    let Version = 1

    /// Points to which Q is fitted, and the deviation of their noise.
    [<Literal>]
    let private Points = 2_000

    [<Literal>]
    let private Noise = 0.3

    /// The value, counting the rows that are asked of it.
    let private counting (value: ActionValue) : ActionValue * (unit -> int64) * (unit -> int64) =
        let mutable forward, slope = 0L, 0L
        let rows (actions: Tensor) = actions.size 0 * actions.size 1

        { Values =
            fun obs actions ->
                Interlocked.Add(&forward, rows actions) |> ignore
                value.Values obs actions
          WithSlopes =
            fun obs actions ->
                Interlocked.Add(&slope, rows actions) |> ignore
                value.WithSlopes obs actions },
        (fun () -> forward),
        (fun () -> slope)

    let private processorTime () =
        use self = Process.GetCurrentProcess()
        self.TotalProcessorTime

    /// Trains one method and measures what it samples.
    let cell (updates: int) (seed: int64) (target: OneStateTarget) (fitted: bool) (m: OneStateMethod) : OneStateCell =
        let struct (fitKey, runKey) = Key.split (Key.ofSeed seed)
        let network = if fitted then Some(OneState.fit target Points Noise fitKey) else None

        try
            let value =
                network |> Option.map OneState.fitted |> Option.defaultWith (fun () -> OneState.exact target)

            let counted, forward, slope = counting value
            let begun = processorTime ()
            let samples = m.Run counted updates Samples runKey

            { Target = target.Name
              Method = m.Name
              Fitted = fitted
              Seed = seed
              Updates = updates
              Version = Version
              Measures = OneState.measure target samples
              Seconds = (processorTime () - begun).TotalSeconds
              PolicyForward = fst m.PolicyRows
              PolicyGradient = snd m.PolicyRows
              ValueForward = forward () / int64 updates
              ValueSlope = slope () / int64 updates
              Histogram = OneState.histogram samples }
        finally
            network |> Option.iter _.Flat.Dispose()

    let private empty: OneStateCell =
        { Target = ""
          Method = ""
          Fitted = false
          Seed = 0L
          Updates = 0
          Version = 0
          Measures = { Kl = nan; ModeWeightError = nan }
          Seconds = nan
          PolicyForward = 0
          PolicyGradient = 0
          ValueForward = 0L
          ValueSlope = 0L
          Histogram = [||] }

    /// Where a cell is kept.
    let cellPath (folder: string) (target: OneStateTarget) (fitted: bool) (m: OneStateMethod) : string =
        let q = if fitted then "fitted" else "exact"
        Path.Combine(folder, "cells", $"{target.Name}-{m.Name.Replace(' ', '-')}-{q}.json")

    /// The cell that an earlier call has kept in the folder, else a new one, which is kept.
    let private keptOr
        (folder: string)
        updates
        seed
        (target: OneStateTarget)
        fitted
        (m: OneStateMethod)
        : OneStateCell =
        let path = cellPath folder target fitted m

        let isWanted (cell: OneStateCell) =
            (cell.Target, cell.Method, cell.Fitted, cell.Seed, cell.Updates, cell.Version) =
                (target.Name, m.Name, fitted, seed, updates, Version)

        match CellFile.tryLoad path empty isWanted with
        | Some kept -> kept
        | None ->
            let cell = cell updates seed target fitted m
            CellFile.save path cell
            cell

    let private three (value: float) : Cell =
        { Cell.number value with
            Shown =
                if Double.IsFinite value then
                    value.ToString("0.000", Globalization.CultureInfo.InvariantCulture)
                else
                    "–" }

    /// A row per method and target: what it aims at, and how far it is from exp(Q) with the exact and with the fitted Q.
    let table (methods: OneStateMethod list) (cells: OneStateCell list) : Table =
        { Name = "one-state"
          Caption = "policies for one state beside exp(Q)"
          Columns =
            [ "target"
              "method"
              "aims at"
              "KL"
              "mode-weight error"
              "KL, fitted Q"
              "mode-weight error, fitted Q"
              "seconds"
              "policy rows"
              "with gradient"
              "Q rows"
              "with slope" ]
          Rows =
            [ for (target, method), group in cells |> List.groupBy (fun c -> c.Target, c.Method) do
                  let aim = methods |> List.find (fun m -> m.Name = method) |> _.Aim

                  let figureOf fitted f =
                      group |> List.tryFind (fun c -> c.Fitted = fitted) |> Option.map f |> Option.defaultValue nan

                  let one = List.head group

                  [ Cell.text target
                    Cell.text method
                    Cell.text aim
                    three (figureOf false _.Measures.Kl)
                    three (figureOf false _.Measures.ModeWeightError)
                    three (figureOf true _.Measures.Kl)
                    three (figureOf true _.Measures.ModeWeightError)
                    Cell.number (Math.Round(one.Seconds, 1))
                    Cell.count one.PolicyForward
                    Cell.count one.PolicyGradient
                    Cell.count one.ValueForward
                    Cell.count one.ValueSlope ] ] }

    /// A point in the middle of each cell of the grid, as a density.
    let private curve (shares: float[]) =
        let width = 2.0 / float shares.Length
        [ for i, share in Array.indexed shares -> -1.0 + (float i + 0.5) * width, share / width ]

    let private panel (targets: OneStateTarget list) (cells: OneStateCell list) : Panel =
        let first = List.head cells
        let density = targets |> List.find (fun t -> t.Name = first.Target) |> OneState.density |> curve
        let top = 1.6 * (density |> List.map snd |> List.max)
        let limited points = [ for x, y in points -> x, min y top ]
        let samples fitted = cells |> List.tryFind (fun c -> c.Fitted = fitted)

        let line name colour fitted =
            [ match samples fitted with
              | Some cell -> { Name = name; Colour = colour; Mark = Plot.line 1.6 (limited (curve cell.Histogram)) }
              | None -> () ]

        [ [ { Name = "exp(Q)"; Colour = "#85BCDF"; Mark = Mark.Band [ for x, y in density -> x, 0.0, y ] } ]
          line "fitted Q" "#E69F00" true
          line "exact Q" "#000000" false ]
        |> List.concat
        |> Plot.panel
            $"{first.Target}: {first.Method}"
            (180.0, 110.0)
            { Plot.axis "" with
                Extent = Extent.Between(-1.0, 1.0)
                Ticks = Ticks.At [ -1.0, "-1"; 0.0, "0"; 1.0, "1" ] }
            (Plot.bareAxis 0.0 top)

    /// The density of each method's actions over exp(Q), four panels a row.
    let picture (targets: OneStateTarget list) (cells: OneStateCell list) : Picture =
        { Title = "Policies for one state"
          Subtitle = "actions of each method over exp(Q); curves are cut at the panel's top"
          Panels =
            cells
            |> List.groupBy (fun c -> c.Target)
            |> List.collect (fun (_, cells) ->
                cells |> List.groupBy _.Method |> List.map (snd >> panel targets) |> List.chunkBySize 4)
          Legend = true }

    let private notes (updates: int) =
        $"<p>Each method of the registry in its own updates ({updates}), with a known Q in the place of its critics, one state, no environment, uniform actions in its memory. KL(samples‖target) on {OneState.Cells} cells from {Samples} samples (20,000 exact samples have about 0.002). Fitted Q: two hidden layers of 64, fitted to {Points} values with noise of deviation {Noise}. Rows are those of an update of 256 states. Seconds: processor time with the exact Q.</p>"

    let private estimatorNotes =
        "<p>A policy's regression is given an estimate of ε*(a_t) = E[w·ε]/E[w], w = exp(Q), from K draws of q̃<sub>0|t</sub>. Raw weights, divided by the exact E[w], are unbiased from K = 1 on, with a variance of 1/K. Softmax weights and the gradient of log mean exp Q (iDEM, DQS) are biased: with one draw the softmax knows nothing of Q. Their bias falls as 1/K until it is lost in the error of the mean of 262,144 draws a point (grey).</p>"

    let private rssmNotes =
        "<p>RSSM in one picture. Left: the K draws around a noised action come from a normal distribution that knows nothing of Q; their weight is exp(Q). Right: the weighted mean of their noise is ε*(a_t), wherever a_t came from: the distribution of the noised actions decides where the network is trained, not what it learns there.</p>"

    /// Writes one-state.html, .svg, .png, .md and .csv, and the pictures of the estimators and of RSSM beside them, into a folder.
    let write
        (folder: string)
        (updates: int)
        (targets: OneStateTarget list)
        (methods: OneStateMethod list)
        (cells: OneStateCell list)
        (estimators: Picture)
        (rssm: Picture)
        =
        let table = table methods cells
        let path ending = Path.Combine(folder, "one-state" + ending)
        Files.createFolder folder
        let text ending (content: string) = Files.writeText (path ending) content
        text ".csv" (Table.csv table)
        text ".md" (Table.markdown table)

        let drawn (name: string) (alternative: string) (picture: Picture) =
            match Plot.save (Path.Combine(folder, name + ".svg")) picture with
            | Ok() -> ()
            | Error sentence -> eprintfn $"no picture: {sentence}"

            match ScottPlotRenderer.svg picture with
            | Ok svg -> ScottPlotRenderer.element alternative svg
            | Error sentence -> $"<p>No picture: {WebUtility.HtmlEncode sentence}</p>"

        String.concat
            "\n"
            [ $"<!doctype html><html lang='en'><meta charset='utf-8'><title>Policies for one state</title>\n<style>{ToyPage.style}</style>"
              "<h1>Policies for one state</h1>"
              drawn "one-state" "Actions of every method over exp(Q)" (picture targets cells)
              Table.html table
              notes updates
              "<h2>What they learn from</h2>"
              drawn "estimators" "Bias and deviation of estimates against the number of draws" estimators
              estimatorNotes
              drawn "rssm" "Draws around a noised action, and the regression's targets" rssm
              rssmNotes
              "</html>" ]
        |> text ".html"

    /// The cells of these targets and methods: those that the folder holds, the others computed and kept there. A line for each.
    let cells (folder: string) (updates: int) (seed: int64) targets (methods: OneStateMethod list) : OneStateCell list =
        if updates < 2 then
            Errors.fail (Settings $"--updates is %d{updates}; it must be at least 2")

        [ for target in targets do
              for m in methods do
                  for fitted in [ false; true ] do
                      let cell = keptOr folder updates seed target fitted m
                      let q = if fitted then "fitted Q" else "exact Q"

                      printfn
                          $"{target.Name}, {m.Name}, {q}: KL %.4f{cell.Measures.Kl}, mode-weight error %.4f{cell.Measures.ModeWeightError}, %.0f{cell.Seconds} s"

                      cell ]

    /// Computes what the folder does not hold yet, and writes the page.
    let run (folder: string) (updates: int) (seed: int64) (methods: OneStateMethod list) : unit =
        let cells = cells folder updates seed OneState.targets methods
        let key = Key.ofSeed seed
        write folder updates OneState.targets methods cells (EstimatorPicture.create key) (RssmPicture.create key)

    /// The method of that name; Settings failure with the nearest name otherwise.
    let named (name: string) : OneStateMethod =
        match OneStateMethods.all |> List.tryFind (fun m -> m.Name = name) with
        | Some found -> found
        | None -> Errors.fail (Settings(Errors.unknown "method" name "" (OneStateMethods.all |> List.map _.Name)))
