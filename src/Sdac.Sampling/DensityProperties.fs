namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// What the sampler's mathematics promises, checked on a density and a p̃_t: for densities of one's own, and for this library's in
/// its tests. Statistical bounds are five standard errors; all points are in box coordinates.
[<RequireQualifiedAccess>]
module DensityProperties =
    let private uniform (rows: int) (dim: int) (key: Key) : Tensor =
        num 2.0 * Key.uniform WeightedDraws.compute [ rows; dim ] key - num 1.0

    let private pointText (values: float32[]) =
        values |> Array.map (fun v -> Math.Round(float v, 3) |> string) |> String.concat ", "

    // ---- the density alone

    /// ln p is a finite number everywhere in the box.
    let finite (target: Target) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()
        let rows = 4_096
        let y = uniform rows target.Dim key
        let energy = Target.boxEnergy 1.0 target y
        Tensors.check $"the log density of target '{target.Name}'" [ rows ] energy
        let energy, points = Tensors.toArray energy, Tensors.toArray y

        PropertyResult.worst
            "finite"
            "ln p is finite in the whole box"
            ""
            [ match energy |> Array.tryFindIndex (Single.IsFinite >> not) with
              | Some i ->
                  infinity,
                  $"ln p is {string energy[i]} at ({pointText points[i * target.Dim .. (i + 1) * target.Dim - 1]}) of the box"
              | None -> 0.0, $"{rows} points" ]

    /// The gradient is the slope of ln p, by central differences.
    let gradient (target: Target) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()
        let rows, h = 64, 1e-3
        let y = uniform rows target.Dim key
        let slopes = Tensors.toArray (Target.boxGradient target y)
        let values (y: Tensor) = Tensors.toArray (Target.boxEnergy 1.0 target y) |> Array.map float

        PropertyResult.worst
            "gradient"
            "∇ ln p is the slope of ln p"
            ""
            [ for j in 0 .. target.Dim - 1 do
                  let step =
                      Tensors.ofArray
                          WeightedDraws.compute
                          [ 1; target.Dim ]
                          (Array.init target.Dim (fun i -> if i = j then float32 h else 0.0f))

                  let up, down = values (y + step), values (y - step)

                  for i in 0 .. rows - 1 do
                      let slope, given = (up[i] - down[i]) / (2.0 * h), float slopes[i * target.Dim + j]
                      // float32's rounding of ln p over 2h
                      let rounding = 1e-6 * (abs up[i] + abs down[i]) / h

                      abs (slope - given) / (0.02 * (1.0 + abs slope) + rounding),
                      $"coordinate {j}: {string (Math.Round(given, 3))}, by differences {string (Math.Round(slope, 3))}" ]

    // ---- weights and scores

    /// Weights do not know the density's constant, and those of a state sum to 1.
    let weights (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        PropertyResult.worst
            "weights"
            "softmax weights sum to 1 and are those of ln p plus a constant"
            ""
            [ for t in WeightedDraws.timesteps do
                  let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                  let noisy = WeightedDraws.states target own kind t first
                  let noise = Key.normal WeightedDraws.compute [ WeightedDraws.States; 256; target.Dim ] second
                  let times = Array.create WeightedDraws.States t

                  let clean =
                      Rssm.cleanDraws
                          ReverseNoise.Clipped
                          WeightedDraws.compute
                          WeightedDraws.schedule
                          times
                          noisy
                          noise

                  let flat = clean |> Tensors.reshape [ WeightedDraws.States * 256; target.Dim ]
                  let energy = Target.boxEnergy 1.0 target flat |> Tensors.view [ WeightedDraws.States; 256 ]
                  let weights = Rssm.weights RssmWeights.SelfNormalised energy
                  let moved = Rssm.weights RssmWeights.SelfNormalised (energy - energy.mean ())
                  // a sum of K weights, or one of them, beside float32's rounding of energies
                  let rounding = 1e-5 + 1e-6 * Tensors.scalar (energy.abs().amax())
                  Tensors.scalar ((weights.sum 1L - num 1.0).abs().amax()) / 1e-4, $"{WeightedDraws.levelOf t}: the sum"

                  Tensors.scalar ((weights - moved).abs().amax()) / rounding,
                  $"{WeightedDraws.levelOf t}: with another constant" ]

    /// E[w·ε] and E[w] by independent draws are those by points of a lattice: weights and draws are unbiased one by one.
    let unbiased (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        PropertyResult.worst
            "unbiasedness"
            "the mean of raw weights times noise is the same by independent draws and by a lattice"
            WeightedDraws.tooFew
            [ for t in WeightedDraws.timesteps do
                  let keys = Key.splitMany 3 (Key.foldIn (int64 t) key)
                  let noisy = WeightedDraws.states target own kind t keys[0]

                  let by kind key =
                      DrawPoints.normal
                          WeightedDraws.compute
                          kind
                          WeightedDraws.States
                          WeightedDraws.Draws
                          target.Dim
                          key

                  let energies numbers = WeightedDraws.weigh target false t noisy ReverseNoise.Clipped numbers

                  let one, other =
                      energies (by DrawPoints.Independent keys[1]), energies (by DrawPoints.Lattice keys[2])

                  for pair in Array.zip (WeightedDraws.means one one.Noise) (WeightedDraws.means other other.Noise) do
                      match pair with
                      | Some a, Some b ->
                          for (x, error), (y, _) in Array.zip a b do
                              abs (x - y) / (5.0 * sqrt 2.0 * error + 1e-3), WeightedDraws.levelOf t
                      | _ -> () ]

    /// The score by the noise that explains the draws is the score by their slopes: ∇ ln p_t = -E[ε]/√(1-ᾱ) = E[∇ ln p]/√ᾱ.
    let scoreIdentity (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        PropertyResult.worst
            "score identity"
            "the score by noise, -E[ε]/√(1-ᾱ), is the score by slopes, E[∇ ln p]/√ᾱ"
            WeightedDraws.tooFew
            [ for t in WeightedDraws.timesteps do
                  let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                  let noisy = WeightedDraws.states target own kind t first

                  let w =
                      WeightedDraws.weigh
                          target
                          true
                          t
                          noisy
                          ReverseNoise.Unbounded
                          (Key.normal
                              WeightedDraws.compute
                              [ WeightedDraws.States; WeightedDraws.Draws; target.Dim ]
                              second)

                  let difference = w.Noise + num WeightedDraws.schedule.SqrtRecipM1AlphaBars[t] * w.Slope.Value

                  for row in Array.choose id (WeightedDraws.means w difference) do
                      for value, error in row do
                          abs value / (5.0 * error + 2e-3), WeightedDraws.levelOf t ]

    // ---- p̃_t

    /// Draws of p̃_t reach as far as p_t does: the theorem asks for full support, and a network knows nothing of where it never was.
    let reach (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()
        let rows = 4_000

        PropertyResult.worst
            "reach"
            "99 % of p_t lie within the draws of p̃_t, coordinate by coordinate"
            "no exact points beyond two dimensions: give the target a Sample"
            [ match GridProperties.reference target rows (Key.foldIn 1_000L key) with
              | None -> ()
              | Some exact ->
                  for t in WeightedDraws.timesteps do
                      let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                      let times = Array.create rows t

                      let there =
                          Diffusion.noised
                              WeightedDraws.compute
                              WeightedDraws.schedule
                              times
                              exact
                              (Key.normal WeightedDraws.compute [ rows; target.Dim ] first)

                      let drawn =
                          NoisyStates.draw
                              WeightedDraws.compute
                              WeightedDraws.schedule
                              own
                              target.Dim
                              kind
                              (Array.create (2 * rows) t)
                              second

                      let low, high = drawn.amin ([| 0L |], true), drawn.amax ([| 0L |], true)
                      let outside = there.lt(low).logical_or(there.gt high).any 1L
                      Tensors.scalar (outside.``to`` (torch.float32) |> _.mean()) / 0.01, WeightedDraws.levelOf t ]

    /// All of them, in the order in which to read them. A density that is not finite gets no further.
    let all (target: Target) (kind: NoisyStates) (key: Key) : PropertyResult list =
        match NoisyStates.problem kind with
        | Some problem -> invalidArg (nameof kind) problem
        | None -> ()

        let keys = Key.splitMany 9 key
        let whole = finite target keys[0]

        if not whole.Holds then
            [ whole ]
        else
            use _ = torch.NewDisposeScope()

            let own =
                GridProperties.reference target 4_096 keys[1]
                |> Option.defaultWith (fun () -> uniform 4_096 target.Dim keys[1])

            [ whole
              gradient target keys[2]
              weights target kind own keys[3]
              unbiased target kind own keys[4]
              scoreIdentity target kind own keys[5]
              GridProperties.minimiser target kind own keys[6]
              GridProperties.marginal target keys[7]
              reach target kind own keys[8] ]
