namespace Sdac.Experiments

open System
open System.IO
open System.IO.Compression

/// Numbers by row and column, packed for a page: whole multiples of a unit, which player/unpack.js reads.
type Track =
    {
        Rows: int
        Columns: int
        /// What one step of a column's whole numbers is worth; columns take them in turn
        Units: float[]
        /// Column by column the difference to the row before, sign in the lowest bit, in four planes of bytes from the lowest on;
        /// deflated (zlib) and in base64
        Data: string
    }

/// Packing recorded numbers.
[<RequireQualifiedAccess>]
module Packing =
    /// Whole numbers stay below this, so that their differences fit into 32 bits.
    let private Most = float (1 <<< 30)

    let private greatest (columns: int) (values: float[]) (column: int) =
        let mutable greatest = 0.0

        for row in 0 .. values.Length / columns - 1 do
            greatest <- max greatest (abs values[row * columns + column])

        greatest

    /// The units asked for, larger where a column's numbers would not fit.
    let private fitted (units: float[]) (columns: int) (values: float[]) =
        let wanted = Array.init columns (fun column -> units[column % units.Length])
        let least = Array.init columns (fun column -> greatest columns values column / Most)
        if Array.forall2 (>=) wanted least then units else Array.map2 max wanted least

    /// -1, 1, -2, 2, … as 1, 2, 3, 4, …: small differences of either sign have zeros in their upper bytes.
    let private zigzag (difference: int) = uint32 ((difference <<< 1) ^^^ (difference >>> 31))

    let private planes (units: float[]) (columns: int) (values: float[]) : byte[] =
        let rows = values.Length / columns
        let planes = Array.zeroCreate<byte>(4 * values.Length)

        for column in 0 .. columns - 1 do
            let unit = units[column % units.Length]
            let mutable last = 0

            for row in 0 .. rows - 1 do
                let whole = int (Math.Round(values[row * columns + column] / unit))
                let word = zigzag (whole - last)
                last <- whole

                for plane in 0..3 do
                    planes[plane * values.Length + column * rows + row] <- byte (word >>> (8 * plane))

        planes

    let private deflate (bytes: byte[]) : byte[] =
        use target = new MemoryStream()
        use zlib = new ZLibStream(target, CompressionLevel.SmallestSize, true)
        zlib.Write(ReadOnlySpan bytes)
        zlib.Dispose()
        target.ToArray()

    /// Packs finite numbers, row by row, to the nearest multiple of their column's unit.
    let pack (units: float[]) (columns: int) (values: float[]) : Track =
        let units = fitted units columns values

        { Rows = values.Length / columns
          Columns = columns
          Units = units
          Data = planes units columns values |> deflate |> Convert.ToBase64String }

    /// A unit for each column that shows so many steps between 0 and its greatest number; 1 for a column of zeros.
    let unitsOf (steps: float) (columns: int) (values: float[]) : float[] =
        Array.init columns (fun column ->
            match greatest columns values column / steps with
            | unit when unit > 0.0 -> unit
            | _ -> 1.0)
