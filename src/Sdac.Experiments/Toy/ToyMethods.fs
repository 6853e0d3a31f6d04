namespace Sdac.Experiments

open System
open System.Diagnostics
open Sdac

/// What a method makes for a target.
[<NoComparison>]
type ToyDraw =
    {
        /// [n, 2], row-major
        Samples: float32[]
        /// Processor time of training; for methods without training, of sampling
        Seconds: float
        /// Relative L2 error of the learned score by timestep; empty where there is none or no closed form
        ScoreErrors: (int * float) list
    }

/// A sampler as the page knows it.
[<NoComparison; NoEquality>]
type ToyMethod =
    {
        Name: string
        /// All its settings for a target, as JSON
        Settings: Target -> string
        /// Those that differ from the method's standard: path, standard, here
        Adapted: Target -> (string * string * string) list
        /// n samples for a target
        Draw: Target -> int -> Key -> ToyDraw
    }

/// The methods of the page.
[<RequireQualifiedAccess>]
module ToyMethods =
    let private processorTime () =
        use self = Process.GetCurrentProcess()
        self.TotalProcessorTime

    /// What a computation gives, and its processor time in seconds: unlike the clock's, it does not depend on what else runs.
    let private timed (computation: unit -> 'a) : 'a * float =
        let begun: TimeSpan = processorTime ()
        let result = computation ()
        result, (processorTime () - begun).TotalSeconds

    /// A method without training.
    let private direct name (standard: 'config) settings (sample: 'config -> Target -> int -> Key -> Tensor) =
        { Name = name
          Settings = settings >> Json.print
          Adapted = settings >> Json.differences standard
          Draw =
            fun target n key ->
                let samples, seconds = timed (fun () -> sample (settings target) target n key)
                use samples = samples
                { Samples = Tensors.toArray samples; Seconds = seconds; ScoreErrors = [] } }

    /// A method that trains a model and samples from it.
    let private trained
        name
        (standard: 'config)
        settings
        (create: Compute -> 'config -> Target -> 'model)
        (train: 'model -> Key -> ('state -> unit) -> 'state)
        (sample: 'model -> 'state -> int -> Key -> Tensor)
        (scoreErrors: 'model -> 'state -> (int * float) list)
        (dispose: 'state -> unit)
        =
        { Name = name
          Settings = settings >> Json.print
          Adapted = settings >> Json.differences standard
          Draw =
            fun target n key ->
                let model = create Compute.cpu (settings target) target
                let struct (trainKey, sampleKey) = Key.split key
                let state, seconds = timed (fun () -> train model trainKey ignore)
                use samples = sample model state n sampleKey
                let errors = scoreErrors model state
                dispose state
                { Samples = Tensors.toArray samples; Seconds = seconds; ScoreErrors = errors } }

    let private diffusion name settings sample =
        let errors model state = Measures.scoreErrors model state 2000 (Key.ofSeed 99L)

        trained
            name
            SamplerConfig.standard
            settings
            RssmTrainer.create
            RssmTrainer.train
            sample
            errors
            RssmTrainer.dispose

    let private unscored _ _ : (int * float) list = []

    let private exact () (target: Target) n key = target.Sample.Value n key

    /// All methods, in the order of the page.
    let all =
        [ direct "exact" () ignore exact
          diffusion "rssm" ToySettings.rssm RssmTrainer.sample
          diffusion "rssm-flow" ToySettings.rssm RssmTrainer.flow
          diffusion "dsm" ToySettings.dsm RssmTrainer.sample
          trained "idem" IdemConfig.standard ToySettings.idem Idem.create Idem.train Idem.sample unscored Idem.dispose
          trained "fab" FabConfig.standard ToySettings.fab Fab.create Fab.train Fab.sample unscored Fab.dispose
          direct "langevin" Langevin.naive ToySettings.langevin Langevin.sample
          direct "annealed" Langevin.annealed ToySettings.annealed Langevin.sample ]

    let private find kind (nameOf: 'a -> string) (all: 'a list) (name: string) =
        match all |> List.tryFind (fun a -> nameOf a = name) with
        | Some found -> found
        | None -> Errors.fail (Settings(Errors.unknown kind name "" (List.map nameOf all)))

    /// The method of that name; Settings failure with the nearest name otherwise.
    let named (name: string) : ToyMethod = find "method" _.Name all name

    /// The target of that name; Settings failure with the nearest name otherwise.
    let target (name: string) : Target = find "target" _.Name Targets.all name
