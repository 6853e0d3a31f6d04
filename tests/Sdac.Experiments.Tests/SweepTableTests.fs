module Sdac.Experiments.Tests.SweepTableTests

open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

let private run name state =
    { Name = name
      State = state
      Iteration = 1_500L
      Total = 20_000L
      EnvSteps = 3_000L
      Return = 12.3456
      Speed = 512.3
      Tries = 1 }

[<Tests>]
let tests =
    testList
        "sweep tables"
        [ testCase "a row shows state, iteration, environment steps, return, speed and tries" (fun () ->
              Expect.equal
                  (SweepTable.row (run "a" Running))
                  [ "a"; "running"; "1,500/20,000"; "3,000"; "12.35"; "512"; "1" ]
                  "row"

              Expect.equal
                  (SweepTable.row { run "a" Waiting with Return = nan; Speed = nan })
                  [ "a"; "waiting"; "1,500/20,000"; "3,000"; "-"; "-"; "1" ]
                  "row")

          testCase "the counts name every state that occurs" (fun () ->
              let runs =
                  [ run "a" Finished; run "b" Running; run "c" (Failed "x"); run "d" (Failed "y"); run "e" Held ]

              Expect.equal
                  (SweepTable.counts runs)
                  "1 of 5 finished, 2 failed, 1 running, 1 running elsewhere"
                  "counts")

          testCase "without a terminal there is one line per event" (fun () ->
              if Progress.interactive () then
                  skiptest "standard output is a terminal"

              let (), text =
                  captureOutput (fun () ->
                      SweepTable.watch (fun show ->
                          show "" [ run "a" Waiting; { run "b" Running with Tries = 0 } ]
                          show "" [ run "a" Waiting; run "b" Running ]
                          show "asking again" [ run "a" Waiting; { run "b" Running with Iteration = 1_600L } ]
                          show "asking again" [ run "a" Running; { run "b" Running with Tries = 2 } ]
                          show "" [ run "a" (Failed "worker: bad"); run "b" Finished ]))

              Expect.equal
                  (List.ofArray (text.TrimEnd().Split '\n'))
                  [ "b: running"
                    "asking again"
                    "a: running"
                    "b: running (try 2)"
                    "a: failed: worker: bad"
                    "b: finished, 3,000 env steps, return 12.35" ]
                  "trim end")

          testCase "a narrow terminal drops figures from the right, so that names stay on a line" (fun () ->
              // a row of them all: name, running, 1,500/20,000, 3,000 under env steps, 12.35, 512 under steps/s, 1 under tries
              let runs = [ run (System.String('n', 40)) Running; run "b" Waiting ]
              let columns width = let struct (count, _) = SweepTable.fitting width runs in count
              let whole = 40 + 7 + 12 + 9 + 6 + 7 + 5 + 3 * 7 + 1
              Expect.equal (columns whole) 7 "all"
              Expect.equal (columns (whole - 1)) 6 "without tries"
              Expect.equal (columns (whole - 8)) 6 "without tries"
              Expect.equal (columns (whole - 9)) 5 "without steps/s"
              Expect.equal (columns 81, columns 80) (4, 3) "at 81 and 80"
              Expect.equal (columns 20) 3 "state and iteration stay"
              Expect.equal (SweepTable.fitting 80 runs) (struct (3, 1)) "one line a run"
              // beside state, iteration and borders 31 characters are left
              Expect.equal (SweepTable.fitting 60 runs) (struct (3, 2)) "two lines a run")

          testCase "the table of all runs is not wrapped where there is no terminal" (fun () ->
              if Progress.interactive () then
                  skiptest "standard output is a terminal"

              let name = System.String('n', 120)
              let (), text = captureOutput (fun () -> SweepTable.print "caption" [ run name Finished ])
              let line = text.Split '\n' |> Array.find _.Contains(name)
              Expect.stringContains line "finished" "line"
              Expect.stringContains line "1,500/20,000" "line") ]
