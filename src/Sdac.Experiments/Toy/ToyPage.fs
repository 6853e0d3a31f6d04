namespace Sdac.Experiments

open System.IO
open System.Net
open Sdac.Functional
open Sdac.Sampling

/// Writing what the cells show: one page, its picture, its tables.
[<RequireQualifiedAccess>]
module ToyPage =
    /// Points of each panel.
    [<Literal>]
    let private Points = 1000

    /// The style of pages with pictures and tables.
    let internal style =
        "body{font:15px Helvetica,Arial,sans-serif;margin:2em;color:#222}img{display:block;max-width:100%;height:auto}table{border-collapse:collapse;font-size:13px;margin-top:1.5em}"
        + "caption{font-weight:bold;text-align:left;padding:4px 10px}td,th{border-bottom:1px solid #ddd;padding:4px 10px;text-align:right;font-weight:normal}th:first-child{text-align:left}"

    let private notes =
        "<p>Mean over seeds with its 95 % bootstrap interval (percentile method, too narrow for few seeds: at five it covers about 84 %). KL: plug-in estimate of KL(samples‖target) on a 40 x 40 grid with "
        + $"Miller–Madow correction from {ToyCell.SampleCount} samples, and its standard error; the row 'exact' shows the bias that is left, 0.001 to 0.003 for every method. "
        + "W2: exact, of 400 points against 400 exact samples. Energy distance: without bias, 4,000 against 4,000. "
        + "Worst score error: the largest relative L2 error under p_t over timesteps with ᾱ between 0.01 and 0.99 "
        + "(iDEM's estimate of the score is poor at high noise levels; its loss here has little weight there, and its sampler needs no exact score). "
        + "DSM sees exact samples but one noise for each, where RSSM averages over its draws: at equal updates its score is the noisier one. "
        + "FAB has the same settings for every target. Seconds: processor time of training "
        + "(of sampling for methods without training), one thread. Peak MiB: resident memory above that of the runtime and its libraries, the largest over seeds.</p>"

    /// The tables of all targets in Markdown.
    let markdown (targets: Target list) (methods: ToyMethod list) (cells: ToyCell list) : string =
        String.concat
            "\n"
            [ for target in targets do
                  $"## {target.Name}\n"
                  Table.markdown (ToyTable.target target.Name cells)
              "## Settings that differ from the method's standard\n"
              Table.markdown (ToyTable.settings targets methods) ]

    /// A picture within the page, or why there is none.
    let private element alternative (drawn: Result<string, string>) =
        match drawn with
        | Ok svg -> ScottPlotRenderer.element alternative svg
        | Error sentence -> $"<p>No picture: {WebUtility.HtmlEncode sentence}</p>"

    let private html (targets: Target list) methods cells (picture: Result<string, string>) scores =
        let tables =
            targets
            |> List.map (fun target -> Table.html (ToyTable.target target.Name cells))
            |> String.concat "\n"

        let scores =
            scores |> Option.map (element "Error of the learned score by noise level") |> Option.defaultValue ""

        String.concat
            "\n"
            [ $"<!doctype html><html lang='en'><meta charset='utf-8'><title>RSSM on densities we know</title>\n<style>{style}</style>"
              "<h1>RSSM on densities we know</h1>"
              element "Samples of every method over the density of each target" picture
              tables
              notes
              scores
              Table.html (ToyTable.settings targets methods)
              "</html>\n" ]

    /// Writes a picture as SVG and PNG; what cannot be written is said, and the page goes on without it.
    let private save (path: string) (picture: Picture) : Result<string, string> =
        match Plot.save path picture with
        | Ok() -> ()
        | Error sentence -> eprintfn $"warning: no picture: {sentence}"

        ScottPlotRenderer.svg picture

    /// Writes toy.html, its pictures toy and toy-scores alone (SVG and PNG), toy.md (the tables) and toy.csv (every cell) into a
    /// folder.
    let write (folder: string) (targets: Target list) (methods: ToyMethod list) (cells: ToyCell list) =
        let path name = Path.Combine(folder, name)

        let targets =
            targets |> List.filter (fun target -> cells |> List.exists (fun cell -> cell.Target = target.Name))

        Files.createFolder folder
        let picture = ToyPicture.picture Points targets cells |> save (path "toy.svg")
        let scores = ToyScores.picture cells |> Option.map (save (path "toy-scores.svg"))
        Files.writeText (path "toy.md") (markdown targets methods cells)
        Files.writeText (path "toy.csv") (Table.csv (ToyTable.cells cells))
        Files.writeText (path "toy.html") (html targets methods cells picture scores)
