module Sdac.Experiments.Tests.ErrorsTests

open System
open Expecto
open FsCheck
open Sdac.Experiments
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Experiments.Tests.Support
open Sdac.Testing

[<Tests>]
let tests =
    testList
        "errors"
        [ testCase "the nearest valid name is the one with the fewest edits" (fun () ->
              Expect.equal (Errors.nearest "gama" [ "tau"; "gamma"; "lambda" ]) (Some "gamma") "nearest"

              Expect.equal
                  (Errors.nearest "batch_size" [ "bufferSize"; "batchSize"; "stages" ])
                  (Some "batchSize")
                  "nearest"

              Expect.equal (Errors.nearest "x" []) None "nearest")

          testPropertyWithConfig seeded "a valid name is nearest to itself" (fun (names: NonEmptyString list) ->
              let names = names |> List.map _.Get |> List.distinctBy _.ToLowerInvariant()
              names |> List.forall (fun name -> Errors.nearest name names = Some name))

          testCase "a failure becomes one sentence and its own exit code, without stack trace" (fun () ->
              let code, text =
                  captureError (fun () ->
                      Script.run "train" (fun () -> Errors.fail (Storage "no room in x: free some")))

              Expect.equal code 4 "code"
              Expect.equal text "train: no room in x: free some\n" "what is printed")

          testCase "a missing native library is named with its mend, even inside a type initialiser" (fun () ->
              let missing =
                  TypeInitializationException(
                      "Native",
                      Sdac.LibTorch.MissingLibraryException "libtorch is missing:\n run `./build.sh setup`"
                  )

              let code, text = captureError (fun () -> Script.run "train" (fun () -> raise missing))
              Expect.equal code 8 "code"
              Expect.stringStarts text "train: libtorch is missing: run `./build.sh setup`" "what is printed"
              Expect.equal (text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length) 1 "number of split")

          testCase "any other exception is one line and exit code 1" (fun () ->
              let code, text = captureError (fun () -> Script.run "train" (fun () -> invalidOp "first\nsecond"))
              Expect.equal code 1 "code"
              Expect.equal text "train: first second\n" "what is printed")

          testCase "exit codes tell the failures apart" (fun () ->
              let failures =
                  [ Usage ""
                    Settings ""
                    Storage ""
                    Damaged ""
                    Input ""
                    Diverged ""
                    Missing ""
                    Locked ""
                    Unfinished "" ]

              let codes = failures |> List.map _.ExitCode
              Expect.equal codes (List.distinct codes) "codes"
              Expect.isFalse (List.contains 0 codes) "success is no failure's code")

          testCase "what environments and arguments refuse keeps its sentence and gets its own exit code" (fun () ->
              let ends error = captureError (fun () -> Script.run "train" (fun () -> raise error))

              Expect.equal
                  (ends (SimulationException("Hopper-v4", 2, 7, "NaN")))
                  (7, "train: Hopper-v4, environment 2, step 7 of its episode: NaN\n")
                  "ends"

              Expect.equal (ends (MujocoException "MuJoCo is missing")) (8, "train: MuJoCo is missing\n") "ends"
              Expect.equal (ends (ArgumentException("no such task", "name"))) (3, "train: no such task\n") "ends") ]
