namespace Sdac.Functional

/// A figure of an algorithm's updates, declared once: the console, metrics.jsonl, TensorBoard, the summary, reports and the check
/// for NaN read it.
type FigureInfo =
    {
        /// In metrics.jsonl
        Name: string
        /// In sentences: "the loss of critic 1"
        Title: string
        /// Short label on the progress line and in the summary; None: not shown there
        Headline: string option
        /// NaN or infinity ends the run
        MustBeFinite: bool
        /// Updates that do not compute it show its last value
        Carried: bool
        /// Reports draw it over time under this title; None: not drawn
        Plotted: string option
    }

[<RequireQualifiedAccess>]
module FigureInfo =
    /// A figure that is logged and no more.
    let plain (name: string) (title: string) : FigureInfo =
        { Name = name
          Title = title
          Headline = None
          MustBeFinite = false
          Carried = false
          Plotted = None }

    /// One that ends the run where it is NaN or infinite.
    let finite (name: string) (title: string) : FigureInfo = { plain name title with MustBeFinite = true }

/// A named starting point of an algorithm.
type Preset<'config> =
    {
        Name: string
        /// What it is for, in a phrase
        Meaning: string
        Task: string
        Iterations: int64
        /// Iterations between evaluations; None: a twentieth of the run
        EvaluateEvery: int64 option
        EvaluationEpisodes: int
        Config: 'config
    }

[<RequireQualifiedAccess>]
module Preset =
    /// InvertedPendulum-v4 in a minute or two.
    let quick (config: 'config) : Preset<'config> =
        { Name = "quick"
          Meaning = "InvertedPendulum-v4 in a minute or two"
          Task = "InvertedPendulum-v4"
          Iterations = 20_000L
          EvaluateEvery = Some 1_000L
          EvaluationEpisodes = 20
          Config = config }

    /// Seconds: what the contract runs, on its own task and on InvertedPendulum-v4.
    let tiny (iterations: int64) (config: 'config) : Preset<'config> =
        { quick config with
            Name = "tiny"
            Meaning = "some hundred updates of small networks: for tests and the contract"
            Iterations = iterations
            EvaluateEvery = None }

    /// HalfCheetah-v4 on two cores, 100,000 environment steps at two updates per step of four environments.
    let laptop (config: 'config) : Preset<'config> =
        { Name = "laptop"
          Meaning = "HalfCheetah-v4, 100,000 environment steps on two cores"
          Task = "HalfCheetah-v4"
          Iterations = 50_000L
          EvaluateEvery = Some 2_500L
          EvaluationEpisodes = 5
          Config = config }

    /// The published configuration, 200,000 updates = 1,000,000 environment steps of five environments.
    let published (config: 'config) : Preset<'config> =
        { Name = "published"
          Meaning = "as the authors published it, HalfCheetah-v4, 1,000,000 environment steps"
          Task = "HalfCheetah-v4"
          Iterations = 200_000L
          EvaluateEvery = None
          EvaluationEpisodes = 20
          Config = config }

    /// As the comparison in the SDAC paper used it. `meaning` says what of it is assumed.
    let sdacPaper (meaning: string) (config: 'config) : Preset<'config> =
        { published config with Name = "sdac-paper"; Meaning = meaning }

    /// As flow-rl runs it: 1,000,000 environment steps with an update each, evaluations of ten episodes.
    let flowRl (config: 'config) : Preset<'config> =
        { published config with
            Name = "flow-rl"
            Meaning = "as flow-rl has it, HalfCheetah-v4, 1,000,000 environment steps, an update each"
            Iterations = 1_000_000L
            EvaluateEvery = Some 10_000L
            EvaluationEpisodes = 10 }

/// The planned length of a run in iterations, for schedules that span it.
[<Struct>]
type Horizon = { Iterations: int64 }

/// An algorithm as a value: its settings, what it reports, and how it becomes an agent for a task.
[<NoComparison; NoEquality; StructuredFormatDisplay("{Display}")>]
type Algorithm<'config, 'state, 'work> =
    {
        /// In specifications and on the command line: lower case
        Name: string
        /// For people
        Title: string
        Published: 'config
        /// Paths of the settings that specifications written by earlier versions may lack: `Published` has for each what those
        /// versions did
        Added: string list
        Presets: Preset<'config> list
        /// What is impossible in settings, one sentence each; empty when they can be used
        Problems: 'config -> string list
        /// In the order in which they are written
        Figures: FigureInfo list
        /// The settings that matter most, for a picture's subtitle
        Describe: 'config -> string
        Agent: Compute -> Space -> Horizon -> 'config -> Agent<'state, 'work>
    }

    /// One line for a session.
    member algorithm.Display =
        let presets = algorithm.Presets |> List.map _.Name |> String.concat ", "
        $"{algorithm.Title} ({algorithm.Name}), presets {presets}"

/// What is to be done with an algorithm, whatever its types.
type IOpen<'result> =
    abstract Open: Algorithm<'config, 'state, 'work> -> 'result

/// An algorithm whose types are hidden: what specifications, sweeps and the command line hold.
type IAlgorithm =
    abstract Name: string
    abstract Title: string
    abstract Open: IOpen<'result> -> 'result

[<RequireQualifiedAccess>]
module Algorithm =
    /// The algorithm with its types hidden.
    let hide (algorithm: Algorithm<'config, 'state, 'work>) : IAlgorithm =
        { new IAlgorithm with
            member _.Name = algorithm.Name
            member _.Title = algorithm.Title
            member _.Open visitor = visitor.Open algorithm }

    /// The first figure, in the order of their declaration, that is NaN or infinite and must not be: its title and value.
    let firstNotFinite (infos: FigureInfo list) (figures: Figures) : (string * float) option =
        infos
        |> List.filter _.MustBeFinite
        |> List.tryPick (fun info ->
            Map.tryFind info.Name figures
            |> Option.filter (System.Double.IsFinite >> not)
            |> Option.map (fun value -> info.Title, value))
