module Sdac.Kernels.Tests.PhiloxTests

open System
open System.Collections.Generic
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

let private key = PhiloxKey(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u)

let private block (c: uint32 list) (k: uint32 list) =
    let mutable r0, r1, r2, r3 = 0u, 0u, 0u, 0u
    Philox.Block(c[0], c[1], c[2], c[3], k[0], k[1], &r0, &r1, &r2, &r3)
    [ r0; r1; r2; r3 ]

let private fill (draw: PhiloxKey -> int64 -> 'a[] -> unit) key offset count =
    let values = Array.zeroCreate count
    draw key offset values
    values

let private uniforms =
    fill (fun key offset (dest: float32[]) -> Philox.Uniform(key, offset, dest.AsSpan()))

let private normals =
    fill (fun key offset (dest: float32[]) -> Philox.Normal(key, offset, dest.AsSpan()))

let private uniforms64 =
    fill (fun key offset (dest: float[]) -> Philox.Uniform(key, offset, dest.AsSpan()))

let private normals64 =
    fill (fun key offset (dest: float[]) -> Philox.Normal(key, offset, dest.AsSpan()))

let private integers bound = fill (fun key offset (dest: int[]) -> Philox.Integers(key, offset, bound, dest.AsSpan()))

/// The largest distance between a sample's distribution and the wanted one, times √n (Kolmogorov-Smirnov).
let private distance (cdf: float -> float) (sample: float[]) =
    let sorted = Array.sort sample
    let n = float sorted.Length

    sorted
    |> Seq.mapi (fun i x -> max (abs (cdf x - float i / n)) (abs (float (i + 1) / n - cdf x)))
    |> Seq.max
    |> (*) (sqrt n)

/// Φ by its series and continued fraction is not needed here: a midpoint sum from 0 is exact to 1e-7.
let private normalCdf =
    let step = 1e-3
    let density x = exp (-0.5 * x * x) / sqrt (2.0 * Math.PI)
    let table = Array.scan (fun sum i -> sum + step * density ((float i + 0.5) * step)) 0.5 [| 0..7999 |]

    fun x ->
        let at = min (abs x) 7.99 / step
        let i = int at
        let upper = table[i] + (at - float i) * (table[i + 1] - table[i])
        if x < 0.0 then 1.0 - upper else upper

[<Tests>]
let tests =
    testList
        "random streams"
        [ testCase "ten rounds give the vectors published with Random123" (fun () ->
              let ones = UInt32.MaxValue

              Expect.equal
                  (block [ 0u; 0u; 0u; 0u ] [ 0u; 0u ])
                  [ 0x6627e8d5u; 0xe169c58du; 0xbc57ac4cu; 0x9b00dbd8u ]
                  "block"

              Expect.equal
                  (block [ ones; ones; ones; ones ] [ ones; ones ])
                  [ 0x408f276du; 0x41c83b0eu; 0xa20bc7c6u; 0x6d5451fdu ]
                  "block"

              Expect.equal
                  (block [ 0x243f6a88u; 0x85a308d3u; 0x13198a2eu; 0x03707344u ] [ 0xa4093822u; 0x299f31d0u ])
                  [ 0xd16cfe09u; 0x94fdccebu; 0x5001e420u; 0x24126ea1u ]
                  "block")

          testCase "a float stream takes its words from the blocks as documented" (fun () ->
              let offset = 3_000_000_000_000L
              let values = uniforms key offset 300

              for i in 0 .. values.Length - 1 do
                  let element = offset + int64 i
                  let index = 16L * (element / 64L) + element % 16L
                  let word = int (element % 64L / 16L)
                  let words = block [ uint32 index; uint32 (index >>> 32); key.S0; key.S1 ] [ key.K0; key.K1 ]
                  Expect.equal (values[i]) (float32 (words[word] >>> 8) / float32 (1 <<< 24)) "number of the stream")

          testCase "double and integer streams take their words from the blocks as documented" (fun () ->
              let offset, count = 3_000_000_000_001L, 50
              let uniform, normal = uniforms64 key offset count, normals64 key offset count
              let integer = integers 1_000_003 key offset count

              let unit53 (low: uint32, high: uint32) =
                  float (((uint64 high <<< 32) ||| uint64 low) >>> 11) / float (1L <<< 53)

              for i in 0 .. count - 1 do
                  let element = offset + int64 i
                  let index = element / 2L
                  let w = block [ uint32 index; uint32 (index >>> 32); key.S0; key.S1 ] [ key.K0; key.K1 ]
                  let first, second = (w[0], w[1]), (w[2], w[3])
                  let own = if element % 2L = 0L then first else second
                  Expect.equal (uniform[i]) (unit53 own) "uniform"
                  let low, high = own

                  Expect.equal
                      (integer[i])
                      (int ((bigint high * 4294967296I + bigint low) * 1_000_003I >>> 64))
                      "integer"

                  let radius = sqrt (-2.0 * log (unit53 first + 1.0 / float (1L <<< 53)))
                  let wave = if element % 2L = 0L then cos else sin
                  Expect.floatClose (within 5e-13) (normal[i]) (radius * wave (2.0 * Math.PI * unit53 second)) "normal")

          testCase "float normals are Box-Muller transforms of the paired words" (fun () ->
              let raw = uniforms key 0L 6400
              let got = normals key 0L 6400

              for group in 0..64..6399 do
                  for pair in [ 0; 32 ] do
                      for j in 0..15 do
                          let even, odd = group + pair + j, group + pair + 16 + j
                          let u = float raw[even] + 1.0 / float (1 <<< 24)
                          let radius = sqrt (-2.0 * log u)
                          let angle = 2.0 * Math.PI * float raw[odd]
                          Expect.isTrue (abs (float got[even] - radius * cos angle) < 3e-6) $"cosine of element {even}"
                          Expect.isTrue (abs (float got[odd] - radius * sin angle) < 3e-6) $"sine of element {odd}")

          let whole, whole64 = uniforms key 1000L 2000, uniforms64 key 1000L 2000
          let wholeNormals, wholeNormals64 = normals key 1000L 2000, normals64 key 1000L 2000
          let wholeIntegers = integers 1000 key 1000L 2000

          testForAll
              "any part of a stream equals that part of the whole"
              100
              (Gen.zip (Gen.choose (0, 1999)) (Gen.choose (0, 1999)))
              (fun (a, b) ->
                  let start, count = min a b, abs (a - b)
                  let offset = 1000L + int64 start
                  Expect.equal (uniforms key offset count) (Array.sub whole start count) "uniforms"
                  Expect.equal (normals key offset count) (Array.sub wholeNormals start count) "normals"
                  Expect.equal (uniforms64 key offset count) (Array.sub whole64 start count) "uniforms64"
                  Expect.equal (normals64 key offset count) (Array.sub wholeNormals64 start count) "normals64"
                  Expect.equal (integers 1000 key offset count) (Array.sub wholeIntegers start count) "integers")

          testCase "children of a key are distinct, also from children of its children and from data blocks" (fun () ->
              let seen = HashSet<PhiloxKey>()

              for index in 0UL .. 9999UL do
                  Expect.isTrue (seen.Add(Philox.Derive(key, index))) $"child {index} repeats"

              for index in 0UL .. 99UL do
                  let child = Philox.Derive(key, index)

                  for grandchild in 0UL .. 99UL do
                      Expect.isTrue
                          (seen.Add(Philox.Derive(child, grandchild)))
                          $"child {grandchild} of child {index} repeats"

              for index in 0u .. 9999u do
                  let w = block [ index; 0u; key.S0; key.S1 ] [ key.K0; key.K1 ]
                  Expect.isTrue (seen.Add(PhiloxKey(w[0], w[1], w[2], w[3]))) $"data block {index} is a child")

          testCase "streams of sibling keys are uncorrelated" (fun () ->
              let count = 100_000
              let a = normals (Philox.Derive(key, 0UL)) 0L count
              let b = normals (Philox.Derive(key, 1UL)) 0L count
              let correlation = Seq.map2 (fun x y -> float x * float y) a b |> Seq.average
              Expect.inRange (abs correlation) (0.0, 4.0 / sqrt (float count)) "size of correlation")

          testCase "uniforms have the uniform distribution, in singles and doubles" (fun () ->
              for sample in [ uniforms key 77L 200_000 |> Array.map float; uniforms64 key 77L 200_000 ] do
                  for x in sample do
                      Expect.inRange x (0.0, 1.0 - 1e-9) "uniform number"

                  Expect.inRange (distance id sample) (0.0, 1.95) "distance")

          testCase "normals have the normal distribution and its moments, in singles and doubles" (fun () ->
              for sample in [ normals key 77L 200_000 |> Array.map float; normals64 key 77L 200_000 ] do
                  let moment (power: int) = sample |> Array.averageBy (fun x -> Math.Pow(x, float power))
                  let error (variance: float) = 4.0 * sqrt (variance / 200_000.0)
                  Expect.inRange (moment 1) (-error 1.0, error 1.0) "moment"
                  Expect.inRange (moment 2) (1.0 - error 2.0, 1.0 + error 2.0) "moment"
                  Expect.inRange (moment 3) (-error 15.0, error 15.0) "moment"
                  Expect.inRange (moment 4) (3.0 - error 96.0, 3.0 + error 96.0) "moment"
                  Expect.inRange (distance normalCdf sample) (0.0, 1.95) "distance")

          testCase "integers fill their range evenly and stay inside it" (fun () ->
              let bound, count = 7, 70_000
              let counts = integers bound key 5L count |> Array.countBy id |> Map.ofArray
              Expect.equal (counts |> Map.keys |> Seq.sort |> Seq.toList) [ 0..6 ] "counts"
              let expected = float count / float bound
              let chiSquare = counts |> Map.values |> Seq.sumBy (fun n -> (float n - expected) ** 2.0 / expected)
              Expect.inRange chiSquare (0.0, 22.5) "chi square"

              for x in integers 1 key 0L 100 do
                  Expect.equal x 0 "integer below 1"

              for x in integers Int32.MaxValue key 0L 1000 do
                  Expect.inRange x (0, Int32.MaxValue - 1) "integer") ]
