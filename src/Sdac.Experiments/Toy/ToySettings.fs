namespace Sdac.Experiments

open Sdac

/// The settings of each method for each target of the page. What suits most targets is each method's `standard`.
[<RequireQualifiedAccess>]
module ToySettings =
    /// RSSM from the energy. Many draws where the score itself is the measure; the samples of the other targets gain more from
    /// many updates with fewer draws. Own samples are drawn half as often as in the standard: drawing them is a quarter of the time.
    let rssm (target: Target) : SamplerConfig =
        let config = { SamplerConfig.standard with States = OwnSamples 500 }

        match target.Name with
        | "eight" -> { config with Updates = 6000 }
        | "forty" -> { config with Draws = 64; Updates = 8000; States = OwnSamples 1000 }
        | "moons"
        | "rings"
        | "checkerboard" -> { config with Draws = 64; Updates = 8000 }
        | _ -> config

    /// Denoising score matching on samples: the same network and as many updates.
    let dsm (target: Target) : SamplerConfig = { rssm target with Learning = FromSamples }

    /// iDEM from energy and gradient.
    let idem (_: Target) : IdemConfig = IdemConfig.standard

    /// FAB's flow from the energy.
    let fab (_: Target) : FabConfig = FabConfig.standard

    /// Langevin at constant temperature.
    let langevin (_: Target) : LangevinConfig = Langevin.naive

    /// Langevin with falling temperature.
    let annealed (_: Target) : LangevinConfig = Langevin.annealed
