namespace Sdac.Functional

open System
open TorchSharp

/// The settings that the diffusion actor-critics (SDAC, DPMD) share.
type ActorCriticSettings =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        /// Widths of the critics' hidden layers; none: `Hidden`
        CriticHidden: int list option
        Networks: NetworkSettings
        /// What follows the linear maps of the critics' hidden layers; none: as in the policy
        CriticActivation: HiddenActivation option
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Regression: RegressionSettings
        Energy: EnergySettings
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
        /// What λ is moved towards
        Tuning: TemperatureTuning
    }

[<RequireQualifiedAccess>]
module ActorCriticSettings =
    /// Settings that came when SAC and TD3 joined SDAC and DPMD, and with the forms that others gave them.
    let added: string list =
        [ "networks"
          "critics.qReduction"
          "critics.huberThreshold"
          "targetNoise"
          "criticHidden"
          "criticActivation"
          "diffusion.wideNoise"
          "particles.candidates"
          "regression"
          "policy.policyCopies"
          "policy.actsBy"
          "tuning" ]

    /// What is impossible in them where so many weights are those of one state.
    let problems (draws: int) (c: ActorCriticSettings) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          Check.widths (nameof c.CriticHidden) (defaultArg c.CriticHidden [])
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          DiffusionSettings.problems c.Diffusion
          ParticleSettings.problems c.Particles
          [ match c.Particles.Candidates with
            | Candidates.OneStep t when t < 0 || t >= c.Diffusion.Timesteps ->
                $"candidates are drawn in one step from timestep {t}, but the chain has the timesteps 0 to {c.Diffusion.Timesteps - 1}: take one of them"
            | _ -> () ]
          RegressionSettings.problems c.Regression
          EnergySettings.problems c.Energy
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          PolicySettings.problems c.Policy
          TemperatureSettings.problems c.Temperature
          TemperatureTuning.problems draws c.Tuning ]
        |> List.concat

/// The actions of DPMD's regression.
type MirrorSettings =
    {
        /// Actions of the old policy a state with the anchor `policy`, each from a chain of its own and without best-of-N
        Actions: int
        /// Deviation of the noise added to them, not clipped again
        ActionNoise: float
        /// How they are weighted: raw ones against all states' actions, the others against those of their state
        ActionWeights: RssmWeights
    }

[<RequireQualifiedAccess>]
module MirrorSettings =
    /// One action a state, its weight exp(Q̃/λ).
    let published: MirrorSettings = { Actions = 1; ActionNoise = 0.0; ActionWeights = RssmWeights.Raw }

    let problems (anchor: Anchor) (m: MirrorSettings) : string list =
        [ Check.atLeast (nameof m.Actions) 1 m.Actions
          Check.within (nameof m.ActionNoise) 0.0 1e6 m.ActionNoise
          [ if m.ActionWeights <> RssmWeights.Raw && m.Actions = 1 then
                "actions is 1 with weights normalised over a state's actions: every weight would be 1 and nothing would be learned; take at least 2 actions, or actionWeights = raw"

            if m.Actions > 1 && anchor <> Anchor.Policy then
                $"actions is {m.Actions}, but only the anchor policy draws several actions a state: take 1 action, or anchor = policy" ] ]
        |> List.concat

/// How the policy is moved.
[<RequireQualifiedAccess>]
type PolicyStep =
    /// SDAC's reverse draws
    | Rssm of DrawSettings
    /// DPMD's weighted actions
    | Mirror of MirrorSettings

/// The networks and coefficients that settings and sizes fix once and for all, and the settings that the diffusion
/// actor-critics (SDAC, DPMD) share.
[<NoComparison; NoEquality>]
type ActorCriticModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        Noise: NoiseNetwork
        InitialWeights: InitialWeights
        Critics: TwinCriticsModel
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
        Tuning: TemperatureTuning
        Energy: EnergySettings
        Regression: RegressionSettings
        Step: PolicyStep
        /// The log-probability in the critics' targets
        Likelihood: LikelihoodSettings
    }

[<RequireQualifiedAccess>]
module ActorCriticModel =
    /// The networks and coefficients of possible settings for a task of these sizes.
    let create (compute: Compute) (space: Space) (c: ActorCriticSettings) (step: PolicyStep) : ActorCriticModel =
        let critics =
            TwinCritics.model
                compute
                space
                (defaultArg c.CriticHidden c.Hidden)
                { c.Networks with Activation = defaultArg c.CriticActivation c.Networks.Activation }
                c.Critics
                c.TargetNoise
                c.Adam

        { Compute = compute
          Space = space
          Schedule = DiffusionSettings.schedule c.Diffusion
          Noise =
            NoiseNetwork.createWith
                space.ObsDim
                space.ActionDim
                c.Diffusion.TimeDim
                c.Diffusion.TimeHidden
                (NetworkSettings.policy c.Networks c.Hidden)
          InitialWeights = c.Networks.InitialWeights
          Critics = critics
          Data = c.Data
          Diffusion = c.Diffusion
          Particles = c.Particles
          Adam = c.Adam
          Policy = c.Policy
          Temperature = c.Temperature
          Tuning = c.Tuning
          Energy = c.Energy
          Regression = c.Regression
          Step = step
          Likelihood = LikelihoodSettings.off }

    /// Weights of one state in the policy's regression.
    let draws (model: ActorCriticModel) : int =
        match model.Step with
        | PolicyStep.Rssm draws -> draws.MonteCarloDraws
        | PolicyStep.Mirror mirror -> mirror.Actions

/// Everything that training changes. Immutable: an update makes a new one. The tensors belong to whoever holds the
/// state; `ActorCritic.parts` is its traversal.
[<NoComparison; NoEquality; StructuredFormatDisplay("{Display}")>]
type ActorCriticState =
    {
        Policy: Params
        /// Moving average of the policy, or a copy of it from earlier: as published, it acts in the environment and is evaluated
        TargetPolicy: Params
        Critics: TwinCritics
        PolicyAdam: AdamState
        Temperature: Temperature
        /// Running averages of Q; they stay as they are where the settings do not normalise Q
        Values: RunningValues
        /// The energy that raw weights are measured from; 0 until an energy exceeds 30
        EnergyShift: EnergyShift
        /// Updates done
        Updates: int64
    }

    /// Two lines for a session.
    member state.Display =
        $"after %d{state.Updates} updates, λ %.4g{state.Temperature.Lambda}; policy of {state.Policy.Display}"

[<RequireQualifiedAccess>]
module ActorCriticState =
    /// The traversal of the state.
    let parts: Parts<ActorCriticState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              Critics = TwinCritics.parts visit s.Critics
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Temperature = Temperature.parts visit s.Temperature
              Values =
                { Mean = visit.Float("values.mean", s.Values.Mean)
                  Deviation = visit.Float("values.deviation", s.Values.Deviation) }
              EnergyShift =
                { Shift = visit.Float("energy_shift.shift", s.EnergyShift.Shift)
                  Idle = visit.Int("energy_shift.idle", s.EnergyShift.Idle) }
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: ActorCriticModel) (key: Key) : ActorCriticState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy = NoiseNetwork.initWith model.InitialWeights model.Compute model.Noise keys[0]

            { Policy = policy
              TargetPolicy = Params.copy policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              PolicyAdam = Adam.init policy
              Temperature = Temperature.init model.Temperature.InitialTemperature
              Values = RunningValues.init
              EnergyShift = EnergyShift.init
              Updates = 0L })
