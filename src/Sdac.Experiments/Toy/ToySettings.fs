namespace Sdac.Experiments

open Sdac.Functional
open Sdac.Sampling

/// The settings of each method for each target of the page. What suits most targets is each method's `standard`.
[<RequireQualifiedAccess>]
module ToySettings =
    /// RSSM from the energy. The smaller the detail beside the box, the deeper the network and the more updates; the more modes,
    /// the more draws it takes to see them.
    let rssm (target: Target) : SamplerConfig =
        let config = SamplerConfig.standard
        let deeper = { config with Hidden = List.replicate 4 128; Updates = 6000 }

        match target.Name with
        | "eight" -> { deeper with Draws = 256; Updates = 8000 }
        | "forty" ->
            { config with
                Schedule = BetaSchedule.Geometric(0.01, 12.0)
                Hidden = List.replicate 5 128
                Sharpness = 8.0
                LearningRate = 2.5e-3
                Batch = 256
                Draws = 512
                Updates = 16_000
                States = OwnSamples(1000, 0.5) }
        | "moons"
        | "checkerboard" -> { deeper with Sharpness = 5.0 }
        | "rings" -> { deeper with Sharpness = 15.0; Updates = 8000 }
        | _ -> config

    /// Denoising score matching on samples: the same network and as many updates.
    let dsm (target: Target) : SamplerConfig = { rssm target with Learning = FromSamples }

    /// iDEM from energy and gradient: the same network, and more updates in proportion where RSSM has more, up to twofold.
    let idem (target: Target) : IdemConfig =
        let config, peer = IdemConfig.standard, rssm target
        let more = min 2.0 (float peer.Updates / float SamplerConfig.standard.Updates)

        { config with
            Hidden = peer.Hidden
            Sharpness = peer.Sharpness
            Updates = int (more * float config.Updates) }

    /// FAB's flow from the energy.
    let fab (_: Target) : FabConfig = FabConfig.standard

    /// DiKL's one-step sampler from energy and gradient: a smooth map where there is one mode, wider networks and less noise in many
    /// dimensions, where draws that noise leads far away say nothing.
    let dikl (target: Target) : DiklConfig =
        let config = DiklConfig.standard

        match target.Name with
        | "gaussian" ->
            { config with
                SamplerSharpness = 1.0
                Sharpness = 2.0
                LearningRate = 1e-2
                Damping = 1.0
                Noise = 0.02, 0.7 }
        | "many-well"
        | "dw4" -> { config with Sampler = [ 128; 128 ]; Hidden = [ 128; 128; 128 ]; Noise = 0.02, 0.5 }
        | _ -> config

    /// Langevin at constant temperature.
    let langevin (_: Target) : LangevinConfig = Langevin.naive

    /// Langevin with falling temperature.
    let annealed (_: Target) : LangevinConfig = Langevin.annealed
