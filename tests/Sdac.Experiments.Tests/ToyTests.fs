module Sdac.Experiments.Tests.ToyTests

open System
open System.IO
open System.Threading
open System.Xml.Linq
open FsCheck
open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

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

[<Fact>]
let ``a misspelt target or method is refused with the nearest name`` () =
    failureOf (fun () -> ToyMethods.target "pear")
    |> says [ "unknown target 'pear'"; "did you mean 'pair'?" ]

    failureOf (fun () -> ToyMethods.named "rsm")
    |> says [ "unknown method 'rsm'"; "did you mean 'rssm'?" ]

[<Fact>]
let ``every method has a name of its own and possible settings for every target`` () =
    let names = ToyMethods.all |> List.map _.Name
    Assert.Equal<string list>(List.distinct names, names)

    for target in Targets.all do
        Assert.Empty(SamplerConfig.problems (ToySettings.rssm target))
        Assert.Empty(SamplerConfig.problems (ToySettings.dsm target))
        Assert.Empty(IdemConfig.problems (ToySettings.idem target))
        Assert.Empty(FabConfig.problems (ToySettings.fab target))

        for method in ToyMethods.all do
            Assert.NotEqual<string>("", method.Settings target)

[<Fact>]
let ``a kept cell reads back as it was`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "cell.json")
        let cell = cellOf "pair" "exact" 3L
        ToyCell.save path cell
        let back = (ToyCell.tryLoad path Targets.pair exact 3L).Value
        Assert.Equal(Json.print cell, Json.print back)
        Assert.Equal<float32[]>(ToyCell.points cell, ToyCell.points back))

[<Fact>]
let ``a cell is not taken where any byte is damaged or the end is missing`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "cell.json")
        ToyCell.save path (cellOf "pair" "exact" 3L)
        let whole = File.ReadAllBytes path

        check (fun (PositiveInt place) (PositiveInt change) cut ->
            let place = place * 7919 % whole.Length

            let damaged =
                if cut then
                    whole[.. place - 1]
                else
                    Array.mapi (fun i b -> if i = place then b ^^^ byte (1 + change % 127) else b) whole

            File.WriteAllBytes(path, damaged)
            (ToyCell.tryLoad path Targets.pair exact 3L).IsNone))

[<Fact>]
let ``a cell of another seed, target, method or of other settings is not taken`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "cell.json")
        let cell = cellOf "pair" "exact" 3L
        let taken target method seed = (ToyCell.tryLoad path target method seed).IsSome
        ToyCell.save path cell
        Assert.True(taken Targets.pair exact 3L)
        Assert.False(taken Targets.pair exact 4L)
        Assert.False(taken Targets.moons exact 3L)
        Assert.False(taken Targets.pair (ToyMethods.named "langevin") 3L)
        ToyCell.save path { cell with Settings = "version 0" }
        Assert.False(taken Targets.pair exact 3L))

[<Fact>]
let ``processes compute what is missing or damaged and nothing else`` () =
    inFolder (fun folder ->
        let wishes = wishes [ 0L; 1L ]
        let paths = wishes |> List.map _.Path(folder)
        Files.createFolder (Files.folderOf paths[0])
        ToyCell.save paths[1] (cellOf "gaussian" "exact" 1L)
        File.WriteAllText(paths[2], "half of a ce")
        let untouched = File.ReadAllText paths[1]
        Assert.Empty(supervise folder wishes)
        Assert.Equal(4, (ToyRun.kept folder wishes).Length)
        Assert.Equal(untouched, File.ReadAllText paths[1])
        // another run finds nothing to do: no worker that could fail is started
        Assert.Empty(ToyRun.supervise folder [ "false" ] 2 wishes CancellationToken.None ignore)

        // a process of its own gives what this one gives, but for time and memory
        let again = (ToyCell.compute Targets.pair [ exact ] 1L).Head
        let kept = (ToyRun.kept folder wishes)[3]
        Assert.Equal<float32[]>(ToyCell.points again, ToyCell.points kept)
        Assert.Equal((again.Measures.Kl, again.Measures.Wasserstein2), (kept.Measures.Kl, kept.Measures.Wasserstein2)))

[<Fact>]
let ``methods of one family share a training per seed, and each keeps its own samples`` () =
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
        Assert.Equal([ [ "near"; "mirrored" ], Key.ofSeed 0L; [ "near"; "mirrored" ], Key.ofSeed 1L ], trained)

        let kl = ToyRun.kept folder wishes |> List.map (fun cell -> cell.Method, cell.Measures.Kl < 0.1)

        Assert.Equal<(string * bool) list>([ "near", true; "near", true; "mirrored", false; "mirrored", false ], kl)

        // one of the two is missing: it alone is drawn
        File.Delete(wishes[1].Path folder)
        ToyRun.work folder wishes
        Assert.Equal(([ "near" ], Key.ofSeed 1L), trained[2]))

[<Fact>]
let ``a stopped run ends its processes and goes on where it was`` () =
    inFolder (fun folder ->
        let wishes = wishes [ 0L .. 2L ]
        use source = new CancellationTokenSource()

        let show (finished, _) =
            if finished >= 1 then
                source.Cancel()

        let _ = ToyRun.supervise folder (worker folder) 1 wishes source.Token show
        Assert.Empty(SweepSupport.processesWith folder)
        let first = ToyRun.kept folder wishes
        Assert.InRange(first.Length, 1, wishes.Length - 1)
        Assert.Empty(supervise folder wishes)
        let all = ToyRun.kept folder wishes
        Assert.Equal(wishes.Length, all.Length)

        for cell in first do
            Assert.Contains(all, fun other -> Json.print other = Json.print cell))

[<Fact>]
let ``a process that fails is named with its last words, and the others go on`` () =
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

        Assert.Equal<string list>([ "pair-exact (no luck)" ], failures)
        Assert.Equal<string list>([ "gaussian" ], ToyRun.kept folder wishes |> List.map _.Target))

[<Fact>]
let ``an interval holds its mean, a single value has none, and what is unknown is a dash`` () =
    check (fun (NonEmptyArray(values: NormalFloat[])) ->
        let values = values |> Array.map _.Get
        let cell = ToyTable.interval values
        let mean = Array.average values

        abs (float cell.Raw - mean) <= 1e-9 * (1.0 + abs mean)
        && cell.Shown.Contains '[' = (values.Length > 1))

    Assert.Equal("2 [1, 3]", (ToyTable.interval [| 1.0; 3.0 |]).Shown)
    Assert.Equal("0.25", (ToyTable.interval [| 0.25 |]).Shown)
    Assert.Equal("–", (ToyTable.interval [| nan; 1.0 |]).Shown)

[<Fact>]
let ``tables have a row per method with the seeds averaged, the worst score error, and no column without meaning`` () =
    let cells =
        [ for method in [ "exact"; "rssm" ] -> [ cellOf "pair" method 0L; cellOf "pair" method 1L ] ]
        |> List.concat

    let table = ToyTable.target "pair" cells
    let column name = table.Columns |> List.findIndex ((=) name)
    Assert.Equal<string list>([ "exact"; "rssm" ], table.Rows |> List.map (fun row -> row[0].Raw))
    let row = table.Rows[1]
    Assert.Equal(0.015, float row[column "KL"].Raw, 9)
    Assert.Equal(0.06, float row[column "worst score error"].Raw, 9)
    Assert.DoesNotContain("modes found", table.Columns)
    Assert.Equal(4, (ToyTable.cells cells).Rows.Length)

    Assert.Equal<float list>(
        [ 0.015; 0.03; 0.045; 0.06 ],
        ToyScores.curve cells |> List.map (fun (_, e) -> Math.Round(e, 9))
    )

[<Fact>]
let ``the page has a panel per target and method, its tables and files`` () =
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

        Assert.Equal<string list>([ for target, method in names -> $"{target}: {method}" ], texts)
        let html = read "toy.html"

        for part in
            [ "<caption>gaussian</caption>"
              "<caption>pair</caption>"
              "Error of the learned score"
              "0.015 [0.01, 0.02]" ] do
            Assert.Contains(part, html)

        Assert.DoesNotContain("<caption>moons</caption>", html)
        Assert.Equal(1 + cells.Length, (read "toy.csv").TrimEnd().Split('\n').Length)
        Assert.Contains("## pair", read "toy.md"))

[<Fact>]
let ``impossible numbers of jobs, cells and seeds are refused`` () =
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
        failureOf (fun () -> Toy.run { options with Seeds = [] } []) |> says [ "--seeds is 0" ])

[<Fact>]
let ``a limit on cells cuts between trainings, and inside one only where it makes more`` () =
    let limited count methods =
        ToyRun.wishes [ Targets.pair ] (methods |> List.map ToyMethods.named) [ 0L .. 4L ]
        |> ToyRun.atMost count
        |> List.map (fun wish -> wish.Method.Name, wish.Seed)
        |> List.sort

    let all = [ "exact"; "rssm"; "rssm-flow" ]
    let exact = [ for seed in 0L .. 4L -> "exact", seed ]
    Assert.Equal<(string * int64) list>(exact, limited 6 all)

    let three =
        List.sort (
            exact
            @ [ for seed in 0L .. 2L do
                    yield! [ "rssm", seed; "rssm-flow", seed ] ]
        )

    Assert.Equal<(string * int64) list>(three, limited 11 all)
    Assert.Equal<(string * int64) list>(three, limited 12 all)
    Assert.Equal<(string * int64) list>([ "rssm", 0L ], limited 1 [ "rssm"; "rssm-flow" ])
    Assert.Equal(15, (limited Int32.MaxValue all).Length)

[<Fact>]
let ``a run limited in cells says how many are finished and goes on`` () =
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
        Assert.Equal(0, code)
        Assert.Contains("1 of 2 cells are finished", error)
        let (code, text), error = run ()
        Assert.Equal((0, ""), (code, error))
        Assert.Contains("## pair", text))
