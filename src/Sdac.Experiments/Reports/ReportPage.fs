namespace Sdac.Experiments

open System
open System.Net
open System.Text
open System.Text.RegularExpressions

/// A part of a report's page.
type ReportPart =
    | Heading of Id: string * Text: string
    | Paragraph of string
    /// File name without ending, what it shows for those who cannot see it, the picture's specification
    | Picture of Name: string * Alternative: string * Vega
    | Tabular of Table

/// A report as HTML.
[<RequireQualifiedAccess>]
module ReportPage =
    let private encode (text: string) = string (WebUtility.HtmlEncode text)

    /// Names inside a picture, made its own: several pictures on one page would otherwise share them.
    let private ownNames (name: string) (svg: string) =
        let svg = Regex.Replace(svg, "\\bid=\"([^\"]+)\"", $"id=\"{name}-$1\"")
        let svg = Regex.Replace(svg, @"url\(#([^)]+)\)", $"url(#{name}-$1)")
        Regex.Replace(svg, "href=\"#([^\"]+)\"", $"href=\"#{name}-$1\"")

    let private figure (prefix: string) name alternative (svg: string) =
        let svg =
            Regex("<svg ").Replace(ownNames name svg, $"<svg role=\"img\" aria-label=\"{encode alternative}\" ", 1)

        $"<figure>\n{svg}\n<figcaption><a href=\"{prefix}{name}.svg\">SVG</a> <a href=\"{prefix}{name}.vl.json\">Vega-Lite</a></figcaption>\n</figure>\n"

    let private table (prefix: string) (table: Table) =
        $"<div class=\"table\" tabindex=\"0\">\n{Table.html table}</div>\n<p class=\"files\"><a href=\"{prefix}{table.Name}.csv\">CSV</a> <a href=\"{prefix}{table.Name}.md\">Markdown</a></p>\n"

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
figure svg { display: block; width: 100%; max-width: 752px; height: auto; }
figcaption, .files { margin: .25rem 0 0; font-size: .8rem; }
figcaption a, .files a { margin-right: .75rem; }
.table { margin-top: 1rem; overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; color: #444; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #e4e4e4; text-align: right; white-space: nowrap; }
thead th { border-bottom: 2px solid #999; vertical-align: bottom; white-space: normal; }
th:first-child { text-align: left; font-weight: normal; }
thead th:first-child { font-weight: bold; }
.warning { margin: 1rem 0; padding: .5rem 1rem; border-left: 4px solid #D55E00; background: #fdf3ec; }
.warning ul { margin: .25rem 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
@media (max-width: 760px) { .figures { grid-template-columns: minmax(0, 1fr); } }
"""

    let private list (items: string list) =
        "<ul>\n" + String.concat "" [ for item in items -> $"<li>{encode item}</li>\n" ] + "</ul>\n"

    let private warningBox (warnings: string list) =
        if warnings.IsEmpty then
            ""
        else
            $"<div class=\"warning\" role=\"note\"><strong>Left out or unfinished</strong>\n{list warnings}</div>\n"

    /// Consecutive pictures stand side by side.
    let private body (prefix: string) (drawn: Map<string, string>) (parts: ReportPart list) =
        let text = StringBuilder()
        let mutable figures = false

        let inFigures wanted =
            if wanted && not figures then
                text.Append "<div class=\"figures\">\n" |> ignore
            elif figures && not wanted then
                text.Append "</div>\n" |> ignore

            figures <- wanted

        for part in parts do
            match part with
            | Picture(name, alternative, _) ->
                match Map.tryFind name drawn with
                | Some svg ->
                    inFigures true
                    text.Append(figure prefix name alternative svg) |> ignore
                | None ->
                    inFigures false

                    text.Append
                        $"<p>{encode alternative}: not drawn, <a href=\"{prefix}{name}.vl.json\">Vega-Lite</a></p>\n"
                    |> ignore
            | Heading(id, heading) ->
                inFigures false
                text.Append $"<h2 id=\"{id}\">{encode heading}</h2>\n" |> ignore
            | Paragraph words ->
                inFigures false
                text.Append $"<p>{encode words}</p>\n" |> ignore
            | Tabular content ->
                inFigures false
                text.Append(table prefix content) |> ignore

        inFigures false
        string text

    /// The page. `prefix` begins the names of the files beside it; `drawn`: pictures by name, as SVG.
    let html
        (prefix: string)
        (title: string)
        (summary: string list)
        (warnings: string list)
        (drawn: Map<string, string>)
        (parts: ReportPart list)
        : string =

        let links =
            [ for part in parts do
                  match part with
                  | Heading(id, heading) -> $"<a href=\"#{id}\">{encode heading}</a>"
                  | _ -> () ]

        $"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{encode title}</title>\n<style>{style}</style>\n</head>\n<body>\n<h1>{encode title}</h1>\n"
        + list summary
        + warningBox warnings
        + $"""<nav aria-label="Sections">{String.concat "\n" links}</nav>{"\n"}"""
        + $"<main>\n{body prefix drawn parts}</main>\n</body>\n</html>\n"
