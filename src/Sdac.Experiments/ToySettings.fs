namespace Sdac.Experiments

open Sdac

/// The settings of each method for each target of the page. What suits most targets is each method's `standard`.
[<RequireQualifiedAccess>]
module ToySettings =
    /// RSSM from the energy.
    let rssm (target: Target) : SamplerConfig =
        let standard = SamplerConfig.standard

        match target.Name with
        | "gaussian" -> { standard with Updates = 3000 }
        | _ -> standard

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
