module Sdac.Experiments.Tests.ToyTests

open System
open System.IO
open System.Threading
open System.Xml.Linq
open Expecto
open FsCheck
open Sdac.Functional
open Sdac.Sampling
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private exact = ToyMethods.named "exact"

/// A cell that cost nothing.
let private cellOf (target: string) (method: string) (seed: int64) : ToyCell =
    { Target = target
      Method = method
      Seed = seed
      Settings = ToyCell.settings (ToyMethods.named method) (ToyMethods.target target)
      Measures =
        { Kl = 0.01 * float (seed + 1L)
          KlError = 0.001
          Wasserstein2 = 1.0
          EnergyDistance = -0.0
          ModeWeightError = nan
          ModesFound = nan
          Seconds = 2.0
          PeakMiB = 3.0 }
      ScoreErrors =
        [ for t in 0..3 ->
              { Timestep = t; NoiseLevel = 0.1 * float (t + 1); Error = 0.01 * float (t + 1) * float (seed + 1L) } ]
      Points = Array.init 80 byte }

let private wishes seeds = ToyRun.wishes [ Targets.gaussian; Targets.pair ] [ exact ] seeds

let private worker folder = SweepSupport.worker @ [ "--worker"; "--out"; folder ]

let private supervise folder wishes = ToyRun.supervise folder (worker folder) 2 wishes CancellationToken.None ignore

[<Tests>]
let tests =
    testList
        "toy page"
        [ testCase "a misspelt target or method is refused with the nearest name" (fun () ->
              failureOf (fun () -> ToyMethods.target "pear")
              |> says [ "unknown target 'pear'"; "did you mean 'pair'?" ]

              failureOf (fun () -> ToyMethods.named "rsm")
              |> says [ "unknown method 'rsm'"; "did you mean 'rssm'?" ])

          testCase "every method has a name of its own and possible settings for every target" (fun () ->
              let names = ToyMethods.all |> List.map _.Name
              Expect.equal names (List.distinct names) "names"

              for target in Targets.all do
                  Expect.isEmpty (SamplerConfig.problems (ToySettings.rssm target)) "problems"
                  Expect.isEmpty (SamplerConfig.problems (ToySettings.dsm target)) "problems"
                  Expect.isEmpty (IdemConfig.problems (ToySettings.idem target)) "problems"
                  Expect.isEmpty (FabConfig.problems (ToySettings.fab target)) "problems"
                  Expect.isEmpty (DiklConfig.problems (ToySettings.dikl target)) "problems"
                  Expect.notEqual target.About "" $"what {target.Name} is"

                  for method in ToyMethods.all do
                      Expect.notEqual (method.Settings target) "" "settings"
                      Expect.notEqual method.About "" $"what {method.Name} is")

          testCase "a kept cell reads back as it was" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "cell.json")
                  let cell = cellOf "pair" "exact" 3L
                  ToyCell.save path cell
                  let back = (ToyCell.tryLoad path Targets.pair exact 3L).Value
                  Expect.equal (Json.print back) (Json.print cell) "cell read back"
                  Expect.equal (ToyCell.points back) (ToyCell.points cell) "points"))

          testPropertyWithConfig
              seeded
              "a cell is not taken where any byte is damaged or the end is missing"
              (fun (PositiveInt place) (PositiveInt change) cut ->
                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "cell.json")
                      ToyCell.save path (cellOf "pair" "exact" 3L)
                      let whole = File.ReadAllBytes path
                      let place = place * 7919 % whole.Length

                      let damaged =
                          if cut then
                              whole[.. place - 1]
                          else
                              Array.mapi (fun i b -> if i = place then b ^^^ byte (1 + change % 127) else b) whole

                      File.WriteAllBytes(path, damaged)
                      (ToyCell.tryLoad path Targets.pair exact 3L).IsNone))

          testCase "a cell of another seed, target, method or of other settings is not taken" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "cell.json")
                  let cell = cellOf "pair" "exact" 3L
                  let taken target method seed = (ToyCell.tryLoad path target method seed).IsSome
                  ToyCell.save path cell
                  Expect.isTrue (taken Targets.pair exact 3L) "taken"
                  Expect.isFalse (taken Targets.pair exact 4L) "taken"
                  Expect.isFalse (taken Targets.moons exact 3L) "taken"
                  Expect.isFalse (taken Targets.pair (ToyMethods.named "langevin") 3L) "taken"
                  ToyCell.save path { cell with Settings = "version 0" }
                  Expect.isFalse (taken Targets.pair exact 3L) "taken"))

          testCase "processes compute what is missing or damaged and nothing else" (fun () ->
              inFolder (fun folder ->
                  let wishes = wishes [ 0L; 1L ]
                  let paths = wishes |> List.map _.Path(folder)
                  Files.createFolder (Files.folderOf paths[0])
                  ToyCell.save paths[1] (cellOf "gaussian" "exact" 1L)
                  File.WriteAllText(paths[2], "half of a ce")
                  let untouched = File.ReadAllText paths[1]
                  Expect.isEmpty (supervise folder wishes) "complaints"
                  Expect.equal ((ToyRun.kept folder wishes).Length) 4 "number of kept"
                  Expect.equal (File.ReadAllText paths[1]) untouched "content of paths"
                  // another run finds nothing to do: no worker that could fail is started
                  Expect.isEmpty
                      (ToyRun.supervise folder [ "false" ] 2 wishes CancellationToken.None ignore)
                      "complaints"

                  // a process of its own gives what this one gives, but for time and memory
                  let again = (ToyCell.compute Targets.pair [ exact ] 1L).Head
                  let kept = (ToyRun.kept folder wishes)[3]
                  Expect.equal (ToyCell.points kept) (ToyCell.points again) "points"

                  Expect.equal
                      (kept.Measures.Kl, kept.Measures.Wasserstein2)
                      (again.Measures.Kl, again.Measures.Wasserstein2)
                      "kl and wasserstein2"))

          testCase "methods of one family share a training per seed, and each keeps its own samples" (fun () ->
              inFolder (fun folder ->
                  let trained = ResizeArray()

                  let draws (names: string list) (target: Target) n key =
                      trained.Add((names, key))
                      let samples = Tensors.toArray (target.Sample.Value n key)

                      [ for name in names ->
                            { Samples = (if name = "near" then samples else Array.map (fun x -> -x) samples)
                              Seconds = 3.0
                              ScoreErrors = [] } ]

                  let method name = { exact with Name = name; Family = "near"; Draws = draws }
                  let wishes = ToyRun.wishes [ Targets.pair ] [ method "near"; method "mirrored" ] [ 0L; 1L ]
                  Files.createFolder (Path.Combine(folder, "cells"))
                  ToyRun.work folder wishes

                  Expect.equal
                      (List.ofSeq trained)
                      [ [ "near"; "mirrored" ], Key.ofSeed 0L; [ "near"; "mirrored" ], Key.ofSeed 1L ]
                      "trained"

                  let kl = ToyRun.kept folder wishes |> List.map (fun cell -> cell.Method, cell.Measures.Kl < 0.1)

                  Expect.equal kl [ "near", true; "near", true; "mirrored", false; "mirrored", false ] "kl"

                  // one of the two is missing: it alone is drawn
                  File.Delete(wishes[1].Path folder)
                  ToyRun.work folder wishes
                  Expect.equal (trained[2]) ([ "near" ], Key.ofSeed 1L) "trained"))

          testCase "a stopped run ends its processes and goes on where it was" (fun () ->
              inFolder (fun folder ->
                  let wishes = wishes [ 0L .. 2L ]
                  use source = new CancellationTokenSource()

                  let show (finished, _) =
                      if finished >= 1 then
                          source.Cancel()

                  let _ = ToyRun.supervise folder (worker folder) 1 wishes source.Token show
                  Expect.isEmpty (SweepSupport.processesWith folder) "processes with"
                  let first = ToyRun.kept folder wishes
                  Expect.inRange first.Length (1, wishes.Length - 1) "number of first"
                  Expect.isEmpty (supervise folder wishes) "complaints"
                  let all = ToyRun.kept folder wishes
                  Expect.equal all.Length wishes.Length "number of all"

                  for cell in first do
                      Expect.exists all (fun other -> Json.print other = Json.print cell) "all"))

          testCase "a process that fails is named with its last words, and the others go on" (fun () ->
              inFolder (fun folder ->
                  let wishes = wishes [ 0L ]

                  let moody = """case "$*" in *"--target pair"*) echo "no luck."; exit 3;; esac; exec "$@" """

                  let failures =
                      ToyRun.supervise
                          folder
                          ([ "bash"; "-c"; moody; "bash" ] @ worker folder)
                          2
                          wishes
                          CancellationToken.None
                          ignore

                  Expect.equal failures [ "pair-exact (no luck)" ] "failures"
                  Expect.equal (ToyRun.kept folder wishes |> List.map _.Target) [ "gaussian" ] "target of kept"))

          testPropertyWithConfig
              seeded
              "an interval holds its mean, and a single value has none"
              (fun (NonEmptyArray(values: NormalFloat[])) ->
                  let values = values |> Array.map _.Get
                  let cell = ToyTable.interval values
                  let mean = Array.average values

                  abs (float cell.Raw - mean) <= 1e-9 * (1.0 + abs mean)
                  && cell.Shown.Contains '[' = (values.Length > 1))

          testCase
              "an interval is shown with its ends, a single value without, and what is unknown as a dash"
              (fun () ->
                  Expect.equal ((ToyTable.interval [| 1.0; 3.0 |]).Shown) "2 [1, 3]" "shown"
                  Expect.equal ((ToyTable.interval [| 0.25 |]).Shown) "0.25" "shown"
                  Expect.equal ((ToyTable.interval [| nan; 1.0 |]).Shown) "–" "shown")

          testCase
              "tables have a row per method with the seeds averaged, the worst score error, and no column without meaning"
              (fun () ->
                  let cells =
                      [ for method in [ "exact"; "rssm" ] -> [ cellOf "pair" method 0L; cellOf "pair" method 1L ] ]
                      |> List.concat

                  let table = ToyTable.target "pair" cells
                  let column name = table.Columns |> List.findIndex ((=) name)
                  Expect.equal (table.Rows |> List.map (fun row -> row[0].Raw)) [ "exact"; "rssm" ] "rows"
                  let row = table.Rows[1]
                  Expect.floatClose (within 5e-10) (float row[column "KL"].Raw) 0.015 "mean KL"
                  Expect.floatClose (within 5e-10) (float row[column "worst score error"].Raw) 0.06 "worst score error"
                  Expect.isFalse (List.contains "modes found" table.Columns) "columns"
                  Expect.equal ((ToyTable.cells cells).Rows.Length) 4 "number of rows"

                  Expect.equal
                      (ToyScores.curve cells |> List.map (fun (_, e) -> Math.Round(e, 9)))
                      [ 0.015; 0.03; 0.045; 0.06 ]
                      "curve")

          testCase "the page has a panel per target and method, its tables and files" (fun () ->
              inFolder (fun folder ->
                  let names = [ "gaussian", "exact"; "gaussian", "rssm"; "pair", "exact" ]

                  let cells =
                      [ for target, method in names do
                            for seed in 0L .. 1L -> cellOf target method seed ]

                  ToyPage.write folder Targets.all ToyMethods.all cells
                  let read name = File.ReadAllText(Path.Combine(folder, name))
                  let svg = XDocument.Parse(read "toy.svg")

                  let texts =
                      svg.Descendants()
                      |> Seq.filter (fun e -> e.Name.LocalName = "text")
                      |> Seq.map _.Value
                      |> List.ofSeq

                  Expect.equal texts [ for target, method in names -> $"{target}: {method}" ] "texts"
                  Expect.isTrue (File.Exists(Path.Combine(folder, "toy.png"))) "PNG"
                  Expect.stringContains (read "toy-scores.svg") "<svg " "scores"
                  let html = read "toy.html"

                  for part in
                      [ "<caption>gaussian</caption>"
                        "<caption>pair</caption>"
                        "<img alt='Error of the learned score by noise level: pair' src='data:image/svg+xml;base64,"
                        "<img alt='gaussian: samples of rssm over the density' src='data:image/svg+xml;base64,"
                        "<figcaption>exact</figcaption>"
                        "<dt>orange dots</dt>"
                        "<dt>rssm</dt>"
                        "Two modes, of which the upper right one holds 80 % of the samples. Across: first coordinate"
                        "0.015 [0.01,&#160;0.02]" ] do
                      Expect.stringContains html part "html"

                  Expect.stringLacks html "<caption>moons</caption>" "html"
                  Expect.stringLacks html "<dt>idem</dt>" "a method that is not there"
                  Expect.equal ((read "toy.csv").TrimEnd().Split('\n').Length) (1 + cells.Length) "number of read"
                  Expect.stringContains (read "toy.md") "## pair" "read"))

          testCase "models that are one have one line, under all their names, and broader lines lie below" (fun () ->
              let cells =
                  [ for method, seed in [ "rssm", 0L; "rssm-flow", 0L; "dsm", 1L ] -> cellOf "pair" method seed ]

              match ToyScores.pictures cells with
              | [ "pair", picture ] ->
                  let lines =
                      [ for layer in picture.Panels.Head.Head.Layers do
                            match layer.Mark with
                            | Mark.Line(stroke, _) -> layer.Name, stroke.Width
                            | _ -> () ]

                  Expect.equal (List.map fst lines) [ "rssm, rssm-flow"; "dsm" ] "names"
                  Expect.isGreaterThan (snd lines[0]) (snd lines[1] + 1.0) "widths"
              | pictures -> failtest $"{pictures.Length} pictures")

          testCase
              "a target of many dimensions is measured in all of them and drawn in the plane of its view"
              (fun () ->
                  for target, rows in [ Targets.manyWell, 16; Targets.dw4, 6 ] do
                      let cell = (ToyCell.compute target [ exact ] 0L).Head
                      let points = ToyCell.points cell
                      Expect.equal points.Length 3000 $"{target.Name}: numbers of the picture"
                      Expect.isLessThan (abs cell.Measures.Kl) 0.01 $"{target.Name}: KL of exact samples"
                      Expect.isTrue (Double.IsFinite cell.Measures.Wasserstein2) "Wasserstein-2"
                      Expect.isLessThan (abs cell.Measures.EnergyDistance) 0.05 $"{target.Name}: energy distance"
                      Expect.equal (Double.IsNaN cell.Measures.ModesFound) target.Modes.IsEmpty "modes found"

                      // the picture's points are the first samples', all rows of each
                      let wanted =
                          Tensors.owning (fun _ -> []) (fun () ->
                              let samples = (exact.Draws [ "exact" ] target 40_000 (Key.ofSeed 0L)).Head.Samples
                              let first = Array.sub samples 0 (target.Dim * (1500 / rows))

                              Tensors.toArray (
                                  Target.seen target (Tensors.ofArray Compute.cpu [ 1500 / rows; target.Dim ] first)
                              ))

                      Expect.equal (Array.sub points 0 wanted.Length) wanted "points")

          testCase "impossible numbers of jobs, cells and seeds are refused" (fun () ->
              inFolder (fun folder ->
                  let options =
                      { Targets = [ Targets.pair ]
                        Methods = [ exact ]
                        Seeds = [ 0L ]
                        Folder = folder
                        Jobs = 1
                        Cells = 1 }

                  failureOf (fun () -> Toy.run { options with Jobs = 0 } []) |> says [ "--jobs is 0"; "at least 1" ]
                  failureOf (fun () -> Toy.run { options with Cells = -1 } []) |> says [ "--cells is -1" ]
                  failureOf (fun () -> Toy.run { options with Seeds = [] } []) |> says [ "--seeds is 0" ]))

          testCase "a limit on cells cuts between trainings, and inside one only where it makes more" (fun () ->
              let limited count methods =
                  ToyRun.wishes [ Targets.pair ] (methods |> List.map ToyMethods.named) [ 0L .. 4L ]
                  |> ToyRun.atMost count
                  |> List.map (fun wish -> wish.Method.Name, wish.Seed)
                  |> List.sort

              let all = [ "exact"; "rssm"; "rssm-flow" ]
              let exact = [ for seed in 0L .. 4L -> "exact", seed ]
              Expect.equal (limited 6 all) exact "limited"

              let three =
                  List.sort (
                      exact
                      @ [ for seed in 0L .. 2L do
                              yield! [ "rssm", seed; "rssm-flow", seed ] ]
                  )

              Expect.equal (limited 11 all) three "limited"
              Expect.equal (limited 12 all) three "limited"
              Expect.equal (limited 1 [ "rssm"; "rssm-flow" ]) [ "rssm", 0L ] "limited"
              Expect.equal ((limited Int32.MaxValue all).Length) 15 "number of limited")

          testCase "a run limited in cells says how many are finished and goes on" (fun () ->
              inFolder (fun folder ->
                  let options =
                      { Targets = [ Targets.gaussian; Targets.pair ]
                        Methods = [ exact ]
                        Seeds = [ 0L ]
                        Folder = folder
                        Jobs = 1
                        Cells = 1 }

                  let run () = captureError (fun () -> captureOutput (fun () -> Toy.run options (worker folder)))
                  let (code, _), error = run ()
                  Expect.equal code 0 "code"
                  Expect.stringContains error "1 of 2 cells are finished" "error"
                  let (code, text), error = run ()
                  Expect.equal (code, error) (0, "") "code and error"
                  Expect.stringContains text "## pair" "text")) ]
