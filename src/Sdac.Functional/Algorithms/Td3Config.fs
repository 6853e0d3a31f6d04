namespace Sdac.Functional

/// Which value TD3's policy climbs.
[<RequireQualifiedAccess>]
type PolicyCritic =
    /// The first critic's, as the authors have it.
    | First
    /// The twin critics' minimum or mean, by `QReduction`.
    | Both

/// Every setting of TD3.
type Td3Config =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        Data: DataSettings
        BestOf: BestOfSettings
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// Deviation of the exploration noise per component, of which the candidates of best-of-N are made too
        ExplorationNoise: float
        /// The policy and the targets move on every such-th update
        PolicyDelay: int
        /// Which value the policy climbs
        PolicyCritic: PolicyCritic
    }

[<RequireQualifiedAccess>]
module Td3Config =
    /// The authors' settings, with 10,000 random transitions first.
    let authors: Td3Config =
        { Hidden = [ 256; 256 ]
          Networks = SacConfig.sb3.Networks
          Data = { SacConfig.sb3.Data with WarmUp = 10_000 }
          BestOf = BestOfSettings.off
          Critics = CriticSettings.usual
          TargetNoise = { TargetNoise = 0.2; TargetNoiseClip = 0.5 }
          Adam = AdamSettings.usual 3e-4
          ExplorationNoise = 0.1
          PolicyDelay = 2
          PolicyCritic = PolicyCritic.First }

    /// Stable-Baselines3's settings. It explores by noise only where it is told to: 0.1 as its zoo has it.
    let sb3: Td3Config = { authors with Hidden = [ 400; 300 ]; Data.WarmUp = 100; Adam.LearningRate = 1e-3 }

    /// InvertedPendulum-v4 in a minute.
    let quick: Td3Config =
        { authors with
            Hidden = [ 64; 64 ]
            Data = DataSettings.quick
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3 }

    /// Learns the contract's task in seconds.
    let tiny: Td3Config =
        { quick with Hidden = [ 32; 32 ]; Data = DataSettings.tiny; Adam.LearningRate = 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: Td3Config =
        { authors with Data = DataSettings.laptop; Critics.Tau = 0.01; Adam.LearningRate = 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: Td3Config) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          BestOfSettings.problems c.BestOf
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          Check.within (nameof c.ExplorationNoise) 0.0 1e6 c.ExplorationNoise
          Check.atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay ]
        |> List.concat
