namespace Sdac.Experiments

open System
open ScottPlot
open SkiaSharp

/// The texts of pictures that ScottPlot draws: fonts, pens.
module internal PictureText =
    /// The fonts to draw with, the best first; without any of them the system's first.
    let private families = [ "DejaVu Sans"; "Liberation Sans"; "Noto Sans"; "FreeSans" ]

    /// A session may draw many pictures: what is wrong with the fonts is said once.
    let private complain =
        lazy
            (eprintfn
                "warning: the font DejaVu Sans is missing, pictures are drawn with another one: install fonts-dejavu-core")

    /// The font that there is. Where there is none at all, letters would be empty boxes: Missing.
    let family () : string =
        let there =
            SKFontManager.Default.FontFamilies
            |> Seq.filter (String.IsNullOrWhiteSpace >> not)
            |> Seq.sort
            |> List.ofSeq

        match families |> List.tryFind (fun family -> List.contains family there), there with
        | Some family, _ ->
            if family <> families.Head then
                complain.Force()

            family
        | None, other :: _ ->
            complain.Force()
            other
        | None, [] -> Errors.fail (Missing "no font was found on this machine: install fonts-dejavu-core")

    /// Texts of one size and colour.
    type Pen(family: string, size: float, colour: string) =
        let font =
            new SKFont(
                Fonts.GetTypeface(family, false, false),
                float32 size,
                Subpixel = true,
                Hinting = SKFontHinting.None
            )

        let paint = new SKPaint(Color = SKColor.Parse colour, IsAntialias = true)

        member _.Width(text: string) = float (font.MeasureText text)

        /// The text, cut so that it fits.
        member pen.Fit (width: float) (text: string) =
            if pen.Width text <= width then
                text
            else
                let fits length = pen.Width(text.Substring(0, length) + "…") <= width
                let length = seq { text.Length - 1 .. -1 .. 1 } |> Seq.tryFind fits |> Option.defaultValue 0
                text.Substring(0, length) + "…"

        /// The text in lines that fit, broken at spaces.
        member pen.Lines (width: float) (text: string) : string list =
            let add lines word =
                match lines with
                | line :: above when pen.Width $"{line} {word}" <= width -> $"{line} {word}" :: above
                | _ -> word :: lines

            if text = "" then
                []
            else
                text.Split ' ' |> Array.fold add [] |> List.rev |> List.map (pen.Fit width)

        member _.Write (canvas: SKCanvas) (x: float) (baseline: float) (text: string) =
            canvas.DrawText(text, float32 x, float32 baseline, SKTextAlign.Left, font, paint)

        interface IDisposable with
            member _.Dispose() =
                paint.Dispose()
                font.Dispose()

    [<Literal>]
    let TickSize = 12.0

    [<Literal>]
    let LabelSize = 13.0

    type Pens(family: string) =
        member _.Family = family
        member val Title = new Pen(family, 16.0, "#000000")
        member val Subtitle = new Pen(family, 12.0, "#666666")
        member val Ticks = new Pen(family, TickSize, "#444444")
        member val Panel = new Pen(family, LabelSize, "#222222")
        member val Legend = new Pen(family, 12.0, "#222222")

        interface IDisposable with
            member pens.Dispose() =
                for pen in [ pens.Title; pens.Subtitle; pens.Ticks; pens.Panel; pens.Legend ] do
                    (pen :> IDisposable).Dispose()
