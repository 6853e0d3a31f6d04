namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Globalization
open System.Text.RegularExpressions

/// SVG as Skia writes it, made smaller, the same each time, and fit for viewers without the font.
[<RequireQualifiedAccess>]
module internal SkiaSvg =
    /// Places with two decimals.
    let private rounded (svg: string) =
        let short (number: Match) =
            Math
                .Round(Double.Parse(number.Value, CultureInfo.InvariantCulture), 2)
                .ToString("0.##", CultureInfo.InvariantCulture)

        Regex.Replace(
            svg,
            " (d|x|y|width|height|cx|cy)=\"[^\"]*\"",
            fun attribute -> Regex.Replace(attribute.Value, @"\d+\.\d{3,}", short)
        )

    /// Skia numbers clipping areas through the whole process.
    let private renumbered (svg: string) =
        let numbers = Dictionary<string, int>()

        Regex.Replace(
            svg,
            "(?<=\"|#)cl_[0-9a-f]+",
            fun name ->
                numbers.TryAdd(name.Value, numbers.Count + 1) |> ignore
                $"clip{numbers[name.Value]}"
        )

    let finish (svg: string) =
        let svg = Regex.Replace(svg, "\t*<path [^>]*d=\"\"/>\n", "")
        let svg = Regex.Replace(rounded (renumbered svg), "\n\t+", "\n")
        // the line ends around a text would belong to it, and a list that ends with a comma is no list for strict readers
        let svg = Regex.Replace(svg, @"(<text [^>]*>)\s+([^<]*?)\s+</text>", "$1$2</text>")
        let svg = Regex.Replace(svg, @", ""(?=[ >])", "\"")
        let svg = Regex.Replace(svg, @"M(\S+) (\S+?)L([^ L]+) \2L\3 ([^ L]+)L\1 \4L\1 \2Z", "M$1 $2H$3V$4H$1Z")
        let svg = Regex.Replace(svg, @"M(\S+ [^ML""]+)L\1(?=[M""])", "M$1h0")
        let svg = Regex.Replace(svg, "font-family=\"([^\"]*)\"", "font-family=\"$1, Verdana, sans-serif\"")

        Regex("<svg ([^>]*)width=\"([0-9]+)\" height=\"([0-9]+)\"")
            .Replace(svg, "<svg $1width=\"$2\" height=\"$3\" viewBox=\"0 0 $2 $3\"", 1)
