// Samples densities we know by RSSM and its peers:  dotnet fsi --exec scripts/toy.fsx      (-- --help lists the options)
#load "sdac.fsx"

open System
open Argu
open Sdac
open Sdac.Experiments

type Arguments =
    | [<AltCommandLine("-t")>] Target of NAME: string
    | [<AltCommandLine("-m")>] Method of NAME: string
    | [<AltCommandLine("-s")>] Seed of INTEGER: int64
    | Seeds of COUNT: int
    | All
    | Out of FOLDER: string
    | Threads of COUNT: int

    interface IArgParserTemplate with
        member this.Usage =
            match this with
            | Target _ ->
                "a target, may be repeated: " + String.Join(", ", Targets.all |> List.map _.Name) + "; default pair"
            | Method _ -> "a method, may be repeated: " + String.Join(", ", Toy.methods) + "; default all"
            | Seed _ -> "the first seed, default 0"
            | Seeds _ -> "how many seeds, default 1, with --all 5"
            | All -> "all targets and 5 seeds"
            | Out _ -> "folder for toy.html and toy.svg, default runs/toy"
            | Threads _ -> "threads of the arithmetic, default all processors; results do not depend on it"

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "toy.fsx")
    let results = parser.ParseCommandLine fsi.CommandLineArgs[1..]
    Machine.useThreads Compute.cpu (results.GetResult(Threads, Environment.ProcessorCount))
    let all = results.Contains All
    let orDefault given fallback = if List.isEmpty given then fallback else given

    let targets =
        orDefault (results.GetResults Target |> List.map Toy.target) (if all then Targets.all else [ Targets.pair ])

    let methods = orDefault (results.GetResults Method) Toy.methods
    let first, count = results.GetResult(Seed, 0L), results.GetResult(Seeds, (if all then 5 else 1))

    if count < 1 then
        Errors.fail (Settings $"--seeds is {count}; it must be at least 1")

    let cells =
        [ for target in targets do
              for name in methods do
                  for seed in first .. first + int64 count - 1L do
                      let result = Toy.run name seed target
                      let figures = [ for name, value in result.Measures -> $"{name} {Number.display value}" ]
                      printfn "%s, %s, seed %d: %s" target.Name name seed (String.Join(", ", figures))
                      result ]

    let folder = results.GetResult(Out, "runs/toy")
    Toy.page folder cells
    printfn "%s" (System.IO.Path.Combine(folder, "toy.html"))
    0

exit (Main.run "toy.fsx" main)
