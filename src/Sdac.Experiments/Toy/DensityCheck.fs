namespace Sdac.Experiments

open System
open Argu
open Sdac.Functional
open Sdac.Sampling

/// The sampler's properties on densities of one's own: a script ends with
/// `DensityCheck.run fsi.CommandLineArgs [ density, states ]`, and `./build.sh check SCRIPT` runs it.
[<RequireQualifiedAccess>]
module DensityCheck =
    /// The arguments of such a script.
    [<RequireQualifiedAccess>]
    type CheckArguments =
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | CheckArguments.Seed _ -> "the seed of all random points, default 0"

    /// What is said of one density: its properties, each with the largest deviation over what is allowed.
    let lines (target: Target) (kind: NoisyStates) (results: PropertyResult list) : string list =
        let verdict (result: PropertyResult) =
            match result.Worst with
            | None -> "not checked"
            | Some _ when result.Holds -> "holds"
            | Some _ -> "FAILS"

        let figure (result: PropertyResult) =
            match result.Worst with
            | None -> ""
            | Some worst when Double.IsInfinity worst -> "  ∞"
            | Some worst -> $"%5.2f{worst}"

        [ $"{target.Name}, %d{target.Dim} dimensions, half-width {string target.HalfWidth}, states {string kind}"
          for result in results do
              $"  %-15s{result.Name} %-11s{verdict result} %5s{figure result}  {result.Statement}"

              if result.Worst.IsNone || not result.Holds then
                  $"  %-15s{String.Empty} {result.Place}" ]

    /// Checks each density with its p̃_t and prints what was found; 0 where all that could be checked holds, else 1.
    /// commandLine: the script's, its name first.
    let run (commandLine: string[]) (densities: (Target * NoisyStates) list) : int =
        let name = IO.Path.GetFileName commandLine[0] |> string

        Script.runWith $"./build.sh check {commandLine[0]} --help" name (fun () ->
            let parser = ArgumentParser.Create<CheckArguments>(programName = name)
            let results = parser.ParseCommandLine commandLine[1..]
            let seed = results.GetResult(CheckArguments.Seed, 0L)
            Machine.useThreads Compute.cpu Environment.ProcessorCount

            if densities.IsEmpty then
                Errors.fail (Usage "there is no density to check: give DensityCheck.run at least one")

            let failed =
                [ for i, (target, kind) in Seq.indexed densities do
                      let found = DensityProperties.all target kind (Key.foldIn (int64 i) (Key.ofSeed seed))

                      for line in lines target kind found do
                          printfn "%s" line

                      yield! found |> List.filter (fun result -> not result.Holds) ]

            printfn "the figure is the largest deviation over what is allowed: up to 1 it holds"
            if failed.IsEmpty then 0 else 1)
