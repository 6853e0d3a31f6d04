namespace Sdac.Experiments

open System
open System.Net
open System.Text

/// A part of a report's page.
type ReportPart =
    | Heading of Id: string * Text: string
    | Paragraph of string
    /// File name without ending, what it shows for those who cannot see it, the picture
    | Picture of Name: string * Alternative: string * Picture
    | Tabular of Table
    /// A title that opens named lists
    | Details of Title: string * Lists: (string * string list) list
    /// Words, then links: their texts, and paths from the page
    | Links of string * (string * string) list

/// A report as HTML.
[<RequireQualifiedAccess>]
module ReportPage =
    let private encode (text: string) = string (WebUtility.HtmlEncode text)

    /// Links to files beside the page.
    let private links (files: (string * string) list) =
        String.concat " " [ for text, file in files -> $"<a href=\"{Uri.EscapeDataString file}\">{text}</a>" ]

    /// Links to files at some paths from the page.
    let private pathLinks (targets: (string * string) list) =
        let escaped (path: string) = path.Split '/' |> Array.map Uri.EscapeDataString |> String.concat "/"
        String.concat " " [ for text, path in targets -> $"<a href=\"{escaped path}\">{encode text}</a>" ]

    /// The picture's elements and its script. `written`: it lies beside the page too.
    let private figure (prefix: string) (written: bool) (name: string) (alternative: string) (picture: Picture) =
        let elements, script = PlotlyRenderer.figure $"plot-{name}" alternative picture

        let subtitle =
            if picture.Subtitle = "" then
                ""
            else
                $"<p class=\"subtitle\">{encode picture.Subtitle}</p>\n"

        let files =
            if written then
                let svg = $"{prefix}{name}.svg"
                let files = links [ "SVG", svg; "PNG", Plot.pngBeside svg ]

                $"<noscript><img src=\"{Uri.EscapeDataString svg}\" alt=\"{encode alternative}\"></noscript>\n"
                + $"<figcaption>{files}</figcaption>\n"
            else
                ""

        $"<figure>\n<h3>{encode picture.Title}</h3>\n{subtitle}{elements}{files}</figure>\n", script

    let private table (prefix: string) (table: Table) =
        let file ending = $"{prefix}{table.Name}.{ending}"
        let files = links [ "CSV", file "csv"; "Markdown", file "md" ]

        $"<div class=\"table\" tabindex=\"0\">\n{Table.html table}</div>\n<p class=\"files\">{files}</p>\n"

    let private style =
        """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 1200px; padding: 1.5rem 1rem 4rem; box-sizing: border-box; background: #fff; color: #222;
  font: 16px/1.5 Helvetica, Arial, 'DejaVu Sans', sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid #ddd; font-size: 1.25rem; }
p, li { max-width: 75ch; }
nav a { display: inline-block; margin: 0 1rem .25rem 0; }
a { color: #00558a; }
.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; align-items: start; }
figure { margin: 0; }
figure:only-child { grid-column: 1 / -1; max-width: 780px; }
h3 { margin: .5rem 0 0; font-size: 1rem; font-weight: normal; line-height: 1.3; overflow-wrap: anywhere; }
.subtitle { margin: 0; color: #666; font-size: .8rem; line-height: 1.35; }
.plot { width: 100%; }
noscript img { max-width: 100%; }
figcaption, .files { margin: .25rem 0 0; font-size: .8rem; }
figcaption a, .files a { margin-right: .75rem; }
.table { margin-top: 1rem; overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; color: #444; max-width: 75ch; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #e4e4e4; text-align: right; vertical-align: top; }
thead th { border-bottom: 2px solid #999; vertical-align: bottom; }
tbody th, td.words { text-align: left; font-weight: normal; overflow-wrap: anywhere; min-width: 5.5rem; max-width: 24rem; }
tbody th { min-width: 8.5rem; }
thead th:first-child, thead th.words { text-align: left; }
.lead h2 { margin: 1.25rem 0 .25rem; padding: 0; border: 0; font-size: 1.05rem; }
.lead ul { margin: 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.lead li { max-width: 130ch; font-size: .95rem; }
nav { margin-top: 1.25rem; }
details { margin: .5rem 0; font-size: .875rem; }
summary { cursor: pointer; overflow-wrap: anywhere; }
details h4 { margin: .5rem 0 .1rem; font-size: .875rem; }
details ul { margin: 0; padding-left: 1.2rem; columns: 22rem; overflow-wrap: anywhere; }
.warning { margin: 1rem 0; padding: .5rem 1rem; border-left: 4px solid #D55E00; background: #fdf3ec; }
.warning ul { margin: .25rem 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
@media (max-width: 760px) {
  .figures { grid-template-columns: minmax(0, 1fr); }
  table, caption, tbody, tr, th, td { display: block; }
  thead { display: none; }
  caption { max-width: none; }
  tr { padding: .4rem 0; border-bottom: 1px solid #999; }
  tbody th { max-width: none; padding: .1rem 0; border: 0; font-weight: bold; }
  td, td.words { display: flex; justify-content: space-between; gap: 1rem; max-width: none; padding: .1rem 0; border: 0; text-align: right; }
  td::before { content: attr(data-name); flex: none; max-width: 50%; color: #555; text-align: left; }
}
"""

    let private list (items: string list) =
        "<ul>\n" + String.concat "" [ for item in items -> $"<li>{encode item}</li>\n" ] + "</ul>\n"

    let private warningBox (warnings: string list) =
        if warnings.IsEmpty then
            ""
        else
            $"<div class=\"warning\" role=\"note\"><strong>Left out or unfinished</strong>\n{list warnings}</div>\n"

    let private details (title: string) (lists: (string * string list) list) =
        let listed = String.concat "" [ for name, items in lists -> $"<h4>{encode name}</h4>\n{list items}" ]
        $"<details>\n<summary>{encode title}</summary>\n{listed}</details>\n"

    /// The first lines: lists under their titles and notes, without the empty ones.
    let private leading (lead: (string * string * string list) list) =
        let lists =
            [ for title, note, items in lead do
                  if not items.IsEmpty then
                      let note = if note = "" then "" else $"<p class=\"subtitle\">{encode note}</p>\n"
                      $"<h2>{encode title}</h2>\n{note}{list items}" ]

        $"<div class=\"lead\">\n{String.Concat lists}</div>\n"

    /// The parts' elements, and the pictures' scripts. Consecutive pictures stand side by side.
    let private body (prefix: string) (written: Set<string>) (parts: ReportPart list) : string * string =
        let text, scripts = StringBuilder(), StringBuilder()
        let mutable figures = false

        let inFigures wanted =
            if wanted && not figures then
                text.Append "<div class=\"figures\">\n" |> ignore
            elif figures && not wanted then
                text.Append "</div>\n" |> ignore

            figures <- wanted

        for part in parts do
            match part with
            | Picture(name, alternative, picture) ->
                inFigures true
                let elements, script = figure prefix (written.Contains name) name alternative picture
                text.Append elements |> ignore
                scripts.Append script |> ignore
            | Heading(id, heading) ->
                inFigures false
                text.Append $"<h2 id=\"{id}\">{encode heading}</h2>\n" |> ignore
            | Paragraph words ->
                inFigures false
                text.Append $"<p>{encode words}</p>\n" |> ignore
            | Tabular content ->
                inFigures false
                text.Append(table prefix content) |> ignore
            | Details(title, lists) ->
                inFigures false
                text.Append(details title lists) |> ignore
            | Links(words, targets) ->
                inFigures false
                text.Append $"<p class=\"files\">{encode words} {pathLinks targets}</p>\n" |> ignore

        inFigures false
        string text, string scripts

    /// The page: all of it in one text, plotly.js too, so that it needs no network. `prefix` begins the names of the files beside
    /// it; `written`: the names of the pictures that lie there.
    let html
        (prefix: string)
        (title: string)
        (lead: (string * string * string list) list)
        (warnings: string list)
        (written: Set<string>)
        (parts: ReportPart list)
        : string =

        let links =
            [ for part in parts do
                  match part with
                  | Heading(id, heading) -> $"<a href=\"#{id}\">{encode heading}</a>"
                  | _ -> () ]

        let elements, scripts = body prefix written parts

        let scripts =
            if scripts = "" then
                ""
            else
                $"<script>{PlotlyRenderer.library ()}</script>\n<script>\n{scripts}</script>\n"

        $"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{encode title}</title>\n<style>{style}</style>\n</head>\n<body>\n<h1>{encode title}</h1>\n"
        + leading lead
        + warningBox warnings
        + $"""<nav aria-label="Sections">{String.concat "\n" links}</nav>{"\n"}"""
        + $"<main>\n{elements}</main>\n{scripts}</body>\n</html>\n"
