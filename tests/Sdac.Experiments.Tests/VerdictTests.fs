/// What a report says of its runs: which differences can be told, with how many digits, and of what.
module Sdac.Experiments.Tests.VerdictTests

open System
open System.Globalization
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.ReportSupport
open Sdac.Testing

/// Finished runs on a task: a final score for each seed from 0.
let private add (root: string) (task: string) (particles: int) (finals: float list) =
    for seed, score in List.indexed finals do
        folderOf (Path.Combine(root, $"{task}-{particles}-{seed}")) (spec task (int64 seed) particles) [ score ] true

let private pairOf (root: string) (x: float list) (y: float list) =
    add root "Hopper-v4" 4 x
    add root "Hopper-v4" 8 y
    let groups = groupsOf root
    groups, Expect.single (Comparison.improvements groups) "pairs"

let private numbersIn (text: string) =
    [ for found in Regex.Matches(text.Replace(",", ""), @"-?\d+(\.\d+)?") ->
          Double.Parse(found.Value, CultureInfo.InvariantCulture) ]

[<Tests>]
let tests =
    testList
        "report verdicts"
        [ testCase "digits follow the interval" (fun () ->
              let shown value low high = Cell.showEstimate { Value = value; Low = low; High = high }
              Expect.equal (shown 3456.78 3210.1 3702.9) "3,460 [3,210, 3,700]" "tens"

              Expect.equal
                  (shown 12345.6 12345.1 12346.3)
                  "12,345.60 [12,345.10, 12,346.30]"
                  "hundredths of a large one"

              Expect.equal (shown 0.5612 0.3099 0.7901) "0.56 [0.31, 0.79]" "a probability"
              Expect.equal (shown -0.001 -0.9 0.9) "0.00 [-0.90, 0.90]" "no minus before nothing"
              Expect.equal (shown 3456.78 nan nan) "3,457" "no interval"
              Expect.equal (shown 1.0 1.0 1.0) "1 [1, 1]" "an interval of no width")

          testPropertyWithConfig
              seeded
              "no shown figure is off by more than a twentieth of half the interval"
              (fun (a: float) (b: float) (c: float) ->
                  let values =
                      [ a; b; c ] |> List.map (fun x -> if Double.IsFinite x then Math.Clamp(x, -1e9, 1e9) else 0.0)

                  match List.sort values with
                  | [ low; value; high ] when high - low > 1e-6 ->
                      let found = Cell.showEstimate { Value = value; Low = low; High = high } |> numbersIn
                      let most = 0.05 * (high - low) / 2.0 + 1e-9

                      found.Length = 3
                      && List.forall2 (fun shown real -> abs (shown - real) <= most) found [ value; low; high ]
                  | _ -> true)

          testCase "too few runs can tell nothing, however far they lie apart" (fun () ->
              inFolder (fun root ->
                  // separated by chance in 2 of C(6, 3) = 20 orders
                  let groups, pair = pairOf root [ 1.0; 2.0; 3.0 ] [ 100.0; 200.0; 300.0 ]
                  Expect.equal pair.Finding Finding.TooFew "finding"
                  Expect.isEmpty (ReportSummary.can groups) "what can be told"
                  Expect.stringContains (ReportSummary.cannot groups).Head "too few runs to compare" "what cannot"))

          testCase "a difference beyond the interval is told first, with the better one in bold" (fun () ->
              inFolder (fun root ->
                  let groups, pair = pairOf root [ 1.0; 2.0; 3.0; 4.0 ] [ 11.0; 13.0; 12.0; 15.0 ]
                  Expect.equal pair.Finding Finding.Worse "finding"
                  let line = Expect.single (ReportSummary.can groups) "lines"

                  Expect.equal
                      line
                      "Hopper-v4: SDAC particles=8 is better than SDAC particles=4: P = 1 [1, 1], 4 and 4 runs; 10.25 [9.50, 11.00] more over 4 equal seeds."
                      "the line"

                  let strong = [ for cell in (ReportTables.overview groups).Rows.Head -> cell.Strong ]
                  Expect.equal strong [ false; false; true ] "bold"))

          testCase "the highest is not bold where the interval holds one half" (fun () ->
              inFolder (fun root ->
                  let groups, pair = pairOf root [ 1.0; 5.0; 3.0; 9.0; 4.0 ] [ 2.0; 6.0; 4.0; 8.0; 5.0 ]
                  Expect.equal pair.Finding Finding.NoDifference "finding"
                  Expect.isEmpty (ReportSummary.can groups) "what can be told"

                  Expect.isMatch
                      (ReportSummary.cannot groups).Head
                      @"^Hopper-v4: no difference between SDAC particles=8 and SDAC particles=4: P = 0\.\d\d \[0\.\d\d, 0\.\d\d\]"
                      "the line"

                  Expect.isFalse ((ReportTables.overview groups).Rows.Head |> List.exists _.Strong) "bold"))

          testCase "differences go over the seeds that both have" (fun () ->
              inFolder (fun root ->
                  let _, pair = pairOf root [ 1.0; 5.0; 9.0; 100.0 ] [ 0.0; 3.0; 6.0 ]
                  Expect.equal pair.EqualSeeds 3 "seeds"
                  // 1, 2, 3
                  Expect.equal (pair.Difference |> Option.map _.Value) (Some 2.0) "difference"
                  Expect.equal (pair.Reversed.Difference |> Option.map _.Value) (Some -2.0) "from the other side"))

          testCase "normalised scores do not move when a run joins" (fun () ->
              inFolder (fun root ->
                  add root "Ant-v4" 4 [ 1000.0 ]
                  add root "Hopper-v4" 4 [ 500.0 ]
                  let scores () = Comparison.shared (groupsOf root) |> snd |> List.head |> snd |> Array.map Array.head
                  let before = scores ()
                  folderOf (Path.Combine(root, "joins")) (spec "Ant-v4" 9L 4) [ 9000.0 ] true
                  Expect.equal (scores ()) before "scores of the first seed"

                  Expect.equal
                      (before[0])
                      ((1000.0 - (ReferenceScores.tryFind "Ant-v4").Value.Random)
                       / (5850.0 - (ReferenceScores.tryFind "Ant-v4").Value.Random))
                      "Ant's"))

          testCase "a task without stored scores is not in the normalised ones, and is named" (fun () ->
              inFolder (fun root ->
                  for task in [ "Ant-v4"; "Hopper-v4"; "PushT" ] do
                      add root task 4 [ 1.0 ]

                  let groups = groupsOf root
                  Expect.equal (Comparison.shared groups |> fst) [ "Ant-v4"; "Hopper-v4" ] "tasks"
                  Expect.exists (ReportSummary.cannot groups) _.EndsWith("over several tasks: PushT.") "named"))

          testCase "a failed run of a sweep counts in the share of failed runs, a stopped one does not" (fun () ->
              inFolder (fun root ->
                  let sweep: SweepFolder = { Path = Path.Combine(root, "sweep") }

                  for seed in 0..3 do
                      folderOf (sweep.Run $"run{seed}").Path (spec "Hopper-v4" (int64 seed) 4) [ 1.0 ] (seed < 2)

                  Files.createFolder (Path.Combine(sweep.Path, "logs"))
                  Files.writeText sweep.Sweep "{}"
                  Files.writeText (sweep.Exit "run2") "7\n"

                  Files.writeText
                      (sweep.Log "run2")
                      "--- try at noon\ntrain: the critic loss is NaN\nAborted (core dumped)\n"

                  let groups = groupsOf sweep.Runs
                  let group = Expect.single groups "groups"

                  Expect.equal
                      [ for run in group.Runs -> run.State ]
                      [ "finished"; "finished"; "failed"; "stopped" ]
                      "states"

                  Expect.stringContains (defaultArg group.Runs[2].Failure "") "the critic loss is NaN" "why"
                  Expect.equal (ReportTables.failedShare group) "1 of 3 (33 %)" "share"

                  Expect.exists
                      (ReportSummary.cannot groups)
                      _.Contains("1 of 3 (33 %) runs of SDAC failed")
                      "the line"

                  let size = ReportSummary.size groups

                  Expect.equal
                      size[1]
                      "2 runs unfinished (1 failed, 1 stopped): in the learning curves, not in the scores."
                      "size"))

          testCase "the last tenth is a mean over its evaluations, and the clock lies between its lines" (fun () ->
              inFolder (fun root ->
                  let path = Path.Combine(root, "a")
                  folderOf path (spec "Hopper-v4" 0L 4) [ for i in 1..40 -> float i ] true
                  let folder: RunFolder = { Path = path }

                  using (LineWriter.Create folder.Timings) (fun timings ->
                      for iteration, seconds in [ 100L, 50.0; 300L, 250.0 ] do
                          timings.Write [ "iteration", Count iteration; "seconds", Value seconds ])

                  let run = readable path
                  // 20, 40, ..., 800 environment steps: those beyond 720 are 37 to 40
                  Expect.equal run.Window 38.5 "the last tenth"
                  // iterations 10, 100, 200, 300 and 400
                  Expect.equal
                      [ for i in [ 0; 9; 19; 29; 39 ] -> run.EvaluatedAfter[i] ]
                      [ 5.0; 50.0; 150.0; 250.0; 250.0 ]
                      "seconds"

                  let picture = ReportPlots.overTime [ "SDAC" ] (groupsOf root)
                  Expect.equal picture.Panels.Head.Head.X.Title "Wall-clock time (minutes)" "axis"))

          testCase "groups stand in the order of their numbers" (fun () ->
              inFolder (fun root ->
                  for rate in [ 0.01; 0.0003; 0.001; 0.00025; 0.1 ] do
                      let spec = configured (fun c -> { c with Adam.LearningRate = rate }) (spec "Hopper-v4" 0L 4)
                      folderOf (Path.Combine(root, string rate)) spec [ 1.0 ] true

                  Expect.equal
                      [ for g in groupsOf root -> g.Name ]
                      [ for rate in [ "0.00025"; "0.0003"; "0.001"; "0.01"; "0.1" ] -> $"SDAC learningRate={rate}" ]
                      "learning rates"))

          testCase
              "groups are named by what differs within their own algorithm; a long name is a number with a key"
              (fun () ->
                  inFolder (fun root ->
                      let add name spec = folderOf (Path.Combine(root, name)) spec [ 1.0 ] true
                      add "a" (spec "Hopper-v4" 0L 4)
                      add "b" (spec "Hopper-v4" 0L 16)
                      add "c" (asDpmd (spec "Hopper-v4" 0L 32))

                      Expect.equal
                          [ for g in groupsOf root -> g.Name ]
                          [ "DPMD"; "SDAC particles=4"; "SDAC particles=16" ]
                          "names, 4 before 16"

                      let hidden = List.replicate 30 64
                      add "d" (configured (fun c -> { c with Hidden = hidden }) (spec "Hopper-v4" 0L 4))
                      let groups = groupsOf root

                      Expect.equal
                          [ for g in groups -> g.Name ]
                          [ "DPMD"; "SDAC"; "SDAC #1"; "SDAC particles=16" ]
                          "a number for the long one; what most have in common is in no name"

                      let differs = [ for row in (ReportTables.key groups).Rows -> row[2].Shown ]

                      Expect.exists
                          differs
                          (fun text -> text.Contains "hidden=[64,64" && text.Contains "particles=4")
                          "the key tells all of it")) ]
