namespace Sdac.Experiments

open System
open System.IO
open System.Security.Cryptography
open System.Text

/// Results that take minutes each, kept in a file each: a checksum on the first line, JSON below. What is damaged or of another
/// version's shape is to be computed again.
[<RequireQualifiedAccess>]
module CellFile =
    let private checksum (text: string) = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes text))

    /// Keeps a cell.
    let save (path: string) (cell: 'cell) : unit =
        Files.createFolder (Files.folderOf path)
        let text = Json.print cell
        Files.writeText path (checksum text + "\n" + text)

    /// The cell kept in a file, if it is as `wanted` says; `complete` lends its shape.
    let tryLoad (path: string) (complete: 'cell) (wanted: 'cell -> bool) : 'cell option =
        let parse text =
            try
                Some(Json.parseOver path complete text)
            with :? UserError ->
                None

        if not (File.Exists path) then
            None
        else
            match (Files.readText path).Split('\n', 2) with
            | [| sum; text |] when sum = checksum text -> parse text |> Option.filter wanted
            | _ -> None
