namespace Sdac.Testing

open System.Globalization
open Expecto

/// Cultures whose numbers look different. Written out, since the tests run without the system's tables of cultures.
module Languages =
    let private culture (point: string) (group: string) (minus: string) (nan: string) =
        let culture = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
        let numbers = culture.NumberFormat
        numbers.NumberDecimalSeparator <- point
        numbers.NumberGroupSeparator <- group
        numbers.PercentDecimalSeparator <- point
        numbers.PercentGroupSeparator <- group
        numbers.NegativeSign <- minus
        numbers.NaNSymbol <- nan
        numbers.PositiveInfinitySymbol <- "∞"
        numbers.NegativeInfinitySymbol <- minus + "∞"
        culture.DateTimeFormat.TimeSeparator <- "."
        culture.DateTimeFormat.DateSeparator <- "-"
        culture

    /// By name.
    let all =
        Map
            [ "de_DE", culture "," "." "-" "NaN"
              "sv_SE", culture "," "\u00a0" "\u2212" "¤¤¤"
              "ar_SA", culture "٫" "٬" "\u061c-" "ليس رقم" ]

    /// Runs an action, and the threads it starts, in a culture.
    let within (culture: CultureInfo) (action: unit -> 'a) : 'a =
        let before = CultureInfo.CurrentCulture, CultureInfo.DefaultThreadCurrentCulture

        try
            CultureInfo.CurrentCulture <- culture
            CultureInfo.DefaultThreadCurrentCulture <- culture
            action ()
        finally
            CultureInfo.CurrentCulture <- fst before
            CultureInfo.DefaultThreadCurrentCulture <- snd before

    /// The same tests in a culture; properties over random values stay as they are.
    let under (culture: CultureInfo) (test: Test) : Test =
        test
        |> Test.replaceTestCode (fun name code ->
            match code with
            | Sync body -> testCase name (fun () -> within culture body)
            | other -> TestLabel(name, TestCase(other, Normal), Normal))
