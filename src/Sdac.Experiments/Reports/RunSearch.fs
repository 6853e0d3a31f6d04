namespace Sdac.Experiments

open System.Collections.Generic
open System.IO

/// Finding run folders, and kept runs by their CSV files.
[<RequireQualifiedAccess>]
module RunSearch =
    let private at (folder: string) : RunFolder = { Path = folder }

    let private isRun (folder: string) = File.Exists (at folder).Spec

    /// The runs that a folder keeps as evaluations alone (`KeptReturns`).
    let private kept (folder: string) : string list = if isRun folder then [] else KeptRun.files folder

    /// A folder that began as a run, or holds nothing.
    let private isRemains (folder: string) =
        File.Exists (at folder).Metrics || Seq.isEmpty (Directory.EnumerateFileSystemEntries folder)

    /// The folders in a folder, the links to folders in it, and a warning for each link that leads nowhere.
    let private children (path: string) : string list * string list * string list =
        Files.guarded "read" path (fun () ->
            let entries = Directory.GetFileSystemEntries path |> Array.sort |> List.ofArray
            let links, own = entries |> List.partition NumberedFiles.isLink
            let whole, broken = links |> List.partition (fun link -> (Files.realPath link).IsSome)

            List.filter Directory.Exists own,
            List.filter Directory.Exists whole,
            [ for link in broken -> $"{link} is a link that leads nowhere: it is left out" ])

    /// A folder to be searched, and the real paths of the folders above it.
    type private Place = { Path: string; Above: string list }

    /// The run folders at or below a place, and a warning for each folder among them that is none or cannot be read. No folder is
    /// searched twice, whatever the links: `seen` are the real paths of those before. Links are only noted, in `links`: what can be
    /// reached without them is found under its own name.
    let rec private below (seen: HashSet<string>) (links: Queue<Place>) (place: Place) : string list * string list =
        let path = place.Path
        let real = Files.realPath path |> Option.defaultValue path

        if List.contains real place.Above then
            [], [ $"{path} is a link back to {real}, in which it lies: it is not followed" ]
        elif not (seen.Add real) then
            [], []
        elif isRun path then
            [ path ], []
        else
            try
                let folders, linked, broken = children path
                let own = kept path
                let inside child = { Path = child; Above = real :: place.Above }
                linked |> List.iter (inside >> links.Enqueue)

                let found = folders |> List.map (inside >> below seen links)
                let runs, warnings = List.collect fst found, List.collect snd found

                let remains =
                    [ if not place.Above.IsEmpty && isRemains path && own.IsEmpty then
                          $"{path} is no run (spec.json is missing): it is left out" ]

                own @ runs, broken @ warnings @ remains
            with :? UserError as error ->
                [], [ $"{error.Failure.Sentence}; it is left out" ]

    /// The run folders at or below `path`, through links too, and warnings.
    let private search (seen: HashSet<string>) (path: string) : string list * string list =
        let places = Queue [ { Path = path; Above = [] } ]

        let found =
            [ while places.Count > 0 do
                  below seen places (places.Dequeue()) ]

        List.collect fst found, List.collect snd found

    /// The run folders at or below the given paths, each once, and warnings. A path that is no folder is refused.
    let find (paths: string list) : (string list * string list) =
        let seen = HashSet<string>()

        let found =
            [ for path in paths do
                  if not (Directory.Exists path) then
                      Errors.fail (Storage $"there is no folder {path}: give run folders, or folders that hold some")

                  let full = Path.TrimEndingDirectorySeparator(Path.GetFullPath path)
                  let known = seen.Count
                  let runs, warnings = search seen full

                  if runs.IsEmpty && warnings.IsEmpty && seen.Count > known then
                      [], [ $"{path} holds no run folder (no spec.json at or below it)" ]
                  else
                      runs, warnings ]

        List.collect fst found |> List.distinct, List.collect snd found |> List.distinct
