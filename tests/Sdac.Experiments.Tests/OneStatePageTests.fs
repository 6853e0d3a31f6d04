module Sdac.Experiments.Tests.OneStatePageTests

open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Sampling
open Sdac.Experiments.Tests.Support

/// A method that costs nothing: its actions are all of one value; how often it has been asked.
let private still (asked: int ref) : OneStateMethod =
    { Name = "stands still"
      Aim = "nothing"
      SamplesTarget = false
      PolicyRows = 0, 0
      Run =
        fun _ _ n _ ->
            asked.Value <- asked.Value + 1
            Array.create n 0.25f }

[<Tests>]
let tests =
    testList
        "the page of one state"
        [ testCase "what a folder holds is not computed again; other settings and damaged files are" (fun () ->
              inFolder (fun folder ->
                  let asked = ref 0

                  let cells updates seed = OneStatePage.cells folder updates seed [ OneState.pair ] [ still asked ]

                  let first = cells 2 0L
                  Expect.equal asked.Value 2 "exact and fitted"
                  Expect.equal (cells 2 0L) first "the same cells"
                  Expect.equal asked.Value 2 "kept"
                  cells 3 0L |> ignore
                  Expect.equal asked.Value 4 "other updates"
                  cells 3 1L |> ignore
                  Expect.equal asked.Value 6 "another seed"
                  let path = OneStatePage.cellPath folder OneState.pair true (still asked)
                  File.WriteAllText(path, (File.ReadAllText path).Replace("0.25", "0.75") + " ")
                  cells 3 1L |> ignore
                  Expect.equal asked.Value 7 "the damaged one")) ]
