// Does the sampler's mathematics hold for a density of your own?  ./build.sh check scripts/own-density.fsx
#load "sdac.fsx"

open Sdac.Functional
open Sdac.Sampling
open Sdac.Experiments

// Any differentiable function of libtorch as ln p, up to a constant: x is [N, 2], the result [N].
let ring =
    Target.create "ring" 2 3.0 (fun x ->
        let radius = x.square().sum(1L).sqrt()
        num -0.5 * ((radius - num 2.0) / num 0.3).square())

// p̃_t, where the score is asked for: any with full support has the same minimiser.
exit (DensityCheck.run fsi.CommandLineArgs [ ring, OwnSamples(500, 0.5); ring, CauchyStates 0.5 ])
