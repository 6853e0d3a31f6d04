namespace Sdac.Experiments

open System
open System.Diagnostics
open Sdac.Functional
open Sdac.Sampling

/// What a method makes for a target.
[<NoComparison>]
type ToyDraw =
    {
        /// [n, D], row-major
        Samples: float32[]
        /// Processor time of training; for methods without training, of sampling
        Seconds: float
        /// Of the learned score, by timestep; empty where there is none or no closed form
        ScoreErrors: ScoreError list
    }

/// A sampler as the page knows it.
[<NoComparison; NoEquality>]
type ToyMethod =
    {
        Name: string
        /// What it is, for people: one sentence
        About: string
        /// All its settings for a target, as JSON
        Settings: Target -> string
        /// Those that differ from the method's standard: path, standard, here
        Adapted: Target -> (string * string * string) list
        /// Methods of one family differ only in how the same trained model is sampled
        Family: string
        /// n samples for a target by each of the family's methods named: trains once
        Draws: string list -> Target -> int -> Key -> ToyDraw list
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
    let private direct name about (standard: 'config) settings (sample: 'config -> Target -> int -> Key -> Tensor) =
        let draw target n key =
            let samples, seconds = timed (fun () -> sample (settings target) target n key)
            use samples = samples
            { Samples = Tensors.toArray samples; Seconds = seconds; ScoreErrors = [] }

        [ { Name = name
            About = about
            Settings = settings >> Json.print
            Adapted = settings >> Json.differences standard
            Family = name
            Draws = fun _ target n key -> [ draw target n key ] } ]

    /// Methods that train a model and sample from it: name, what it is, and how it samples.
    let private trained
        (samplers: (string * string * ('model -> 'state -> int -> Key -> Tensor)) list)
        (standard: 'config)
        settings
        (create: Compute -> 'config -> Target -> 'model)
        (train: 'model -> Key -> ('state -> unit) -> 'state)
        (scoreErrors: 'model -> 'state -> ScoreError list)
        (dispose: 'state -> unit)
        =
        let draws names target n key =
            let model = create Compute.cpu (settings target) target
            let struct (trainKey, sampleKey) = Key.split key
            let state, seconds = timed (fun () -> train model trainKey ignore)
            let errors = scoreErrors model state

            let drawn =
                [ for name, _, sample in samplers do
                      if List.contains name names then
                          use samples = sample model state n sampleKey
                          { Samples = Tensors.toArray samples; Seconds = seconds; ScoreErrors = errors } ]

            dispose state
            drawn

        let first, _, _ = samplers.Head

        [ for name, about, _ in samplers ->
              { Name = name
                About = about
                Settings = settings >> Json.print
                Adapted = settings >> Json.differences standard
                Family = first
                Draws = draws } ]

    // Points by which a learned score is compared with the closed form.
    [<Literal>]
    let private ScorePoints = 2000

    let private diffusion settings samplers =
        let errors (model: SamplerModel) state =
            Measures.scoreErrors
                model.Schedule
                model.Target
                (RssmTrainer.score model state)
                ScorePoints
                (Key.ofSeed 99L)

        trained samplers SamplerConfig.standard settings RssmTrainer.create RssmTrainer.train errors RssmTrainer.dispose

    let private idem =
        let errors (model: IdemModel) state =
            Measures.scoreErrors
                model.Schedule
                model.Target
                (Idem.learnedScore model state)
                ScorePoints
                (Key.ofSeed 99L)

        trained
            [ "idem",
              "iDEM: a diffusion model trained on a Monte-Carlo estimate of the noised score, from values and slopes of ln p",
              Idem.sample ]
            IdemConfig.standard
            ToySettings.idem
            Idem.create
            Idem.train
            errors
            Idem.dispose

    // A flow learns a density, not scores.
    let private fab =
        trained
            [ "fab",
              "FAB: a normalising flow trained on points that annealed importance sampling brings to where the flow is too thin",
              Fab.sample ]
            FabConfig.standard
            ToySettings.fab
            Fab.create
            Fab.train
            (fun _ _ -> [])
            Fab.dispose

    let private dikl =
        let errors (model: DiklModel) state =
            Measures.scoreErrors
                model.Schedule
                model.Target
                (Dikl.learnedScore model state)
                ScorePoints
                (Key.ofSeed 99L)

        trained
            [ "dikl",
              "DiKL: a network that samples in one step, trained on the difference of its own noised score and an estimate of the target's",
              Dikl.sample ]
            DiklConfig.standard
            ToySettings.dikl
            Dikl.create
            Dikl.train
            errors
            Dikl.dispose

    let private exact () (target: Target) n key = Target.sample n key target

    /// All methods, in the order of the page.
    let all =
        List.concat
            [ direct "exact" "exact samples: what a perfect sampler gives" () ignore exact
              diffusion
                  ToySettings.rssm
                  [ "rssm",
                    "RSSM: a diffusion model trained on values of ln p alone, sampled by its reverse chain",
                    RssmTrainer.sample
                    "rssm-flow",
                    "the same model, sampled by its probability flow, without noise between the steps",
                    RssmTrainer.flow ]
              diffusion
                  ToySettings.dsm
                  [ "dsm", "the same network trained on exact samples (denoising score matching)", RssmTrainer.sample ]
              idem
              fab
              dikl
              direct
                  "langevin"
                  "Langevin dynamics on the slope of ln p, without any network"
                  Langevin.naive
                  ToySettings.langevin
                  Langevin.sample
              direct
                  "annealed"
                  "the same, from a ten times higher temperature down to 1"
                  Langevin.annealed
                  ToySettings.annealed
                  Langevin.sample ]

    let private find kind (nameOf: 'a -> string) (all: 'a list) (name: string) =
        match all |> List.tryFind (fun a -> nameOf a = name) with
        | Some found -> found
        | None -> Errors.fail (Settings(Errors.unknown kind name "" (List.map nameOf all)))

    /// The method of that name; Settings failure with the nearest name otherwise.
    let named (name: string) : ToyMethod = find "method" _.Name all name

    /// The target of that name; Settings failure with the nearest name otherwise.
    let target (name: string) : Target = find "target" _.Name Targets.all name
