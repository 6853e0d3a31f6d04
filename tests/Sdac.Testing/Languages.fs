namespace Sdac.Testing

open System
open System.Diagnostics
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

    /// The one in which nothing of a number looks as in no language: the point, the groups, the minus, NaN.
    [<Literal>]
    let private Strangest = "ar_SA"

    /// Fails where a text shows a number as Arabic writes it: it was printed in the language of the machine. `place` names the text.
    let refuseForeign (place: string) (text: string) =
        let numbers = all[Strangest].NumberFormat

        for sign in
            [ numbers.NumberDecimalSeparator
              numbers.NumberGroupSeparator
              numbers.NegativeSign
              numbers.NaNSymbol ] do
            match text.IndexOf(sign, StringComparison.Ordinal) with
            | -1 -> ()
            | at ->
                let first, last = max 0 (at - 100), min text.Length (at + 100)
                failtest $"{place} is in the language of the machine: {text.Substring(first, last - first)}"

    /// Tests that take no longer run in every language. The strangest differs from none of the others in what it shows of a machine's
    /// language: longer tests run in it alone.
    let private quick = TimeSpan.FromMilliseconds 50.0

    /// Makes a culture that of this thread and of those it starts, until disposed.
    let private enter (culture: CultureInfo) : IDisposable =
        let before, ofThreads = CultureInfo.CurrentCulture, CultureInfo.DefaultThreadCurrentCulture
        CultureInfo.CurrentCulture <- culture
        CultureInfo.DefaultThreadCurrentCulture <- culture

        { new IDisposable with
            member _.Dispose() =
                CultureInfo.CurrentCulture <- before
                CultureInfo.DefaultThreadCurrentCulture <- ofThreads }

    /// Runs an action, and the threads it starts, in a culture.
    let within (culture: CultureInfo) (action: unit -> 'a) : 'a =
        use _ = enter culture
        action ()

    /// Where an exception comes from, without the frames of what checks.
    let private origin (error: exn) =
        (string error.StackTrace).Split '\n'
        |> Seq.filter (fun frame -> not (frame.Contains "at Expecto." || frame.Contains "at Sdac.Testing."))
        |> Seq.truncate 5
        |> String.concat "\n"

    /// A failure tells its language, without which it might not come again; that a test is skipped is none.
    let private named (name: string) (action: unit -> unit) =
        try
            within all[name] action
        with
        | :? IgnoreException -> reraise ()
        | :? AssertException as error -> failtest $"in the numbers of {name}: {error.Message}\n{origin error}"
        | error -> failtest $"in the numbers of {name}: {error}"

    /// Runs a test in the numbers of Arabic, and a quick one in those of the other languages too.
    let private inTurn (body: unit -> unit) () =
        let clock = Stopwatch.StartNew()
        named Strangest body

        if clock.Elapsed < quick then
            for name in all |> Map.remove Strangest |> Map.keys do
                named name body

    let private replaced (run: (unit -> unit) -> unit -> unit) (culture: CultureInfo) (test: Test) : Test =
        test
        |> Test.replaceTestCode (fun name code ->
            let code =
                match code with
                | Sync body -> Sync(run body)
                | AsyncFsCheck(config, stress, property) ->
                    let within check =
                        async {
                            use _ = enter culture
                            return! property check
                        }

                    AsyncFsCheck(config, stress, within)
                | other -> other

            TestLabel(name, TestCase(code, Normal), Normal))

    /// The same tests in a culture.
    let under (culture: CultureInfo) (test: Test) : Test = replaced (fun body () -> within culture body) culture test

    /// The same tests, each in at least one language, the quick ones in all: no text may depend on it. Properties over random values
    /// are checked in one.
    let underAll (test: Test) : Test = replaced inTurn all[Strangest] test
