namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.IO
open System.Security.Cryptography
open System.Text.Json

/// The files of a finished run, and whether they are as its summary says. The summaries of equal runs are equal but for the clock:
/// they hold no checksums of timings.jsonl and of the machines' descriptions.
[<RequireQualifiedAccess>]
module RunFiles =
    let private read (path: string) : RunFile =
        Files.reading path (fun () ->
            use stream = File.OpenRead path

            { Bytes = stream.Length; Sha256 = Convert.ToHexStringLower(SHA256.HashData stream) })

    /// The files that a run has written to its folder and equal runs have in common, by their paths below it; without summary.json,
    /// which comes last.
    let describe (folder: RunFolder) : Map<string, RunFile> =
        let paths =
            [ folder.Spec
              folder.Metrics
              folder.Events
              folder.Curve
              folder.CurvePng
              yield! Checkpoint.own folder
              if BestCheckpoint.isOwn folder then
                  folder.Best
              yield! Memory.own folder ]

        Map
            [ for path in paths do
                  if File.Exists path then
                      Path.GetRelativePath(folder.Path, path), read path ]

    /// The whole lines of timings.jsonl.
    let timingLines (folder: RunFolder) : int64 =
        Files.reading folder.Timings (fun () -> File.ReadAllBytes folder.Timings)
        |> Seq.filter ((=) (byte '\n'))
        |> Seq.length
        |> int64

    /// What is wrong with a file that is listed; None where it is whole. A finished run can do without its replay memory.
    let private listedProblem (folder: RunFolder) (name: string, listed: RunFile) : string option =
        let path = Path.Combine(folder.Path, name)
        let isMemory = path.StartsWith(folder.Memory + "/", StringComparison.Ordinal)

        if not (File.Exists path) then
            if isMemory && not (Directory.Exists folder.Memory) then
                None
            else
                Some $"{path} is missing"
        else
            let length = FileInfo(path).Length

            if length <> listed.Bytes then
                Some $"{path} holds {length} bytes instead of {listed.Bytes}"
            elif (read path).Sha256 <> listed.Sha256 then
                Some $"{path} holds something else than what the run wrote"
            else
                None

    let private timingsProblem (folder: RunFolder) (lines: int64) : string option =
        if not (File.Exists folder.Timings) then
            Some $"{folder.Timings} is missing"
        else
            match timingLines folder with
            | found when found <> lines -> Some $"{folder.Timings} holds {found} lines instead of {lines}"
            | _ ->
                use stream = File.OpenRead folder.Timings
                stream.Seek(-(min 1L stream.Length), SeekOrigin.End) |> ignore

                if stream.Length > 0L && stream.ReadByte() <> int '\n' then
                    Some $"{folder.Timings} holds something behind its {lines} lines"
                else
                    None

    let private machineProblem (path: string) : string option =
        if not (File.Exists path) then
            Some $"{path} is missing"
        else
            match Files.readText path |> JsonText.tryDocument with
            | Error problem -> Some $"{path} {problem}"
            | Ok document ->
                use document = document
                let root = document.RootElement

                let complete =
                    root.ValueKind = JsonValueKind.Object
                    && Json.paths typeof<Machine> |> List.forall (root.TryGetProperty >> fst)

                if complete then None else Some $"{path} describes no machine"

    /// The summary of a finished run; None for an unfinished one. Fails with Damaged where it cannot be read.
    let summary (folder: RunFolder) : JsonElement option =
        if File.Exists folder.Summary then
            match Files.readText folder.Summary |> JsonText.tryDocument with
            | Error problem -> Errors.fail (Damaged $"{folder.Summary} {problem}")
            | Ok document when document.RootElement.ValueKind <> JsonValueKind.Object ->
                Errors.fail (
                    Damaged
                        $"{folder.Summary} is no summary of a run: put it back, or delete it and finish the run again with --resume"
                )
            | Ok document -> Some document.RootElement
        else
            None

    /// What a summary says of the files; None in one of an older program.
    let private listed (folder: RunFolder) (summary: JsonElement) : (int64 * (string * RunFile) list) option =
        try
            match summary.TryGetProperty "files" with
            | true, files ->
                Some(
                    summary.GetProperty("timingLines").GetInt64(),
                    [ for file in files.EnumerateObject() ->
                          file.Name,
                          { Bytes = file.Value.GetProperty("bytes").GetInt64()
                            Sha256 = string (file.Value.GetProperty("sha256").GetString()) } ]
                )
            | _ -> None
        with
        | :? InvalidOperationException
        | :? FormatException
        | :? KeyNotFoundException ->
            Errors.fail (Damaged $"the list of files in {folder.Summary} is damaged: put the file back")

    /// Compares the files of a finished run with its summary. Fails with Damaged, naming those that do not fit. False where the
    /// summary, of an older program, lists none.
    let check (folder: RunFolder) (summary: JsonElement) : bool =
        match listed folder summary with
        | None -> false
        | Some(timingLines, files) ->
            let problems =
                [ yield! List.choose (listedProblem folder) files
                  yield! Option.toList (timingsProblem folder timingLines)
                  for path in folder.Machine :: List.map snd (RunFolder.machines folder) do
                      yield! Option.toList (machineProblem path) ]

            if not problems.IsEmpty then
                let shown = problems |> List.truncate 3 |> String.concat ", "

                let more =
                    if problems.Length > 3 then
                        $" and {problems.Length - 3} more files do not fit"
                    else
                        ""

                Errors.fail (
                    Damaged
                        $"the run is not as {folder.Summary} says ({shown}{more}): put back what is missing, or delete summary.json and finish the run again with --resume"
                )

            true

    /// Is the run at its end? Fails with Damaged where it is, but not whole.
    let isFinished (folder: RunFolder) : bool = summary folder |> Option.map (check folder) |> Option.isSome
