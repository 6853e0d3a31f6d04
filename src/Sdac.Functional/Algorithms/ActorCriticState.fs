namespace Sdac

open System
open TorchSharp

/// The settings that the diffusion actor-critics (SDAC, DPMD) share.
type ActorCriticSettings =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Energy: EnergySettings
        Critics: CriticSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
    }

[<RequireQualifiedAccess>]
module ActorCriticSettings =
    let problems (c: ActorCriticSettings) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          DataSettings.problems c.Data
          DiffusionSettings.problems c.Diffusion
          ParticleSettings.problems c.Particles
          EnergySettings.problems c.Energy
          CriticSettings.problems c.Critics
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
        Q: QNetwork
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Critics: CriticSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
        Energy: EnergySettings
        /// The reverse draws of RSSM; None for an algorithm that draws none
        Draws: DrawSettings option
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
        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Diffusion.BetaSchedule c.Diffusion.Timesteps
          Noise = NoiseNetwork.create space.ObsDim space.ActionDim c.Diffusion.TimeDim c.Diffusion.TimeHidden c.Hidden
          Q = QNetwork.create space.ObsDim space.ActionDim c.Hidden
          Data = c.Data
          Diffusion = c.Diffusion
          Particles = c.Particles
          Critics = c.Critics
          Adam = c.Adam
          Policy = c.Policy
          Temperature = c.Temperature
          Energy = c.Energy
          Draws = draws }

/// Everything that training changes. Immutable: an update makes a new one. The tensors belong to whoever holds the
/// state; `ActorCritic.parts` is its traversal.
[<NoComparison; NoEquality>]
type ActorCriticState =
    {
        Policy: Params
        /// Moving average of the policy: it acts in the environment and is evaluated
        TargetPolicy: Params
        Q1: Params
        Q2: Params
        TargetQ1: Params
        TargetQ2: Params
        PolicyAdam: AdamState
        Q1Adam: AdamState
        Q2Adam: AdamState
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
    let private temperature: Parts<Temperature> =
        fun visit t ->
            { LogLambda = visit.Float("temperature.log_lambda", t.LogLambda)
              M = visit.Float("temperature.m", t.M)
              V = visit.Float("temperature.v", t.V)
              Count = visit.Int("temperature.count", t.Count) }

    /// The traversal of the state.
    let parts: Parts<ActorCriticState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              Q1 = visit.Params("q1", s.Q1)
              Q2 = visit.Params("q2", s.Q2)
              TargetQ1 = visit.Params("target_q1", s.TargetQ1)
              TargetQ2 = visit.Params("target_q2", s.TargetQ2)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Q1Adam = visit.Adam("q1", s.Q1Adam)
              Q2Adam = visit.Adam("q2", s.Q2Adam)
              Temperature = temperature visit s.Temperature
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
            let policy = NoiseNetwork.init model.Compute model.Noise keys[0]
            let q1 = QNetwork.init model.Compute model.Q keys[1]
            let q2 = QNetwork.init model.Compute model.Q keys[2]

            { Policy = policy
              TargetPolicy = Params.copy policy
              Q1 = q1
              Q2 = q2
              TargetQ1 = Params.copy q1
              TargetQ2 = Params.copy q2
              PolicyAdam = Adam.init policy
              Q1Adam = Adam.init q1
              Q2Adam = Adam.init q2
              Temperature = Temperature.init model.Temperature.InitialTemperature
              Values = RunningValues.init
              EnergyShift = EnergyShift.init
              Updates = 0L })
