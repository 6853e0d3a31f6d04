namespace Sdac.Experiments

open System
open System.Globalization
open System.Text.Json

/// Numbers as this program writes them everywhere: shortest text that reads back to the same bits, invariant culture,
/// "NaN", "Infinity" and "-Infinity" as texts.
[<RequireQualifiedAccess>]
module Number =
    /// Writes a number as a JSON value.
    let write (writer: Utf8JsonWriter) (value: float) =
        if Double.IsFinite value then writer.WriteNumberValue value
        elif Double.IsNaN value then writer.WriteStringValue "NaN"
        elif value > 0.0 then writer.WriteStringValue "Infinity"
        else writer.WriteStringValue "-Infinity"

    /// Reads a JSON value written by `write`; None when it is no number.
    let tryRead (value: JsonElement) =
        match value.ValueKind with
        | JsonValueKind.Number -> Some(value.GetDouble())
        | JsonValueKind.String ->
            match value.GetString() with
            | "NaN" -> Some Double.NaN
            | "Infinity" -> Some Double.PositiveInfinity
            | "-Infinity" -> Some Double.NegativeInfinity
            | _ -> None
        | _ -> None

    /// Beyond this a number with all its digits is longer than one with an exponent.
    [<Literal>]
    let private Longest = 1e9

    /// For people: four significant digits, with commas where a whole number has more.
    let display (value: float) =
        let form = if abs value >= 9999.5 && abs value < Longest then "N0" else "G4"
        value.ToString(form, CultureInfo.InvariantCulture)
