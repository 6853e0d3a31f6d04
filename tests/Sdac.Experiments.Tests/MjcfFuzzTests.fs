/// Five hundred MJCF files, most of them malformed, loaded in a process of their own: MuJoCo's compiler may crash, and takes its
/// process along.
module Sdac.Experiments.Tests.MjcfFuzzTests

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Text.RegularExpressions
open System.Threading.Tasks
open Expecto
open Sdac.Mujoco
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.Fuzzing

// ---- the files

let private models =
    [ for name in [ "hopper"; "inverted_pendulum"; "reacher"; "ant"; "pusher" ] do
          File.ReadAllText(Path.Combine(repository, "src", "Sdac.Mujoco", "Models", name + ".xml"))
      File.ReadAllText(Path.Combine(repository, "scripts", "rail.xml")) ]

// No sizes of memory: this machine is shared.
let private values =
    [ ""
      "0"
      "-1"
      "nan"
      "inf"
      "1e308"
      "-1e-308"
      "1e999"
      "0 0 0"
      "1 2 3 4 5 6 7 8 9 10 11 12"
      "x"
      "true"
      "0x10"
      "1,5"
      "2147483648"
      "slide"
      "free"
      "mesh"
      "hfield"
      "torso"
      "../nothing.xml"
      "é"
      "&#0;"
      "&amp;"
      String('a', 3000) ]

let private elements =
    [ "<joint type='free'/>"
      "<joint name='x'/><joint name='x'/>"
      "<geom type='mesh' mesh='nothing'/>"
      "<geom size='0'/>"
      "<geom type='plane' size='1 1 1'/>"
      "<body/>"
      "<site/>"
      "<inertial pos='0 0 0' mass='-1'/>"
      "<include file='nothing.xml'/>"
      "<include file=''/>"
      "<asset><mesh name='m' file='nothing.stl'/></asset>"
      "<asset><hfield name='h' nrow='2' ncol='2' size='1 1 1 1'/></asset>"
      "<asset><texture name='t' type='2d' builtin='checker' width='0' height='0'/></asset>"
      "<default class='a'><default class='a'/></default>"
      "<equality><weld body1='nothing'/></equality>"
      "<tendon><fixed><joint joint='nothing' coef='1'/></fixed></tendon>"
      "<tendon><spatial><site site='nothing'/></spatial></tendon>"
      "<sensor><jointpos joint='nothing'/></sensor>"
      "<keyframe><key qpos='1'/></keyframe>"
      "<custom><numeric name='n' data='1 2' size='1'/></custom>"
      "<worldbody><body><freejoint/><geom size='.1'/><body><freejoint/></body></body></worldbody>"
      "<composite type='rope' count='3 1 1' spacing='.1'><geom size='.1'/></composite>"
      "<actuator><motor/></actuator>"
      "<contact><exclude body1='a' body2='a'/></contact>" ]

let private replaceOne (chance: Chance) (pattern: string) (change: Match -> string) (text: string) =
    match List.ofSeq (Regex.Matches(text, pattern)) with
    | [] -> text
    | found ->
        let at = chance.One found
        text.Remove(at.Index, at.Length).Insert(at.Index, change at)

let private mutate (chance: Chance) (text: string) =
    let attribute = @"\s([a-z]+)=""([^""]*)"""

    match chance.Below 14 with
    | 0
    | 1
    | 2 -> replaceOne chance attribute (fun m -> $" {m.Groups[1].Value}=\"{chance.One values}\"") text
    | 3 -> replaceOne chance attribute (fun _ -> "") text
    | 4 -> replaceOne chance attribute (fun m -> m.Value + m.Value) text
    | 5 -> replaceOne chance attribute (fun m -> $" x{m.Value.TrimStart()}") text
    | 6 -> replaceOne chance @"<(/?)[a-z]+" (fun m -> m.Value + "x") text
    | 7 -> replaceOne chance @"<[^/!][^>]*/>" (fun m -> m.Value + m.Value) text
    | 8 -> replaceOne chance @"<[^>]*>" (fun _ -> "") text
    | 9
    | 10 -> replaceOne chance @">\s*<" (fun _ -> $">{chance.One elements}<") text
    | 11 -> text.Substring(0, chance.Below text.Length)
    | 12 -> replaceOne chance @"-?[0-9.]+" (fun _ -> chance.One values) text
    | _ -> String.replicate (chance.One [ 1; 60; 600 ]) "<body>" + text

let private bytesOf (seed: int) : byte[] =
    let chance = Chance seed
    let mutable text = chance.One models

    for _ in 1 .. chance.One [ 0; 1; 1; 1; 2; 3 ] do
        if text <> "" then
            text <- mutate chance text

    let bytes = Encoding.UTF8.GetBytes text

    match chance.Below 20 with
    | 0 -> [||]
    | 1 -> chance.Bytes(chance.Below 500)
    | 2
    | 3 when bytes.Length > 0 ->
        bytes[chance.Below bytes.Length] <- byte (chance.Below 256)
        bytes
    | _ -> bytes

// ---- the child

/// Loads the files of these seeds and says on standard output how each of them ended.
let load (folder: string) (first: int) (last: int) =
    let say (text: string) =
        Console.Out.WriteLine("@" + text.ReplaceLineEndings " ⏎ ")
        Console.Out.Flush()

    for seed in first..last do
        let path = Path.Combine(folder, $"model-{seed}.xml")
        overwrite path (bytesOf seed)
        say $"{seed} begins"

        if seed = 0 then
            Environment.FailFast "a crash, to see that it is noticed"

        try
            use model = Model.FromFile path
            say $"{seed} loaded {model.Nq + model.Nv}"
        with
        | :? MujocoException as error when error.Message.Contains '\n' || not (error.Message.Contains path) ->
            say $"{seed} fault: the sentence is not one line with the file's name: {error.Message}"
        | :? MujocoException -> say $"{seed} refused"
        | error -> say $"{seed} fault: {error}"

        File.Delete path

// ---- the parent

/// What became of seeds first..last: the lines of a child, and how it ended; None where it was stopped for silence.
let private child (folder: string) (first: int) (last: int) : string list * int option =
    let self = Reflection.Assembly.GetExecutingAssembly().Location

    // a model of absurd size may not take the machine along
    let limited =
        $"ulimit -c 0 -v 8000000; exec dotnet '{self}' --load-models '{folder}' %d{first} %d{last}"

    let info = ProcessStartInfo("bash", [ "-c"; limited ], WorkingDirectory = folder)
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true
    info.Environment["DOTNET_GCHeapHardLimit"] <- "0x20000000"
    // else its report of a crash goes to the log of the test
    info.Environment["DOTNET_DbgEnableMiniDump"] <- "0"

    match Process.Start info with
    | null -> failtest "the child did not start"
    | running ->
        use running = running
        let errors = running.StandardError.ReadToEndAsync()
        let lines = ResizeArray<string>()

        let rec read () =
            let line = running.StandardOutput.ReadLineAsync()

            if not (line.Wait(TimeSpan.FromSeconds 20.0)) then
                running.Kill true
                None
            else
                match line.Result with
                | null ->
                    running.WaitForExit()
                    Some running.ExitCode
                | text ->
                    if text.StartsWith '@' then
                        lines.Add(text.Substring 1)

                    read ()

        let code = read ()
        errors.ContinueWith(fun (_: Task<string>) -> ()) |> ignore
        List.ofSeq lines, code

let private seedOf (line: string) = int (line.Split(' ')[0])

/// The lines of all seeds; a child that ended early is followed by another that begins behind the seed it ended at.
let rec private outcomes (folder: string) (first: int) (last: int) : string list =
    if first > last then
        []
    else
        let lines, code = child folder first last

        match code, List.tryLast lines with
        | Some 0, _ -> lines
        | code, Some line when line.EndsWith("begins", StringComparison.Ordinal) ->
            let how =
                match code with
                | Some code -> $"crashed (exit code {code})"
                | None -> "did not return in 20 seconds"

            lines @ [ $"{seedOf line} MuJoCo {how}" ] @ outcomes folder (seedOf line + 1) last
        | code, _ -> failtest $"the child ended with {code} outside of MuJoCo: %A{lines}"

[<Tests>]
let tests =
    testList
        "fuzzed MJCF"
        [ testCase "a crash of the loading process is noticed, and the files behind it are loaded" (fun () ->
              inFolder (fun folder ->
                  let lines = outcomes folder -1 1
                  Expect.contains lines "0 MuJoCo crashed (exit code 134)" "the crash of file 0"
                  Expect.equal (lines |> List.map seedOf |> List.distinct) [ -1; 0; 1 ] "files"))

          testCase "500 files are loaded or refused in a sentence; a crash is MuJoCo's and is named" (fun () ->
              inFolder (fun folder ->
                  let count = 500
                  let lines = outcomes folder 1 count

                  let having (word: string) =
                      lines |> List.filter (fun line -> line.Contains(word, StringComparison.Ordinal))

                  let crashes = having " MuJoCo "
                  let ended = List.concat [ having " loaded "; having " refused"; having " fault: "; crashes ]

                  for crash in crashes do
                      Console.Error.WriteLine $"fuzzed MJCF, seed {crash} on its malformed file"

                  Expect.equal (having " fault: ") [] "outcomes that are neither a model nor a sentence"
                  Expect.equal (ended |> List.map seedOf |> List.sort) [ 1..count ] "every file has an outcome"
                  Expect.isGreaterThan (having " refused").Length (count / 4) "many files are refused"
                  Expect.isGreaterThan (having " loaded ").Length (count / 20) "some files are right")) ]
