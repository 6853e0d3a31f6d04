module Sdac.Experiments.Tests.DensityCheckTests

open Expecto
open Sdac.Functional
open Sdac.Sampling
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

let private hill (centre: float) = Target.create "hill" 1 1.0 (fun x -> num -8.0 * (x - num centre).square().sum(1L))

let private said (arguments: string list) densities =
    let (code, output), errors =
        captureError (fun () ->
            captureOutput (fun () -> DensityCheck.run (List.toArray ("scripts/mine.fsx" :: arguments)) densities))

    code, output, errors

[<Tests>]
let tests =
    testList
        "check of a density"
        [ testCase "properties are printed a line each, and the exit code says whether all hold" (fun () ->
              let code, text, errors = said [] [ hill 0.0, NoisedUniform 1.0 ]
              Expect.equal (code, errors) (0, "") "all hold"

              for words in [ "hill, 1 dimensions"; "score identity  holds"; "reach           holds" ] do
                  Expect.stringContains text words "lines"

              let wrong = { hill 0.0 with Gradient = (hill 0.3).Gradient }
              let code, text, errors = said [] [ hill 0.0, NoisedUniform 1.0; wrong, NoisedUniform 1.0 ]
              Expect.equal (code, errors) (1, "") "one fails"
              Expect.stringContains text "gradient        FAILS" "the property"
              Expect.stringContains text "coordinate 0:" "the place")

          testCase "the same seed gives the same lines, another one others" (fun () ->
              let lines seed =
                  let _, text, _ = said [ "--seed"; seed ] [ hill 0.0, NoisedUniform 1.0 ]
                  text

              Expect.equal (lines "4") (lines "4") "4"
              Expect.notEqual (lines "5") (lines "4") "5")

          testCase "a wrong argument and an empty list are one sentence each" (fun () ->
              let code, _, errors = said [ "--seeds" ] [ hill 0.0, NoisedUniform 1.0 ]
              Expect.equal code (Usage "").ExitCode "argument"
              Expect.stringContains errors "mine.fsx: unrecognized argument: '--seeds'" "argument"
              let code, _, errors = said [] []
              Expect.equal code (Usage "").ExitCode "no density"
              Expect.stringContains errors "there is no density to check" "no density") ]
