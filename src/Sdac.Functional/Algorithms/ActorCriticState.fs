namespace Sdac

open System
open TorchSharp

/// The settings that the diffusion actor-critics (SDAC, DPMD) share.
type ActorCriticSettings =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Energy: EnergySettings
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
    }

[<RequireQualifiedAccess>]
module ActorCriticSettings =
    /// Settings that came when SAC and TD3 joined SDAC and DPMD.
    let added: string list = [ "networks"; "critics.qReduction"; "critics.huberThreshold"; "targetNoise" ]

    let problems (c: ActorCriticSettings) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          DiffusionSettings.problems c.Diffusion
          ParticleSettings.problems c.Particles
          EnergySettings.problems c.Energy
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          PolicySettings.problems c.Policy
          TemperatureSettings.problems c.Temperature ]
        |> List.concat

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
        Energy: EnergySettings
        /// The reverse draws of RSSM; None for an algorithm that draws none
        Draws: DrawSettings option
        /// The log-probability in the critics' targets
        Likelihood: LikelihoodSettings
    }

[<RequireQualifiedAccess>]
module ActorCriticModel =
    /// The networks and coefficients of possible settings for a task of these sizes.
    let create
        (compute: Compute)
        (space: Space)
        (c: ActorCriticSettings)
        (draws: DrawSettings option)
        : ActorCriticModel =
        let critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics c.TargetNoise c.Adam

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Diffusion.BetaSchedule c.Diffusion.Timesteps
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
          Energy = c.Energy
          Draws = draws
          Likelihood = LikelihoodSettings.off }

/// Everything that training changes. Immutable: an update makes a new one. The tensors belong to whoever holds the
/// state; `ActorCritic.parts` is its traversal.
[<NoComparison; NoEquality>]
type ActorCriticState =
    {
        Policy: Params
        /// Moving average of the policy: it acts in the environment and is evaluated
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
