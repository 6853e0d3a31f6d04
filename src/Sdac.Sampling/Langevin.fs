namespace Sdac.Sampling

open Sdac.Functional
open TorchSharp

/// Settings of Langevin sampling. Step size and temperature go geometrically from their first to their last value.
type LangevinConfig =
    {
        Steps: int
        /// In box coordinates
        StepSize: float * float
        /// 1 throughout is the naive sampler; a fall to 1 is annealing
        Temperature: float * float
        /// The share of the steps over which the temperature falls; it then stays, so that the samples settle
        Cooling: float
    }

/// Unadjusted Langevin dynamics on the energy's own gradient, without any network: the peer whose mode weights stay those
/// of its start.
[<RequireQualifiedAccess>]
module Langevin =
    /// Constant temperature: naive Langevin.
    let naive = { Steps = 1000; StepSize = 1e-3, 1e-4; Temperature = 1.0, 1.0; Cooling = 1.0 }

    /// Annealed Langevin: temperature from 10 to 1 over the first 70 % of the steps, with large steps while it is hot.
    let annealed = { naive with StepSize = 1e-2, 2e-4; Temperature = 10.0, 1.0; Cooling = 0.7 }

    /// What is impossible in these settings, one sentence each.
    let problems (c: LangevinConfig) : string list =
        [ Check.atLeast "Steps" 1 c.Steps
          for name, (first, last) in [ "StepSize", c.StepSize; "Temperature", c.Temperature ] do
              yield! [ Check.positive $"the first {name}" first; Check.positive $"the last {name}" last ]
          Check.share "Cooling" c.Cooling ]
        |> List.concat

    let private along (first: float, last: float) share = first * (last / first) ** share

    /// n samples [n, D] of the target from the start N(0, I) in box coordinates, the same as the diffusions':
    /// x ← clip(x + δ/2·∇ln p(x)/τ + √δ·ξ, -1, 1). Raises ArgumentException on settings or a gradient out of range.
    let sample (config: LangevinConfig) (target: Target) (n: int) (key: Key) : Tensor =
        let config = Settings.validate problems config
        Checks.samples n

        Tensors.scoped List.singleton (fun () ->
            let clip (x: Tensor) = x.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
            let struct (startKey, noiseKey) = Key.split key
            let mutable x = clip (Key.normal Compute.cpu [ n; target.Dim ] startKey)

            for step in 0 .. config.Steps - 1 do
                let share = float step / float config.Steps
                let size = along config.StepSize share
                let temperature = along config.Temperature (min 1.0 (share / config.Cooling))
                let old = x

                x <-
                    Tensors.scoped List.singleton (fun () ->
                        let gradient = Target.boxGradient target old
                        Checks.finite "gradient" (fun _ -> $"step {step}") target old [ n; target.Dim ] gradient
                        let drift = gradient.mul (Scalars.ofFloat (0.5 * size / temperature))
                        let noise = Key.normal Compute.cpu [ n; target.Dim ] (Key.foldIn (int64 step) noiseKey)
                        clip (old.add(drift).add(noise.mul (Scalars.ofFloat (sqrt size)))))

                old.Dispose()

            x.mul (Scalars.ofFloat target.HalfWidth))
