/// Recorded numbers packed for a page, and unpacked again here and by the page's own code.
module Sdac.Experiments.Tests.PackingTests

open System
open System.IO
open System.IO.Compression
open Expecto
open FsCheck.FSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// As player/unpack.js.
let unpack (track: Track) : float[] =
    use source = new MemoryStream(Convert.FromBase64String track.Data)
    use zlib = new ZLibStream(source, CompressionMode.Decompress)
    use target = new MemoryStream()
    zlib.CopyTo target
    let planes, count = target.ToArray(), track.Rows * track.Columns
    let values = Array.zeroCreate<float> count

    for column in 0 .. track.Columns - 1 do
        let mutable whole = 0

        for row in 0 .. track.Rows - 1 do
            let byteOf plane = uint32 planes[plane * count + column * track.Rows + row] <<< (8 * plane)
            let word = List.sumBy byteOf [ 0..3 ]
            whole <- whole + (int (word >>> 1) ^^^ -(int (word &&& 1u)))
            values[row * track.Columns + column] <- float whole * track.Units[column % track.Units.Length]

    values

let private numbers (count: int) : FsCheck.Gen<float[]> =
    let number =
        Gen.oneof
            [ Gen.choose (-100000, 100000) |> Gen.map (fun i -> float i / 997.0)
              Gen.elements [ 0.0; -1.0; 1e-9; 54321.0; -54321.0 ] ]

    Gen.arrayOfLength count number

/// Columns, units of one or of all of them, and numbers.
let private tracks =
    gen {
        let! columns = Gen.choose (1, 7)
        let! rows = Gen.choose (1, 9)
        let! values = numbers (rows * columns)
        let! units = Gen.elements [ [| 1e-4 |]; Array.init columns (fun i -> 1e-3 * float (i + 1)) ]
        return struct (columns, units, values)
    }

/// What player/unpack.js makes of a track, in Node.
let private unpackedByNode (track: Track) : float[] =
    let source = Path.Combine(repository, "src", "Sdac.Experiments", "Watching", "player", "unpack.js")

    inFolder (fun folder ->
        // a copy that Node takes for a module, whatever folder it lies in
        File.Copy(source, Path.Combine(folder, "unpack.mjs"))
        let script = Path.Combine(folder, "main.mjs")

        File.WriteAllText(
            script,
            "import { unpack } from './unpack.mjs';\n"
            + $"const track = {Json.compact track};\n"
            + "const { values } = await unpack(track);\nconsole.log(JSON.stringify(Array.from(values)));\n"
        )

        match Commands.tryRun "node" [ script ] with
        | None -> skiptest "node is missing"
        | Some(Error complaint) -> failtest complaint
        | Some(Ok text) -> Text.Json.JsonSerializer.Deserialize<float[]> text |> nonNull)

[<Tests>]
let tests =
    testList
        "packed recordings"
        [ testForAllWith
              seeded
              "what is packed comes back to half a unit"
              tracks
              (fun struct (columns, units, values) ->
                  let track = Packing.pack units columns values
                  Expect.equal (track.Rows, track.Columns) (values.Length / columns, columns) "size"

                  for i, back in Array.indexed (unpack track) do
                      let unit = units[i % columns % units.Length]
                      Expect.floatClose (within (0.5000001 * unit)) back values[i] $"number {i}")

          testCase "numbers that are no 32 bits of their unit get a larger one" (fun () ->
              let values = [| 1e12; 1.0; -1e12; 2.0 |]
              let track = Packing.pack [| 1e-4 |] 2 values
              let back = unpack track
              Expect.floatClose (within 1000.0) back[0] 1e12 "large"
              Expect.floatClose (within 1000.0) back[2] -1e12 "large and negative"
              Expect.floatClose (within 1e-4) back[3] 2.0 "its neighbour is as fine as before")

          testCase "a column's unit is a part of its greatest number" (fun () ->
              Expect.equal (Packing.unitsOf 100.0 2 [| 5.0; 0.0; -50.0; 0.0 |]) [| 0.5; 1.0 |] "units")

          testCase "a body that stands still costs next to nothing" (fun () ->
              let moving = Array.init 7000 (fun i -> if i % 7 = 0 then sin (float i / 70.0) else 0.25)
              Expect.isLessThan (Packing.pack [| 1e-4 |] 7 moving).Data.Length 3000 "bytes of 1,000 frames")

          testCase "the page's own code unpacks the same numbers" (fun () ->
              let values = Array.init 60 (fun i -> 100.0 * sin (float (i * i)) - 30.0 * float (i % 3))
              let track = Packing.pack [| 1e-4; 1e-3; 1.0 |] 3 values

              for expected, actual in Array.zip (unpack track) (unpackedByNode track) do
                  Expect.floatClose (within 1e-4) actual expected "number") ]
