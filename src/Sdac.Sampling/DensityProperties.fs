namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// What a check of one property found.
type PropertyResult =
    {
        Name: string
        /// What must hold
        Statement: string
        /// The largest deviation over what is allowed, so that up to 1 the property holds; None: nothing could be checked
        Worst: float option
        /// Where that was, or why there was nothing to check
        Place: string
    }

    /// False where a deviation is larger than allowed, or no number.
    member result.Holds =
        match result.Worst with
        | Some worst -> worst <= 1.0
        | None -> true

/// What the sampler's mathematics promises, checked on a density and a p̃_t: for densities of one's own, and for this library's in
/// its tests. Statistical bounds are five standard errors; all points are in box coordinates.
[<RequireQualifiedAccess>]
module DensityProperties =
    let private compute = Compute.cpu

    /// Draws of a state in the checks of the score.
    [<Literal>]
    let private Draws = 8_192

    /// States at each noise level.
    [<Literal>]
    let private States = 12

    /// Where fewer draws count than this, an error's size is not known.
    [<Literal>]
    let private LeastDraws = 100.0

    let private schedule = Schedule.create SamplerConfig.standard.Schedule SamplerConfig.standard.Timesteps

    /// Noise levels from nearly none to nearly nothing else.
    let private timesteps =
        [ for share in [ 0.2; 0.35; 0.5; 0.65; 0.8 ] -> int (share * float schedule.Timesteps) ]

    let private uniform (rows: int) (dim: int) (key: Key) : Tensor =
        num 2.0 * Key.uniform compute [ rows; dim ] key - num 1.0

    let private levelOf (t: int) = $"noise level {string (Math.Round(schedule.SqrtRecipM1AlphaBars[t], 3))}"

    /// The largest of deviations over what is allowed; NaN is the largest of all.
    let private worst
        (name: string)
        (statement: string)
        (nothing: string)
        (found: (float * string) seq)
        : PropertyResult =
        let found = List.ofSeq found
        let size (x: float) = if Double.IsNaN x then infinity else x

        match found with
        | [] -> { Name = name; Statement = statement; Worst = None; Place = nothing }
        | _ ->
            let value, place = found |> List.maxBy (fst >> size)
            { Name = name; Statement = statement; Worst = Some(size value); Place = place }

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

        worst
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

        worst
            "gradient"
            "∇ ln p is the slope of ln p"
            ""
            [ for j in 0 .. target.Dim - 1 do
                  let step =
                      Tensors.ofArray
                          compute
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

    /// Weighted means over the draws of each state, and what is needed for their errors.
    [<NoComparison; NoEquality>]
    type private Weighted =
        {
            Timestep: int
            /// [B, K], each state's largest is 1
            Weights: Tensor
            /// ε, [B, K, D]
            Noise: Tensor
            /// ∇ ln p at the clean points, [B, K, D]; only where it is asked for
            Slope: Tensor option
        }

    let private states (target: Target) (own: Tensor) (kind: NoisyStates) (t: int) (key: Key) =
        NoisyStates.draw compute schedule own target.Dim kind (Array.create States t) key

    let private weigh
        (target: Target)
        (slopes: bool)
        (t: int)
        (noisy: Tensor)
        (reverse: ReverseNoise)
        (numbers: Tensor)
        : Weighted =
        let batch, k, dim = Tensors.size 0 numbers, Tensors.size 1 numbers, target.Dim
        let times = Array.create batch t

        let noise =
            match reverse with
            | ReverseNoise.TruncatedNormal ->
                let struct (noise, _) = Rssm.truncatedNoise compute schedule times noisy numbers
                noise
            | ReverseNoise.Clipped
            | ReverseNoise.Unbounded -> numbers

        let clean =
            Rssm.cleanDraws reverse compute schedule times noisy noise |> Tensors.reshape [ batch * k; dim ]

        let energy = Target.boxEnergy 1.0 target clean |> Tensors.view [ batch; k ]

        { Timestep = t
          Weights = (energy - energy.amax ([| 1L |], true)).exp()
          Noise = noise
          Slope =
            if slopes then
                Some(Target.boxGradient target clean |> Tensors.view [ batch; k; dim ])
            else
                None }

    /// Of each state, where enough draws count: the weighted mean of a quantity [B, K, D] and its standard error, by coordinates.
    let private means (w: Weighted) (quantity: Tensor) : (float * float)[] option[] =
        let total = w.Weights.sum (1L, true)
        let share = (w.Weights / total).unsqueeze 2L
        let mean = (share * quantity).sum(1L, true)
        let error = (share * (quantity - mean)).square().sum(1L).sqrt() |> Tensors.toArray
        let effective = share.square().sum(1L).reciprocal() |> Tensors.toArray
        let mean, dim = Tensors.toArray mean, Tensors.size 2 quantity

        [| for row in 0 .. effective.Length - 1 do
               if float effective[row] >= LeastDraws then
                   Some [| for j in 0 .. dim - 1 -> float mean[row * dim + j], float error[row * dim + j] |]
               else
                   None |]

    let private tooFew =
        $"nowhere do {LeastDraws} of {Draws} draws count: the density is too narrow for its box or its dimension"

    /// Weights do not know the density's constant, and those of a state sum to 1.
    let weights (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        worst
            "weights"
            "softmax weights sum to 1 and are those of ln p plus a constant"
            ""
            [ for t in timesteps do
                  let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                  let noisy = states target own kind t first
                  let noise = Key.normal compute [ States; 256; target.Dim ] second
                  let times = Array.create States t
                  let clean = Rssm.cleanDraws ReverseNoise.Clipped compute schedule times noisy noise
                  let flat = clean |> Tensors.reshape [ States * 256; target.Dim ]
                  let energy = Target.boxEnergy 1.0 target flat |> Tensors.view [ States; 256 ]
                  let weights = Rssm.weights RssmWeights.SelfNormalised energy
                  let moved = Rssm.weights RssmWeights.SelfNormalised (energy - energy.mean ())
                  // a sum of K weights, or one of them, beside float32's rounding of energies
                  let rounding = 1e-5 + 1e-6 * Tensors.scalar (energy.abs().amax())
                  Tensors.scalar ((weights.sum 1L - num 1.0).abs().amax()) / 1e-4, $"{levelOf t}: the sum"
                  Tensors.scalar ((weights - moved).abs().amax()) / rounding, $"{levelOf t}: with another constant" ]

    /// E[w·ε] and E[w] by independent draws are those by points of a lattice: weights and draws are unbiased one by one.
    let unbiased (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        worst
            "unbiasedness"
            "the mean of raw weights times noise is the same by independent draws and by a lattice"
            tooFew
            [ for t in timesteps do
                  let keys = Key.splitMany 3 (Key.foldIn (int64 t) key)
                  let noisy = states target own kind t keys[0]
                  let by kind key = DrawPoints.normal compute kind States Draws target.Dim key
                  let energies numbers = weigh target false t noisy ReverseNoise.Clipped numbers

                  let one, other =
                      energies (by DrawPoints.Independent keys[1]), energies (by DrawPoints.Lattice keys[2])

                  for pair in Array.zip (means one one.Noise) (means other other.Noise) do
                      match pair with
                      | Some a, Some b ->
                          for (x, error), (y, _) in Array.zip a b do
                              abs (x - y) / (5.0 * sqrt 2.0 * error + 1e-3), levelOf t
                      | _ -> () ]

    /// The score by the noise that explains the draws is the score by their slopes: ∇ ln p_t = -E[ε]/√(1-ᾱ) = E[∇ ln p]/√ᾱ.
    let scoreIdentity (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        worst
            "score identity"
            "the score by noise, -E[ε]/√(1-ᾱ), is the score by slopes, E[∇ ln p]/√ᾱ"
            tooFew
            [ for t in timesteps do
                  let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                  let noisy = states target own kind t first

                  let w =
                      weigh
                          target
                          true
                          t
                          noisy
                          ReverseNoise.Unbounded
                          (Key.normal compute [ States; Draws; target.Dim ] second)

                  let difference = w.Noise + num schedule.SqrtRecipM1AlphaBars[t] * w.Slope.Value

                  for row in Array.choose id (means w difference) do
                      for value, error in row do
                          abs value / (5.0 * error + 2e-3), levelOf t ]

    // ---- against sums over a grid, in one or two dimensions

    [<Literal>]
    let private Side = 400

    /// The box's points and the density at them, which sums to 1.
    let private grid (target: Target) : struct (Tensor * float[]) =
        let at i = float32 ((float i + 0.5) / float Side * 2.0 - 1.0)
        let rows = if target.Dim = 1 then Side else Side * Side

        let points =
            Array.init (rows * target.Dim) (fun i ->
                let row = i / target.Dim
                at (if i % target.Dim = 0 then row % Side else row / Side))

        let y = Tensors.ofArray compute [ rows; target.Dim ] points
        let logs = Tensors.toArray (Target.boxEnergy 1.0 target y) |> Array.map float
        let top = Array.max logs
        let density = logs |> Array.map (fun l -> exp (l - top))
        let total = Array.sum density
        struct (y, density |> Array.map (fun d -> d / total))

    let private summable (target: Target) = target.Dim <= 2

    /// The regression's minimiser at a_t is the noise that the density in the box explains, by a sum over a grid.
    let minimiser (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        worst
            "minimiser"
            "weighted draws estimate -√(1-ᾱ)·∇ ln p_t of the density in the box, by a sum over a grid"
            (if summable target then
                 tooFew
             else
                 "sums over a grid take one or two dimensions")
            [ if summable target then
                  let struct (points, density) = grid target
                  let points = Tensors.toArray points

                  for t in timesteps do
                      let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                      let noisy = states target own kind t first
                      let numbers = Key.uniform compute [ States; Draws; target.Dim ] second
                      let w = weigh target false t noisy ReverseNoise.TruncatedNormal numbers
                      let found, at = means w w.Noise, Tensors.toArray noisy
                      let keep, spread = schedule.SqrtAlphaBars[t], schedule.SqrtOneMinusAlphaBars[t]

                      let noiseTo row i j =
                          (float at[row * target.Dim + j] - keep * float points[i * target.Dim + j]) / spread

                      // the grid must see each Gaussian
                      if spread / keep > 8.0 / float Side then
                          for row in 0 .. States - 1 do
                              match found[row] with
                              | None -> ()
                              | Some found ->
                                  let squares i = Seq.init target.Dim (fun j -> noiseTo row i j ** 2.0) |> Seq.sum
                                  let exponents = Array.init density.Length (fun i -> -0.5 * squares i)
                                  let top = Array.max exponents
                                  let shares = Array.map2 (fun d e -> d * exp (e - top)) density exponents
                                  let total = Array.sum shares

                                  for j in 0 .. target.Dim - 1 do
                                      let sum =
                                          Seq.init density.Length (fun i -> shares[i] * noiseTo row i j) |> Seq.sum

                                      let value, error = found[j]
                                      let want = sum / total
                                      abs (value - want) / (5.0 * error + 0.01 * (1.0 + abs want)), levelOf t ]

    /// Points of the density: exact ones where the target has them, else drawn from the grid; None beyond two dimensions.
    let reference (target: Target) (rows: int) (key: Key) : Tensor option =
        match target.Sample with
        | Some _ -> Some(Target.boxSample rows key target)
        | None when summable target ->
            let struct (points, density) = grid target
            let sums = density |> Array.scan (+) 0.0 |> Array.tail
            let points, dim = Tensors.toArray points, target.Dim

            Key.uniform compute [ rows ] key
            |> Tensors.toArray
            |> Array.collect (fun u ->
                let i = Array.BinarySearch(sums, float u * Array.last sums)
                let row = min (density.Length - 1) (if i < 0 then ~~~i else i)
                points[row * dim .. row * dim + dim - 1])
            |> Tensors.ofArray compute [ rows; dim ]
            |> Some
        | None -> None

    /// The reverse chain with the estimated score ends in the density: its mean and deviation by coordinates, and its modes' weights.
    let marginal (target: Target) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()
        let keys = Key.splitMany 4 key
        let rows, draws = 1_000, 64

        let chain () =
            let step i = Key.normal compute [ rows; target.Dim ] (Key.foldIn (int64 i) keys[0])

            let predict t (x: Tensor) =
                Tensors.scoped List.singleton (fun () ->
                    let numbers =
                        DrawPoints.uniform
                            compute
                            DrawPoints.Lattice
                            rows
                            draws
                            target.Dim
                            (Key.foldIn (int64 t) keys[1])

                    let w = weigh target false t x ReverseNoise.TruncatedNormal numbers
                    let share = w.Weights / w.Weights.sum (1L, true)
                    (share.unsqueeze 2L * w.Noise).sum 1L)

            Diffusion.reverse schedule predict step (Key.normal compute [ rows; target.Dim ] keys[2])

        let columns (y: Tensor) =
            let mean = y.mean [| 0L |]
            let deviation = (y - mean).square().mean([| 0L |]).sqrt()

            Array.zip (Tensors.toArray mean) (Tensors.toArray deviation)
            |> Array.map (fun (m, d) -> float m, float d)

        let shareOf (mode: Mode) (y: Tensor) =
            let centre = Tensors.ofArray compute [ 1; 2 ] (mode.Centre |> Array.map float32)

            let inside =
                (Target.seen target (num target.HalfWidth * y) - centre).square().sum(1L).sqrt().lt(num mode.Radius)

            Tensors.scalar (inside.``to`` (torch.float32) |> _.mean())

        worst
            "marginal"
            "the reverse chain with the estimated score ends in the density: mean, deviation and weights of modes"
            "no exact points beyond two dimensions: give the target a Sample"
            [ match reference target 20_000 keys[3] with
              | None -> ()
              | Some exact ->
                  let sampled = chain ()

                  for j, ((mean, deviation), (wanted, width)) in Seq.indexed (Seq.zip (columns sampled) (columns exact)) do
                      // finitely many steps and draws leave a chain a little narrow
                      abs (mean - wanted) / (5.0 * width / sqrt (float rows) + 0.02), $"mean of coordinate {j}"
                      abs (deviation - width) / (0.15 * width + 0.01), $"deviation of coordinate {j}"

                  for i, mode in Seq.indexed target.Modes do
                      let wanted = shareOf mode exact
                      let error = sqrt (wanted * (1.0 - wanted) / float rows)
                      abs (shareOf mode sampled - wanted) / (5.0 * error + 0.03), $"weight of mode {i}" ]

    // ---- p̃_t

    /// Draws of p̃_t reach as far as p_t does: the theorem asks for full support, and a network knows nothing of where it never was.
    let reach (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()
        let rows = 4_000

        worst
            "reach"
            "99 % of p_t lie within the draws of p̃_t, coordinate by coordinate"
            "no exact points beyond two dimensions: give the target a Sample"
            [ match reference target rows (Key.foldIn 1_000L key) with
              | None -> ()
              | Some exact ->
                  for t in timesteps do
                      let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                      let times = Array.create rows t

                      let there =
                          Diffusion.noised compute schedule times exact (Key.normal compute [ rows; target.Dim ] first)

                      let drawn =
                          NoisyStates.draw compute schedule own target.Dim kind (Array.create (2 * rows) t) second

                      let low, high = drawn.amin ([| 0L |], true), drawn.amax ([| 0L |], true)
                      let outside = there.lt(low).logical_or(there.gt high).any 1L
                      Tensors.scalar (outside.``to`` (torch.float32) |> _.mean()) / 0.01, levelOf t ]

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
                reference target 4_096 keys[1] |> Option.defaultWith (fun () -> uniform 4_096 target.Dim keys[1])

            [ whole
              gradient target keys[2]
              weights target kind own keys[3]
              unbiased target kind own keys[4]
              scoreIdentity target kind own keys[5]
              minimiser target kind own keys[6]
              marginal target keys[7]
              reach target kind own keys[8] ]
