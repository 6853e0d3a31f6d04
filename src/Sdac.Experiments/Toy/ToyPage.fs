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

    /// The style of pages with pictures and tables. In a narrow window a row of a table is a list.
    let internal style =
        """
body { font: 15px/1.45 Helvetica, Arial, sans-serif; margin: 2em; color: #222; }
p, dl { max-width: 60em; }
dt { float: left; clear: left; font-weight: bold; }
dd { margin: 0 0 .25em 11.5em; }
img { display: block; max-width: 100%; height: auto; }
.wrap { display: flex; flex-wrap: wrap; gap: .5em 1em; margin: .5em 0 1em; }
figure { margin: 0; }
.panels figure { width: 14em; }
.panels img { width: 100%; }
figcaption { text-align: center; font-size: 13px; }
table { border-collapse: collapse; font-size: 13px; margin-top: 1.5em; }
caption { font-weight: bold; text-align: left; padding: 4px 10px; }
td, th { border-bottom: 1px solid #ddd; padding: 4px 10px; text-align: right; font-weight: normal; }
th:first-child, .words { text-align: left; }
@media (max-width: 1000px) {
  body { margin: 1em; }
  table, tbody, tr, caption { display: block; }
  thead { display: none; }
  tr { padding: .3em 0; border-bottom: 1px solid #ddd; }
  td, th { border: 0; padding: .1em 0; }
  th { display: block; text-align: left; font-weight: bold; }
  td, td.words { display: flex; justify-content: space-between; gap: 1em; overflow-wrap: anywhere; text-align: right; }
  td::before { content: attr(data-name); flex: none; max-width: 50%; color: #555; text-align: left; }
}
"""

    let private encode (text: string) = string (WebUtility.HtmlEncode text)

    /// Terms and what they mean; the latter may hold marks.
    let private definitions (terms: (string * string) list) =
        [ for term, meaning in terms -> $"<dt>{encode term}</dt><dd>{meaning}</dd>" ]
        |> String.concat "\n"
        |> fun items -> $"<dl>\n{items}\n</dl>"

    let private introduction (methods: ToyMethod list) =
        String.concat
            "\n"
            [ "<p>Samplers that know a density only by ln p up to a constant (and some by its slope), on densities that we know. In each panel:</p>"
              definitions
                  [ "blue",
                    "the density: the darker, the likelier is the cell, one of 40 x 40 (eight shades, of the root of its probability)"
                    "orange dots",
                    $"samples of the method named below, with the first seed, at most {Points} of them. A sampler is right where its dots lie on the blue, and as many of them in each part as the panel of <em>exact</em> has; what lies beyond the panel is not drawn"
                    "axes",
                    "the point's two coordinates, in the units of ln p's argument; for targets of more than two dimensions what is said at the target" ]
              "<p>The methods:</p>"
              definitions [ for method in methods -> method.Name, encode method.About ] ]

    let private measures =
        "<h2>What the tables measure</h2>\n"
        + definitions
            [ "seeds",
              "Every figure is a mean over so many, in brackets its 95 % bootstrap interval (percentile method, too narrow for few seeds: with five it covers about 84 %)."
              "KL",
              $"KL(samples‖target) in nats, the plug-in estimate on the panel's 40 x 40 cells with Miller–Madow correction from {ToyCell.SampleCount} samples, and its standard error. The row <em>exact</em> shows the bias that is left, 0.001 to 0.003 for every method."
              "W2",
              "Wasserstein-2 distance of 400 samples from 400 exact ones, exact, in all dimensions; the row <em>exact</em> shows what two such sets are apart by chance."
              "energy distance",
              "of 4,000 samples from 4,000 exact ones, without bias (near 0 it may be negative), in all dimensions."
              "mode-weight error", "the largest |share of samples nearest to a mode - the mode's weight|."
              "modes found", "modes with at least a tenth of their weight in samples near them."
              "worst score error",
              "the largest relative L2 error of the learned score under p_t over noise levels with ᾱ between 0.01 and 0.99. iDEM's estimate is poor at high noise levels, where its loss has little weight; DSM sees one noise for each sample, where RSSM averages over its draws; DiKL's score is that of its own samples."
              "seconds", "processor time of training (of sampling for methods without training), one thread."
              "peak MiB", "resident memory above that of the runtime and its libraries, the largest over seeds." ]

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

    let private figure (caption: string) (alternative: string) (picture: Picture) =
        $"<figure>{element alternative (ScottPlotRenderer.svg picture)}<figcaption>{encode caption}</figcaption></figure>"

    let private wrapped (kind: string) (figures: string list) =
        let figures = String.concat "\n" figures
        $"<div class='wrap {kind}'>\n{figures}\n</div>"

    /// What a target is, as the beginning of a sentence.
    let private sentence (target: Target) =
        match target.About with
        | "" -> "A density of one's own"
        | about -> string (System.Char.ToUpperInvariant about[0]) + about[1..]

    /// A target: what it is, its panels, its table.
    let private section (cells: ToyCell list) (target: Target) =
        let across, upwards = ToyPicture.axes target

        String.concat
            "\n"
            [ $"<h2>{encode target.Name}</h2>"
              $"<p>{encode (sentence target)}. Across: {encode across}; upwards: {encode upwards}.</p>"
              wrapped
                  "panels"
                  [ for method, picture in ToyPicture.thumbnails Points target cells ->
                        figure method $"{target.Name}: samples of {method} over the density" picture ]
              Table.html (ToyTable.target target.Name cells) ]

    let private scores (cells: ToyCell list) =
        match ToyScores.pictures cells with
        | [] -> []
        | pictures ->
            [ "<h2>Error of the learned score by noise level</h2>"
              "<p>A line per model, mean over seeds: the relative L2 error of its score under p_t, where a closed form is known. Models drawn first have broader lines, so that none is hidden; methods that sample one model share its line. Errors above 1,000 % stand at the edge; the level line at 5 % is a guide for the eye.</p>"
              wrapped
                  "curves"
                  [ for target, picture in pictures ->
                        figure target $"Error of the learned score by noise level: {target}" picture ] ]

    let private html (targets: Target list) (methods: ToyMethod list) (cells: ToyCell list) =
        let present = methods |> List.filter (fun m -> cells |> List.exists (fun cell -> cell.Method = m.Name))

        String.concat
            "\n"
            [ $"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'><title>RSSM on densities we know</title>\n<style>{style}</style>"
              "<body>"
              "<h1>RSSM on densities we know</h1>"
              introduction present
              yield! targets |> List.map (section cells)
              yield! scores cells
              measures
              Table.html (ToyTable.settings targets methods)
              "</body></html>\n" ]

    /// Writes a picture as SVG and PNG; what cannot be written is said, and the page goes on without it.
    let private save (path: string) (picture: Picture) =
        match Plot.save path picture with
        | Ok() -> ()
        | Error sentence -> eprintfn $"warning: no picture: {sentence}"

    /// Writes toy.html, its pictures toy and toy-scores alone (SVG and PNG), toy.md (the tables) and toy.csv (every cell) into a
    /// folder.
    let write (folder: string) (targets: Target list) (methods: ToyMethod list) (cells: ToyCell list) =
        let path name = Path.Combine(folder, name)

        let targets =
            targets |> List.filter (fun target -> cells |> List.exists (fun cell -> cell.Target = target.Name))

        Files.createFolder folder
        ToyPicture.picture Points targets cells |> save (path "toy.svg")
        ToyScores.picture cells |> Option.iter (save (path "toy-scores.svg"))
        Files.writeText (path "toy.md") (markdown targets methods cells)
        Files.writeText (path "toy.csv") (Table.csv (ToyTable.cells cells))
        Files.writeText (path "toy.html") (html targets methods cells)
