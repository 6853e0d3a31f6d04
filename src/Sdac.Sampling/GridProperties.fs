namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// Properties of a density that sums over a grid tell, in one or two dimensions.
[<RequireQualifiedAccess>]
module internal GridProperties =
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

        let y = Tensors.ofArray WeightedDraws.compute [ rows; target.Dim ] points
        let logs = Tensors.toArray (Target.boxEnergy 1.0 target y) |> Array.map float
        let top = Array.max logs
        let density = logs |> Array.map (fun l -> exp (l - top))
        let total = Array.sum density
        struct (y, density |> Array.map (fun d -> d / total))

    let private summable (target: Target) = target.Dim <= 2

    /// The regression's minimiser at a_t is the noise that the density in the box explains, by a sum over a grid.
    let minimiser (target: Target) (kind: NoisyStates) (own: Tensor) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()

        PropertyResult.worst
            "minimiser"
            "weighted draws estimate -√(1-ᾱ)·∇ ln p_t of the density in the box, by a sum over a grid"
            (if summable target then
                 WeightedDraws.tooFew
             else
                 "sums over a grid take one or two dimensions")
            [ if summable target then
                  let struct (points, density) = grid target
                  let points = Tensors.toArray points

                  for t in WeightedDraws.timesteps do
                      let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                      let noisy = WeightedDraws.states target own kind t first

                      let numbers =
                          Key.uniform
                              WeightedDraws.compute
                              [ WeightedDraws.States; WeightedDraws.Draws; target.Dim ]
                              second

                      let w = WeightedDraws.weigh target false t noisy ReverseNoise.TruncatedNormal numbers
                      let found, at = WeightedDraws.means w w.Noise, Tensors.toArray noisy

                      let keep, spread =
                          WeightedDraws.schedule.SqrtAlphaBars[t], WeightedDraws.schedule.SqrtOneMinusAlphaBars[t]

                      let noiseTo row i j =
                          (float at[row * target.Dim + j] - keep * float points[i * target.Dim + j]) / spread

                      // the grid must see each Gaussian
                      if spread / keep > 8.0 / float Side then
                          for row in 0 .. WeightedDraws.States - 1 do
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

                                      abs (value - want) / (5.0 * error + 0.01 * (1.0 + abs want)),
                                      WeightedDraws.levelOf t ]

    /// Points of the density: exact ones where the target has them, else drawn from the grid; None beyond two dimensions.
    let reference (target: Target) (rows: int) (key: Key) : Tensor option =
        match target.Sample with
        | Some _ -> Some(Target.boxSample rows key target)
        | None when summable target ->
            let struct (points, density) = grid target
            let sums = density |> Array.scan (+) 0.0 |> Array.tail
            let points, dim = Tensors.toArray points, target.Dim

            Key.uniform WeightedDraws.compute [ rows ] key
            |> Tensors.toArray
            |> Array.collect (fun u ->
                let i = Array.BinarySearch(sums, float u * Array.last sums)
                let row = min (density.Length - 1) (if i < 0 then ~~~i else i)
                points[row * dim .. row * dim + dim - 1])
            |> Tensors.ofArray WeightedDraws.compute [ rows; dim ]
            |> Some
        | None -> None

    /// Ends of the reverse chain with the estimated score, [rows, D].
    let private chainEnds (target: Target) (rows: int) (draws: int) (keys: Key[]) : Tensor =
        let step i = Key.normal WeightedDraws.compute [ rows; target.Dim ] (Key.foldIn (int64 i) keys[0])

        let predict t (x: Tensor) =
            Tensors.scoped List.singleton (fun () ->
                let numbers =
                    DrawPoints.uniform
                        WeightedDraws.compute
                        DrawPoints.Lattice
                        rows
                        draws
                        target.Dim
                        (Key.foldIn (int64 t) keys[1])

                let w = WeightedDraws.weigh target false t x ReverseNoise.TruncatedNormal numbers
                let share = w.Weights / w.Weights.sum (1L, true)
                (share.unsqueeze 2L * w.Noise).sum 1L)

        Diffusion.reverse
            WeightedDraws.schedule
            predict
            step
            (Key.normal WeightedDraws.compute [ rows; target.Dim ] keys[2])

    /// Mean and deviation of each coordinate.
    let private columns (y: Tensor) =
        let mean = y.mean [| 0L |]
        let deviation = (y - mean).square().mean([| 0L |]).sqrt()

        Array.zip (Tensors.toArray mean) (Tensors.toArray deviation)
        |> Array.map (fun (m, d) -> float m, float d)

    /// The share of points within a mode's radius.
    let private shareOf (target: Target) (mode: Mode) (y: Tensor) : float =
        let centre = Tensors.ofArray WeightedDraws.compute [ 1; 2 ] (mode.Centre |> Array.map float32)

        let inside =
            (Target.seen target (num target.HalfWidth * y) - centre).square().sum(1L).sqrt().lt(num mode.Radius)

        Tensors.scalar (inside.``to`` (torch.float32) |> _.mean())

    /// The reverse chain with the estimated score ends in the density: its mean and deviation by coordinates, and its modes' weights.
    let marginal (target: Target) (key: Key) : PropertyResult =
        use _ = torch.NewDisposeScope()
        let keys = Key.splitMany 4 key
        let rows, draws = 1_000, 64

        PropertyResult.worst
            "marginal"
            "the reverse chain with the estimated score ends in the density: mean, deviation and weights of modes"
            "no exact points beyond two dimensions: give the target a Sample"
            [ match reference target 20_000 keys[3] with
              | None -> ()
              | Some exact ->
                  let sampled = chainEnds target rows draws keys

                  for j, ((mean, deviation), (wanted, width)) in Seq.indexed (Seq.zip (columns sampled) (columns exact)) do
                      // finitely many steps and draws leave a chain a little narrow
                      abs (mean - wanted) / (5.0 * width / sqrt (float rows) + 0.02), $"mean of coordinate {j}"
                      abs (deviation - width) / (0.15 * width + 0.01), $"deviation of coordinate {j}"

                  for i, mode in Seq.indexed target.Modes do
                      let wanted = shareOf target mode exact
                      let error = sqrt (wanted * (1.0 - wanted) / float rows)
                      abs (shareOf target mode sampled - wanted) / (5.0 * error + 0.03), $"weight of mode {i}" ]
