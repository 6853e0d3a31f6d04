namespace Sdac.Experiments

open System
open System.IO
open Sdac.Functional

/// Which episodes are to be watched, and where the page goes.
type WatchOptions =
    {
        /// Episodes to play and record
        Episodes: int
        /// The networks of the run's best evaluation instead of its newest checkpoint
        Best: bool
        /// Of the starts and the sampler; None for the run's own, with which starts are those of its evaluations
        Seed: int64 option
        /// The page to write; None for one in the run's folder
        Out: string option
        Threads: int
    }

/// Pages on which a trained policy can be watched.
[<RequireQualifiedAccess>]
module Watch =
    /// Three episodes of the newest checkpoint, on all processors.
    let usual: WatchOptions =
        { Episodes = 3; Best = false; Seed = None; Out = None; Threads = Environment.ProcessorCount }

    /// Where `./build.sh setup-watch` puts the player, in the folder of the repository.
    let private playerFolder = Path.Combine("artifacts", "watch")

    /// The folder of the player: SDAC_PLAYER's, or that of the repository that this library was built in.
    let private player () : string option =
        let rec search (folder: DirectoryInfo | null) =
            match folder with
            | null -> None
            | folder when Directory.Exists(Path.Combine(folder.FullName, playerFolder)) ->
                Some(Path.Combine(folder.FullName, playerFolder))
            | folder -> search folder.Parent

        match Environment.GetEnvironmentVariable "SDAC_PLAYER" with
        | null
        | "" -> search (DirectoryInfo(Files.folderOf typeof<WatchOptions>.Assembly.Location))
        | given -> Some given

    /// The player's page without a recording, with three.js or without.
    let template (solid: bool) : string =
        let file = if solid then "solid.html" else "flat.html"

        match player () |> Option.map (fun folder -> Path.Combine(folder, file)) with
        | Some path when File.Exists path -> Files.readText path
        | _ ->
            Errors.fail (
                Missing
                    $"""pages to watch need a player, which is not there: run `{Entrance.ofBuild "setup-watch"}` once (it bundles three.js from npm); all other commands work without it"""
            )

    let private facts (spec: Spec) (algorithm: Algorithm<'c, 's, 'w>) (options: WatchOptions) (file: string) =
        let said name = Safetensors.metadata file |> Map.tryFind name

        [ algorithm.Title
          $"seed %d{spec.Seed}"
          match said "iteration" |> Option.map Int64.TryParse with
          | Some(true, iteration) -> $"iteration {Progress.thousands iteration}"
          | _ -> ()
          if options.Best then
              "best evaluation" ]

    let private record
        (registry: Registry)
        (spec: Spec)
        (folder: RunFolder)
        (options: WatchOptions)
        (algorithm: Algorithm<'c, 's, 'w>)
        =
        let experiment = Spec.experiment registry.Tasks algorithm spec
        let agent = Runner.agent experiment
        Machine.useThreads agent.Compute options.Threads
        let chosen = if options.Best then Some(BestCheckpoint.path folder) else None
        let struct (file, state) = Evaluate.networks agent spec folder chosen

        try
            use arena = Training.arena experiment options.Episodes
            let limit = Progress.thousands (int64 arena.Spec.MaxEpisodeSteps)
            printfn $"{spec.Task}, {algorithm.Title}: plays {options.Episodes} episodes of at most {limit} steps"
            let key = Training.evaluationKey (defaultArg options.Seed spec.Seed)
            Recording.make (facts spec algorithm options file) agent arena key state
        finally
            Parts.dispose agent.Parts state

    /// Plays episodes of the run in `path` as its evaluations do, and writes them as one page that needs no other file. The
    /// page's path.
    let run (registry: Registry) (path: string) (options: WatchOptions) : string =
        if options.Episodes < 1 then
            Errors.fail (Usage $"--episodes is %d{options.Episodes}; it must be at least 1")

        let folder = RunFolder.openExisting path
        options.Out |> Option.iter (RunFolder.refuseOwn "--out")
        // said before anything is played
        template true |> ignore
        let struct (spec, said) = SpecFile.ofRunOrPublished registry folder

        for sentence in said do
            eprintfn $"warning: {sentence}"

        let recording =
            (Spec.algorithmOf registry folder.Spec spec).Open
                { new IOpen<Recording> with
                    member _.Open algorithm = record registry spec folder options algorithm }

        let page = options.Out |> Option.defaultValue (if options.Best then folder.BestPage else folder.Page)

        Files.createFolder (Files.folderOf page)
        Files.writeText page (WatchPage.html (template (WatchPage.isSolid recording)) recording)

        for i, episode in Array.indexed recording.Episodes do
            printfn $"  episode {i + 1, 3}: return %10.2f{episode.Return}, {episode.Length} steps"

        printfn $"page: {page}"
        page

    /// The pages that lie in a run's folder: what they show, and their paths.
    let pages (folder: RunFolder) : (string * string) list =
        [ "newest", folder.Page; "best", folder.BestPage ] |> List.filter (snd >> File.Exists)
