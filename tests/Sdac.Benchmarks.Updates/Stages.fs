namespace Sdac.Benchmarks

open System.Collections.Generic
open System.Diagnostics
open Sdac.Functional

/// The stages of a registered algorithm's iterations, whatever its types.
[<RequireQualifiedAccess>]
module Stages =
    /// The fewest iterations of a window: both kinds of an update whose policy moves every second time.
    [<Literal>]
    let private FewestIterations = 8

    [<Literal>]
    let private FewestWindows = 5

    let private median (values: float list) = (List.sort values)[values.Length / 2]

    let private ofAlgorithm (seconds: float) (algorithm: Algorithm<'c, 's, 'w>) : (string * float) list =
        let spent = Dictionary<string, float>()

        let watch (name: string) (stage: Stage<'s, 'w>) (step: Step<'s, 'w>) =
            let began = Stopwatch.GetTimestamp()
            let next = stage step
            spent[name] <- spent.GetValueOrDefault(name, 0.0) + Stopwatch.GetElapsedTime(began).TotalMilliseconds
            next

        let first = Round.start (Experiment.on algorithm "HalfCheetah-v4") |> Round.warm
        let stages = Round.standardTrail first.Agent
        let mutable step = { first with Around = watch }
        // whole rounds
        let updates = first.Agent.Rhythm.Updates
        let iterations = updates * ((FewestIterations - 1) / updates + 1)

        // milliseconds per iteration of a window, by stage, and of all that lies between them
        let window () =
            spent.Clear()
            let clock = Stopwatch.StartNew()

            for _ in 1..iterations do
                step <- Round.consume Pipeline.standard step

            let all = clock.Elapsed.TotalMilliseconds
            let named = stages |> List.map (fun name -> name, spent.GetValueOrDefault(name, 0.0))
            let rest = all - List.sumBy snd named

            named @ [ "between the stages", rest; "an iteration", all ]
            |> List.map (fun (name, ms) -> name, ms / float iterations)

        try
            window () |> ignore
            let clock = Stopwatch.StartNew()

            let windows =
                [ while clock.Elapsed.TotalSeconds < seconds do
                      window ()
                  for _ in 1..FewestWindows do
                      window () ]

            windows
            |> List.concat
            |> List.groupBy fst
            |> List.map (fun (name, times) -> name, times |> List.map snd |> median)
        finally
            Round.dispose step

    /// Milliseconds per iteration of HalfCheetah-v4 at the published settings, medians over windows of whole rounds, by stage.
    let measure (seconds: float) (algorithm: IAlgorithm) : (string * float) list =
        algorithm.Open
            { new IOpen<(string * float) list> with
                member _.Open algorithm = ofAlgorithm seconds algorithm }
