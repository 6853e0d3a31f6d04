/// The Control Suite's tolerance functions against their table.
module Sdac.Mujoco.Tests.ToleranceTests

open Expecto
open FsCheck.FSharp
open Sdac.Mujoco
open Sdac.Mujoco.Tests.Properties
open Sdac.Testing

let private all =
    [ Falloff.Gaussian
      Falloff.Linear
      Falloff.Quadratic
      Falloff.Cosine
      Falloff.Reciprocal
      Falloff.LongTail
      Falloff.Hyperbolic
      Falloff.TanhSquared ]

/// The falloffs that take the value 0 at the margin.
let private reachZero = [ Falloff.Linear; Falloff.Quadratic; Falloff.Cosine ]

let private cases =
    gen {
        let! falloff = Gen.elements all
        let! low = Gen.choose (-500, 500)
        let! width = Gen.choose (0, 500)
        let! margin = Gen.choose (1, 500)
        let! at = Gen.choose (1, 99)
        let! d = Gen.choose (0, 400)
        return falloff, float low / 100.0, float width / 100.0, float margin / 100.0, float at / 100.0, float d / 100.0
    }

[<Tests>]
let tests =
    testList
        "tolerance"
        [ testForAll
              "1 inside, the given value at the margin, the same on both sides, never rising"
              400
              cases
              (fun (falloff, low, width, margin, at, d) ->
                  let high = low + width
                  let value x = Tolerance.Of(x, low, high, margin, falloff, at)
                  Expect.equal (value low, value high, value (low + 0.5 * width)) (1.0, 1.0, 1.0) "inside"
                  Expect.floatClose (within 1e-9) (value (high + margin)) at "at the margin above"
                  Expect.floatClose (within 1e-9) (value (low - margin)) at "at the margin below"
                  Expect.floatClose (within 1e-9) (value (low - d * margin)) (value (high + d * margin)) "both sides"
                  Expect.isTrue (value (high + (d + 0.01) * margin) <= value (high + d * margin) + 1e-12) "falls"
                  Expect.inRange (value (high + d * margin)) (0.0, 1.0) "a share")

          testCase "values half a margin away" (fun () ->
              // by the table, at 0.1 (0.5 where another value is needed to be different)
              for falloff, expected in
                  [ Falloff.Gaussian, 0.5623413251903491 // 0.1^(1/4)
                    Falloff.Linear, 0.55
                    Falloff.Quadratic, 0.775
                    Falloff.Cosine, (1.0 + cos (0.5 * acos (-0.8))) / 2.0
                    Falloff.Reciprocal, 1.0 / 5.5
                    Falloff.LongTail, 1.0 / 3.25
                    Falloff.Hyperbolic, 1.0 / cosh (0.5 * log (10.0 + sqrt 99.0))
                    Falloff.TanhSquared, 1.0 - tanh (0.25 * log ((1.0 + sqrt 0.9) / (1.0 - sqrt 0.9))) ** 2.0 ] do
                  Expect.floatClose
                      (within 1e-12)
                      (Tolerance.Of(1.5, 0.0, 1.0, 1.0, falloff, 0.1))
                      expected
                      $"{falloff}")

          testCase "those that can, reach 0 and stay there" (fun () ->
              for falloff in reachZero do
                  Expect.equal (Tolerance.Of(2.0, 0.0, 1.0, 1.0, falloff, 0.0)) 0.0 $"{falloff} at the margin"
                  Expect.equal (Tolerance.Of(9.0, 0.0, 1.0, 1.0, falloff, 0.0)) 0.0 $"{falloff} beyond"
                  Expect.equal (Tolerance.Of(9.0, 0.0, 1.0, 1.0, falloff, 0.5)) 0.0 $"{falloff} far beyond")

          testCase "without a margin it is all or nothing" (fun () ->
              Expect.equal (Tolerance.Of(1.0, 0.0, 1.0)) 1.0 "inside"
              Expect.equal (Tolerance.Of(1.0 + 1e-9, 0.0, 1.0)) 0.0 "outside")

          testForAll
              "small controls are mean max(0, 1 - u²)"
              100
              (Gen.listOfLength 5 (Gen.choose (-150, 150)))
              (fun us ->
                  let us = us |> List.map (fun u -> float u / 100.0) |> List.toArray
                  let expected = us |> Array.averageBy (fun u -> max 0.0 (1.0 - u * u))
                  Expect.floatClose (within 1e-14) (Tolerance.SmallControls(System.ReadOnlySpan us)) expected "mean") ]
