#load "Processes.fsx" "Faults.fsx" "Places.fsx" "FSharpSyntax.fsx" "FSharpPlaces.fsx" "CSharpPlaces.fsx" "Copy.fsx" "Plan.fsx" "Trials.fsx" "Generator.fsx"
// Plants the faults of this folder in a copy of the working tree and runs the tests that are to notice them:
// `./build.sh mutants --help`, README.md here.
open System
open System.Diagnostics
open System.IO
open Faults
open Plan
open Trials

type Arguments = { Seed: int; Share: float; Jobs: int; List: bool; Words: string list }

let (|Whole|_|) (text: string) =
    match Int32.TryParse text with
    | true, n -> Some n
    | _ -> None

let (|Part|_|) (text: string) =
    match Double.TryParse(text, Globalization.CultureInfo.InvariantCulture) with
    | true, s when s > 0.0 && s <= 1.0 -> Some s
    | _ -> None

// build.sh shows it too: F# Interactive takes seconds to start.
let usage = File.ReadAllText(Path.Combine(__SOURCE_DIRECTORY__, "usage.txt")).TrimEnd()

let rec parse (a: Arguments) (arguments: string list) : Arguments =
    let wrong (flag: string) (wants: string) =
        eprintfn $"mutants: {flag} wants {wants}; ./build.sh mutants --help"
        exit 2

    match arguments with
    | [] -> a
    | ("--help" | "-h") :: _ ->
        printfn $"{usage}"
        exit 0
    | "--seed" :: rest ->
        match rest with
        | Whole n :: rest -> parse { a with Seed = n } rest
        | _ -> wrong "--seed" "a whole number"
    | "--jobs" :: rest ->
        match rest with
        | Whole n :: rest when n > 0 -> parse { a with Jobs = n } rest
        | _ -> wrong "--jobs" "a whole number from 1"
    | "--share" :: rest ->
        match rest with
        | Part s :: rest -> parse { a with Share = s } rest
        | _ -> wrong "--share" "a number above 0, at most 1"
    | "--list" :: rest -> parse { a with List = true } rest
    | flag :: _ when flag.StartsWith '-' ->
        eprintfn $"mutants: there is no option {flag}; ./build.sh mutants --help"
        exit 2
    | word :: rest -> parse { a with Words = a.Words @ [ word ] } rest

let arguments =
    parse
        { Seed = 1; Share = 1.0; Jobs = Environment.ProcessorCount; List = false; Words = [] }
        (fsi.CommandLineArgs[1..] |> List.ofArray |> List.filter ((<>) "--"))

let say (text: string) = eprintfn $"{text}"

/// Every fault's own random number, by the seed, decides whether it is in a share of them all.
let share (a: Arguments) (faults: Fault list) : Fault list =
    let number (f: Fault) =
        let hash = Security.Cryptography.SHA256.HashData(Text.Encoding.UTF8.GetBytes $"{a.Seed} {f.Name}")
        float (BitConverter.ToUInt32(hash, 0)) / 4294967296.0

    let count = max 1 (int (ceil (a.Share * float faults.Length)))
    let kept = faults |> List.sortBy number |> List.truncate count |> List.map _.Name |> Set
    faults |> List.filter (fun f -> kept.Contains f.Name)

let files = Copy.files ()
let here (name: string) = Path.Combine(__SOURCE_DIRECTORY__, name)

let stale, written =
    Directory.GetFiles(__SOURCE_DIRECTORY__, "*.mutant")
    |> Array.sort
    |> List.ofArray
    |> List.map (read files Copy.source)
    |> List.partition _.IsError

for complaint in stale do
    match complaint with
    | Error why -> say why
    | Ok _ -> ()

/// More than are wanted, since not every change compiles.
let generated =
    files
    |> List.filter (fun f -> f.StartsWith "src/" && f.EndsWith ".fs")
    |> Generator.faults arguments.Seed 96 (areas (here "areas.txt")) Copy.source

let argued = equivalent (here "equivalent.txt")
let isArgued (f: Fault) = argued.Contains(if f.Generated then f.Title else f.Name)

/// Generated faults of which an earlier run has found that they do not compile.
let noCode = Path.Combine(Copy.folder, "no-code.txt")
let known = if File.Exists noCode then Set(File.ReadAllLines noCode) else Set.empty

/// All faults get their switches, also where few are run: what is compiled stays as it is from run to run.
let all =
    (written |> List.choose Result.toOption) @ generated
    |> List.indexed
    |> List.filter (fun (_, f) -> not (f.Generated && known.Contains f.Title))

let chosen =
    all
    |> List.map snd
    |> List.filter (fun f -> arguments.Words |> List.forall f.Name.Contains)
    |> share arguments

if chosen.IsEmpty then
    eprintfn "mutants: no fault has all of these words in its name"
    exit 2

if arguments.List then
    for f in chosen do
        printfn $"{f.Name}: {f.Title}"

    exit 0

let clock = Stopwatch.StartNew()

/// Builds what has the tests, until every fault that stands in the way has its next way or none.
let rec built (attempt: int) (planned: Planned list) : Planned list =
    write planned
    let projects = chosen |> List.collect _.Tests |> List.map _.Project |> List.distinct

    match Copy.buildAll [ for p in projects -> $"tests/{p}" ] with
    | Ok() -> planned
    | Error complaints when attempt = 12 -> failwith $"the copy still does not build: {complaints}"
    | Error complaints -> built (attempt + 1) (after complaints planned)

say $"{chosen.Length} faults; the copy is written to {Copy.folder}"
let plan = make all
Copy.bring (plan |> List.map _.Fault.File |> Set)
say $"building it ({clock.Elapsed.TotalSeconds:F0} s so far)"

/// A generated fault that does not compile is none.
let noFaults, compiled = built 1 plan |> List.partition (fun p -> p.Fault.Generated && p.Ways.IsEmpty)
File.AppendAllLines(noCode, noFaults |> List.map _.Fault.Title)
let names = chosen |> List.map _.Name |> Set
let planned = compiled |> List.filter (fun p -> names.Contains p.Fault.Name)
say $"running the tests without a fault ({clock.Elapsed.TotalSeconds:F0} s so far)"
let usual = planned |> List.collect _.Fault.Tests |> List.distinct |> baseline arguments.Jobs

let shown (p: Planned) (outcome: Outcome) =
    let result =
        match outcome with
        | Noticed -> "noticed"
        | Survived when isArgued p.Fault -> "argued equivalent"
        | Survived -> "SURVIVED"
        | Broken why -> $"NO RESULT: {why}"

    lock clock (fun () -> printfn $"{p.Fault.Name}: {result}  ({p.Fault.Title})")
    p, outcome

say $"switching the faults on ({clock.Elapsed.TotalSeconds:F0} s so far)"
let switched, single = planned |> List.partition (fun p -> not p.Ways.IsEmpty)

let results =
    (switched |> atOnce arguments.Jobs (fun p -> shown p (trial usual p.Number p.Fault.Tests)))
    @ (single |> List.map (fun p -> shown p (alone usual p)))

let equivalents = results |> List.filter (fun (p, outcome) -> outcome = Survived && isArgued p.Fault)
let noticed = results |> List.filter (fun (_, outcome) -> outcome = Noticed)

let missed =
    results
    |> List.filter (fun (p, outcome) -> outcome <> Noticed && not (outcome = Survived && isArgued p.Fault))

if not (missed.IsEmpty && stale.IsEmpty) then
    printfn "\nnot noticed:"

for p, _ in missed do
    printfn $"  {p.Fault.Name}  {p.Fault.File}:{Fault.lineNumber (Copy.source p.Fault.File) p.Fault}  ({p.Fault.Title})"

printfn
    $"\n{noticed.Length} of {results.Length} faults noticed ({single.Length} built alone), {equivalents.Length} argued equivalent, {missed.Length} not noticed, {stale.Length} out of date ({clock.Elapsed.TotalMinutes:F0} min)"

exit (if missed.IsEmpty && stale.IsEmpty then 0 else 1)
