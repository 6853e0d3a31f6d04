/// Training in a session.
module Sdac.Experiments.Tests.InteractiveTests

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions
open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

let private bits (step: Step) = TrainState.tensors step.State |> List.map Tensors.toArray |> Array.concat

[<Fact>]
let ``a session goes on from any step, and parts make the whole`` () =
    let start = Interactive.start (Runs.varied 100L).Experiment

    try
        let before = bits start
        let first, points = Interactive.run 7 Pipeline.sdac start
        let second, more = Interactive.run 8 Pipeline.sdac first
        // the start once more, in one go; nothing of it was used up
        Assert.Equal<float32[]>(before, bits start)
        let whole, all = Interactive.run 15 Pipeline.sdac start
        Assert.Equal<float32[]>(bits whole, bits second)
        Assert.Equal<Point list>(all, points @ more)
        Assert.Equal<int64 list>([ 1L .. 15L ], all |> List.map _.Iteration)
        // and from the middle once more
        let again, _ = Interactive.run 8 Pipeline.sdac first
        Assert.Equal<float32[]>(bits second, bits again)

        for chart in [ Interactive.returns all; Interactive.curve "critic loss" _.Q1Loss all ] do
            match chart.Json with
            | null -> failwith "no chart"
            | json -> Assert.Contains("layer", json.ToJsonString())

        for step in [ first; second; whole; again ] do
            TrainState.tensorsNotIn start.State step.State |> List.iter _.Dispose()
    finally
        Pipeline.dispose start

/// The README's session, cut out of its section.
let private session =
    let readme = File.ReadAllText(Path.Combine(repository, "README.md"))
    (Regex.Match(readme, "## In an interactive session.*?```fsharp\n(.*?)```", RegexOptions.Singleline)).Groups[1].Value

[<Fact>]
let ``the README's session runs as it stands there`` () =
    Assert.Contains("#load \"scripts/sdac.fsx\"", session)

    let info = ProcessStartInfo("dotnet", [ "fsi"; "--nologo"; "--quiet" ], WorkingDirectory = repository)

    info.RedirectStandardInput <- true
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true

    for desktop in [ "DISPLAY"; "WAYLAND_DISPLAY" ] do
        info.Environment.Remove desktop |> ignore

    match Process.Start info |> Option.ofObj with
    | None -> failwith "dotnet did not start"
    | Some fsi ->
        use fsi = fsi
        let errors = fsi.StandardError.ReadToEndAsync()
        fsi.StandardInput.Write(session + "\n#quit;;\n")
        fsi.StandardInput.Close()
        let output = fsi.StandardOutput.ReadToEnd()
        fsi.WaitForExit()
        Assert.DoesNotMatch("error|exception", errors.Result.ToLowerInvariant())
        Assert.Equal(2, Regex.Matches(output, "picture").Count)
        Assert.Contains("after 200 iterations", output)
        Assert.Equal(0, fsi.ExitCode)
