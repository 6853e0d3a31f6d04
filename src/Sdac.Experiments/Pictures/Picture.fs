namespace Sdac.Experiments

/// How an axis turns values into places.
[<RequireQualifiedAccess>]
type Scale =
    | Linear
    /// Powers of a base are evenly spaced
    | Log of Base: float
    /// A row for each text, from the top; a value is the row's number from 0
    | Rows of string list

/// Where an axis begins and ends.
[<RequireQualifiedAccess>]
type Extent =
    /// At round numbers around the data and 0
    | FromZero
    /// At round numbers around the data
    | AroundData
    /// Where the data do
    | OfData
    | Between of float * float

/// The marks along an axis.
[<RequireQualifiedAccess>]
type Ticks =
    /// At about so many round numbers, with commas between thousands
    | Round of int
    | At of (float * string) list

type Axis = { Title: string; Scale: Scale; Extent: Extent; Ticks: Ticks }

/// What stands at the points of a line.
[<RequireQualifiedAccess>]
type PointShape =
    | Disc
    | Square
    | Triangle
    | Diamond

/// A line through points (x, y).
type Stroke =
    {
        Width: float
        /// At some thirty of the points; at all of them where there are no more
        Marker: PointShape option
        /// Each value holds until the next one, without a slope between them
        Stepped: bool
    }

/// A cell of a grid, in the axes' units, and the value that shades it.
type Tile = { X: float * float; Y: float * float; Value: float }

/// How the root of a tile's value, as a share of the largest value's, becomes a colour.
[<RequireQualifiedAccess>]
type Shading =
    /// From dark violet to yellow, explained in the legend by percentages
    | Viridis
    /// From the ground to the layer's colour, in levels
    | Fading

/// What a layer draws. All numbers are in the axes' units, thicknesses and diameters in pixels.
[<RequireQualifiedAccess>]
type Mark =
    | Dots of Diameter: float * Opacity: float * Points: (float * float) list
    | Line of Stroke * Points: (float * float) list
    /// The area between two curves: x, low, high
    | Band of (float * float * float) list
    /// Level bars: row, begin, end
    | Bars of Thickness: float * (float * float * float) list
    /// Translucent level bars behind a value: row, low, high
    | Intervals of Thickness: float * (float * float * float) list
    /// Upright strokes through points
    | Strokes of Height: float * Points: (float * float) list
    /// A thin upright line through the whole panel
    | UprightGuide of float
    /// A thin level line through the whole panel
    | LevelGuide of float
    | Tiles of Shading * Tile list

/// A part of a picture. Layers of one name belong together: they have one entry in the legend, none where the name is empty.
type Layer = { Name: string; Colour: string; Mark: Mark }

/// Layers over a pair of axes.
type Panel =
    {
        /// Above the panel; may be empty
        Title: string
        /// Of the area within the axes, in pixels
        Size: float * float
        X: Axis
        Y: Axis
        /// The later ones over the earlier ones
        Layers: Layer list
    }

/// A picture: rows of panels under a title, with one legend for all of them. It is a value; the renderers draw it.
[<StructuredFormatDisplay("{Display}")>]
type Picture =
    {
        Title: string
        /// May be empty
        Subtitle: string
        Panels: Panel list list
        Legend: bool
    }

    /// One line for a session.
    member picture.Display =
        let named = picture.Title + (if picture.Subtitle = "" then "" else $" ({picture.Subtitle})")
        $"picture: {named}, panels: %d{List.sumBy List.length picture.Panels}; Plot.show draws it, Plot.save writes it"

/// What both renderers need to know of a picture.
[<RequireQualifiedAccess>]
module Picture =
    open System

    let layers (picture: Picture) : Layer list = picture.Panels |> List.concat |> List.collect _.Layers

    /// The legend's entries: the layers of each name.
    let entries (picture: Picture) : (string * Layer list) list =
        if picture.Legend then
            layers picture |> List.filter (fun layer -> layer.Name <> "") |> List.groupBy _.Name
        else
            []

    let private finite2 (x, y) = Double.IsFinite x && Double.IsFinite y
    let private finite3 (x, y, z) = Double.IsFinite x && finite2 (y, z)

    /// The mark without the points that no renderer could place.
    let finite (mark: Mark) : Mark =
        match mark with
        | Mark.Dots(diameter, opacity, points) -> Mark.Dots(diameter, opacity, List.filter finite2 points)
        | Mark.Line(stroke, points) -> Mark.Line(stroke, List.filter finite2 points)
        | Mark.Band points -> Mark.Band(List.filter finite3 points)
        | Mark.Bars(thickness, bars) -> Mark.Bars(thickness, List.filter finite3 bars)
        | Mark.Intervals(thickness, bars) -> Mark.Intervals(thickness, List.filter finite3 bars)
        | Mark.Strokes(height, points) -> Mark.Strokes(height, List.filter finite2 points)
        | Mark.Tiles(shading, tiles) ->
            let sound (tile: Tile) = finite2 tile.X && finite2 tile.Y && Double.IsFinite tile.Value
            Mark.Tiles(shading, List.filter sound tiles)
        | Mark.UprightGuide _
        | Mark.LevelGuide _ -> mark

    /// All x and all y of a mark.
    let private reach (mark: Mark) : float list * float list =
        match mark with
        | Mark.Dots(_, _, points)
        | Mark.Line(_, points)
        | Mark.Strokes(_, points) -> List.unzip points
        | Mark.Band points ->
            [ for x, _, _ in points -> x ], points |> List.collect (fun (_, low, high) -> [ low; high ])
        | Mark.Bars(_, bars)
        | Mark.Intervals(_, bars) ->
            bars |> List.collect (fun (_, low, high) -> [ low; high ]), [ for y, _, _ in bars -> y ]
        | Mark.UprightGuide x -> [ x ], []
        | Mark.LevelGuide y -> [], [ y ]
        | Mark.Tiles(_, tiles) ->
            let ends side = tiles |> List.collect (fun tile -> [ fst (side tile); snd (side tile) ])
            ends _.X, ends _.Y

    /// A point that comes close to the end of an axis would be cut in half there; at the left end the upright axis begins at 0.
    let private room upright (low, high) (least, most) =
        let range = high - low
        let near a b = abs (a - b) < 0.015 * range

        (if near low least && (upright || low <> 0.0) then low - 0.02 * range else low),
        (if near high most then high + 0.02 * range else high)

    /// Where an axis begins and ends, given its values; a logarithmic one in powers of its base.
    let private limits upright (axis: Axis) (values: float list) : float * float =
        let least, most = if values.IsEmpty then 0.0, 1.0 else List.min values, List.max values

        let around low high =
            let count =
                match axis.Ticks with
                | Ticks.Round count -> count
                | Ticks.At _ -> 8

            let low, high =
                if low = high then
                    low - max 0.5 (abs low * 0.05), high + max 0.5 (abs high * 0.05)
                else
                    low, high

            room upright (RoundNumbers.around count low high) (least, most)

        match axis.Scale, axis.Extent with
        | Scale.Rows rows, _ -> -0.5, float rows.Length - 0.5
        | Scale.Log power, Extent.Between(low, high) -> Math.Log(low, power), Math.Log(high, power)
        | Scale.Log _, _ when values.IsEmpty || least <= 0.0 -> 0.0, 1.0
        | Scale.Log power, _ -> Math.Log(least, power), Math.Log(most, power)
        | Scale.Linear, Extent.Between(low, high) -> low, high
        | Scale.Linear, Extent.OfData when least < most -> least, most
        | Scale.Linear, Extent.FromZero -> around (min 0.0 least) (max 0.0 most)
        | Scale.Linear, _ -> around least most

    /// Where both axes of a panel begin and end. Logarithmic ones are told in powers of their base.
    let extents (panel: Panel) : (float * float) * (float * float) =
        let xs, ys = panel.Layers |> List.map (fun layer -> reach (finite layer.Mark)) |> List.unzip
        limits false panel.X (List.concat xs), limits true panel.Y (List.concat ys)

    /// An axis's ticks: their places (of a logarithmic axis in powers of its base) and texts.
    let ticks (axis: Axis) (low: float, high: float) : (float * string) list =
        match axis.Scale, axis.Ticks with
        | Scale.Rows rows, _ -> [ for i, row in List.indexed rows -> float i, row ]
        | Scale.Linear, Ticks.At ticks -> ticks
        | Scale.Log power, Ticks.At ticks -> [ for value, text in ticks -> Math.Log(value, power), text ]
        | Scale.Linear, Ticks.Round count ->
            [ for value in RoundNumbers.between count low high -> value, RoundNumbers.text value ]
        | Scale.Log power, Ticks.Round _ ->
            [ for exponent in ceil low .. floor high -> exponent, RoundNumbers.text (power ** exponent) ]

    /// The place of a value on an axis.
    let place (axis: Axis) (value: float) : float =
        match axis.Scale with
        | Scale.Log power -> Math.Log(value, power)
        | Scale.Linear
        | Scale.Rows _ -> value

    /// At most about `limit` of some points, evenly taken, the first and the last among them.
    let some limit (points: 'a list) : 'a list =
        if points.Length <= limit then
            points
        else
            let points = Array.ofList points
            [ for i in 0 .. limit - 1 -> points[int (int64 i * int64 (points.Length - 1) / int64 (limit - 1))] ]

    /// Points of a line that are marked.
    [<Literal>]
    let Marked = 30

    /// The largest value of tiles, which has the full shade.
    let fullShade (tiles: Tile list) : float = tiles |> List.map _.Value |> List.fold max Double.Epsilon

    /// A value's shade, from 0 to 1.
    let shade (full: float) (value: float) : float = sqrt (max 0.0 value / full)

    /// The viridis colours, evenly spaced.
    let viridis =
        [ "#440154"
          "#482878"
          "#3e4989"
          "#31688e"
          "#26828e"
          "#1f9e89"
          "#35b779"
          "#6ece58"
          "#b5de2b"
          "#fde725" ]
