module Sdac.Experiments.Tests.MetricsTests

open System
open System.Globalization
open System.IO
open FsCheck
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

let private write path lines =
    use writer = LineWriter.Create path
    lines |> List.iter writer.Write

[<Fact>]
let ``numbers are read back to the same bits`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "metrics.jsonl")

        check (fun (values: float list, counts: int64 list) ->
            write
                path
                [ [ "values", Values values ]; [ for i, count in List.indexed counts -> $"count{i}", Count count ] ]

            match Metrics.read path with
            | [ first; second ] ->
                // All NaNs are one.
                let bits =
                    List.map (fun value -> BitConverter.DoubleToInt64Bits(if Double.IsNaN value then nan else value))

                (match first["values"] with
                 | Values read -> bits read = bits values
                 | _ -> false)
                && counts |> List.indexed |> List.forall (fun (i, count) -> second[$"count{i}"] = Count count)
            | _ -> false))

[<Fact>]
let ``a line is plain JSON, in the given order, whatever the culture`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "metrics.jsonl")
        let culture = CultureInfo.CurrentCulture

        try
            let comma = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
            comma.NumberFormat.NumberDecimalSeparator <- ","
            CultureInfo.CurrentCulture <- comma

            write
                path
                [ [ "iteration", Count 7L
                    "loss", Value 0.1
                    "bad", Value nan
                    "worse", Value -infinity
                    "task", Label "a\"b" ] ]
        finally
            CultureInfo.CurrentCulture <- culture

        Assert.Equal(
            """{"iteration":7,"loss":0.1,"bad":"NaN","worse":"-Infinity","task":"a\u0022b"}""" + "\n",
            File.ReadAllText path
        ))

[<Fact>]
let ``a file continued at a position equals one written in one go`` () =
    inFolder (fun folder ->
        let whole, parts = Path.Combine(folder, "whole"), Path.Combine(folder, "parts")
        let line i = [ "iteration", Count(int64 i); "loss", Value(1.0 / float i) ]
        write whole [ for i in 1..10 -> line i ]

        let position =
            use first = LineWriter.Create parts
            [ 1..4 ] |> List.iter (line >> first.Write)
            let position = first.Position
            [ 5..9 ] |> List.iter (line >> first.Write)
            position

        using (LineWriter.Continue(parts, position)) (fun second -> [ 5..10 ] |> List.iter (line >> second.Write))
        Assert.Equal<byte[]>(File.ReadAllBytes whole, File.ReadAllBytes parts))

[<Fact>]
let ``a file shorter than its checkpoint says is refused`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "metrics.jsonl")
        File.WriteAllText(path, "{}\n")

        failureOf (fun () -> LineWriter.Continue(path, 100L))
        |> says [ path; "3 bytes"; "100"; "older checkpoint" ])

[<Fact>]
let ``a last line that was cut off is left out, a broken one in between is not`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "metrics.jsonl")
        File.WriteAllText(path, "{\"a\":1}\n{\"a\":2")
        Assert.Equal<Map<string, Figure> list>([ Map [ "a", Count 1L ] ], Metrics.read path)
        File.WriteAllText(path, "{\"a\":1\n{\"a\":2}\n")
        failureOf (fun () -> Metrics.read path) |> says [ path; "not JSON" ])
