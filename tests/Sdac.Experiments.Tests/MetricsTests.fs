module Sdac.Experiments.Tests.MetricsTests

open System
open System.Globalization
open System.IO
open Expecto
open FsCheck
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private write path lines =
    use writer = LineWriter.Create path
    lines |> List.iter writer.Write

[<Tests>]
let tests =
    testList
        "metrics"
        [ testPropertyWithConfig
              seeded
              "numbers are read back to the same bits"
              (fun (values: float list, counts: int64 list) ->
                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "metrics.jsonl")

                      write
                          path
                          [ [ "values", Values values ]
                            [ for i, count in List.indexed counts -> $"count{i}", Count count ] ]

                      match Metrics.read path with
                      | [ first; second ] ->
                          // All NaNs are one.
                          let bits =
                              List.map (fun value ->
                                  BitConverter.DoubleToInt64Bits(if Double.IsNaN value then nan else value))

                          (match first["values"] with
                           | Values read -> bits read = bits values
                           | _ -> false)
                          && counts
                             |> List.indexed
                             |> List.forall (fun (i, count) -> second[$"count{i}"] = Count count)
                      | _ -> false))

          testCase "a line is plain JSON, in the given order, whatever the culture" (fun () ->
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

                  Expect.equal
                      (File.ReadAllText path)
                      ("""{"iteration":7,"loss":0.1,"bad":"NaN","worse":"-Infinity","task":"a\u0022b"}""" + "\n")
                      "content of path"))

          testCase "a file continued at a position equals one written in one go" (fun () ->
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

                  using (LineWriter.Continue(parts, position)) (fun second ->
                      [ 5..10 ] |> List.iter (line >> second.Write))

                  Expect.equal (File.ReadAllBytes parts) (File.ReadAllBytes whole) "content of parts"))

          testCase "a file shorter than its checkpoint says is refused" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "metrics.jsonl")
                  File.WriteAllText(path, "{}\n")

                  failureOf (fun () -> LineWriter.Continue(path, 100L))
                  |> says [ path; "3 bytes"; "100"; "older checkpoint" ]))

          testCase "a last line that was cut off is left out, a broken one in between is not" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "metrics.jsonl")
                  File.WriteAllText(path, "{\"a\":1}\n{\"a\":2")
                  Expect.equal (Metrics.read path) [ Map [ "a", Count 1L ] ] "lines"
                  File.WriteAllText(path, "{\"a\":1\n{\"a\":2}\n")
                  failureOf (fun () -> Metrics.read path) |> says [ path; "not JSON" ])) ]
