module Sdac.Experiments.Tests.ErrorsTests

open System
open FsCheck
open Sdac.Experiments
open Sdac.Mujoco
open Sdac.Experiments.Tests.Support
open Xunit

[<Fact>]
let ``the nearest valid name is the one with the fewest edits`` () =
    Assert.Equal(Some "gamma", Errors.nearest "gama" [ "tau"; "gamma"; "lambda" ])
    Assert.Equal(Some "batchSize", Errors.nearest "batch_size" [ "bufferSize"; "batchSize"; "stages" ])
    Assert.Equal(None, Errors.nearest "x" [])

[<Fact>]
let ``a valid name is nearest to itself`` () =
    check (fun (names: NonEmptyString list) ->
        let names = names |> List.map _.Get |> List.distinctBy _.ToLowerInvariant()
        names |> List.forall (fun name -> Errors.nearest name names = Some name))

[<Fact>]
let ``a failure becomes one sentence and its own exit code, without stack trace`` () =
    let code, text =
        captureError (fun () -> Main.run "train" (fun () -> Errors.fail (Storage "no room in x: free some")))

    Assert.Equal(4, code)
    Assert.Equal("train: no room in x: free some\n", text)

[<Fact>]
let ``a missing native library is named with its mend, even inside a type initialiser`` () =
    let missing =
        TypeInitializationException(
            "Native",
            DllNotFoundException "libtorch is missing: run `./build.sh setup`\nsecond line"
        )

    let code, text = captureError (fun () -> Main.run "train" (fun () -> raise missing))
    Assert.Equal(8, code)
    Assert.StartsWith("train: libtorch is missing: run `./build.sh setup`", text)
    Assert.Equal(1, text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length)

[<Fact>]
let ``any other exception is one line and exit code 1`` () =
    let code, text = captureError (fun () -> Main.run "train" (fun () -> invalidOp "first\nsecond"))
    Assert.Equal(1, code)
    Assert.Equal("train: first second\n", text)

[<Fact>]
let ``exit codes tell the failures apart`` () =
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
    Assert.Equal<int list>(List.distinct codes, codes)
    Assert.DoesNotContain(0, codes)

[<Fact>]
let ``what environments and arguments refuse keeps its sentence and gets its own exit code`` () =
    let ends error = captureError (fun () -> Main.run "train" (fun () -> raise error))

    Assert.Equal(
        (7, "train: Hopper-v4, environment 2, step 7 of its episode: NaN\n"),
        ends (SimulationException("Hopper-v4", 2, 7, "NaN"))
    )

    Assert.Equal((8, "train: MuJoCo is missing\n"), ends (MujocoException "MuJoCo is missing"))
    Assert.Equal((3, "train: no such task\n"), ends (ArgumentException("no such task", "name")))
