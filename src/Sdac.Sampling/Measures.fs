namespace Sdac.Sampling

open System
open Sdac.Functional

/// An estimate and its standard error.
type Divergence = { Value: float; Error: float }

/// The error of a learned score at one timestep.
type ScoreError =
    {
        Timestep: int
        /// √(1/ᾱ_t - 1), the noise-to-signal ratio
        NoiseLevel: float
        /// Relative, in L2 under p_t
        Error: float
    }

/// How far samples are from a density. Points are row-major [n, D] arrays; what is counted in cells or by modes is counted in the
/// plane: a target of more than two dimensions is seen there by its view.
[<RequireQualifiedAccess>]
module Measures =
    /// Cells per axis of the grid that `divergence` counts in.
    [<Literal>]
    let Side = 40

    /// Raises ArgumentException unless the array is at least one row of so many finite coordinates.
    let private checkPoints (dim: int) (name: string) (points: float32[]) =
        if points.Length = 0 then
            invalidArg name $"{name} has no rows; a measure needs at least 1"

        if dim < 1 then
            invalidArg (nameof dim) $"points have %d{dim} dimensions; a measure takes at least 1"

        if points.Length % dim <> 0 then
            invalidArg
                name
                $"{name} has {points.Length} numbers, too few of them in row {points.Length / dim}; a measure takes rows of %d{dim}"

        match points |> Array.tryFindIndex (Single.IsFinite >> not) with
        | Some i ->
            invalidArg name $"{name} has {string points[i]} in row {i / dim}; a measure takes finite coordinates"
        | None -> ()

    /// The rows in the plane [n·R, 2] of samples [n, D]. Raises ArgumentException on a target that cannot be seen there, and on
    /// samples that are no rows of finite coordinates.
    let private seen (target: Target) (samples: float32[]) : float32[] =
        if target.View.IsNone then
            // said before a word about the samples, which may be right
            Tensors.owning (fun _ -> []) (fun () ->
                Target.seen target (Tensors.zeros Compute.cpu [ 1; target.Dim ]) |> ignore)

        checkPoints target.Dim (nameof samples) samples

        if target.View.IsNone then
            samples
        else
            Tensors.owning (fun _ -> []) (fun () ->
                Tensors.toArray (
                    Target.seen
                        target
                        (Tensors.ofArray Compute.cpu [ samples.Length / target.Dim; target.Dim ] samples)
                ))

    /// The probability of every cell of the grid over the target's frame, row by row upwards.
    let cells (target: Target) : float[] =
        match target.View with
        | Some view -> view.Shares Side
        | None ->
            let struct (across, upwards) = Target.frame target
            Target.shares (Target.seen target >> target.LogDensity) across upwards Side

    /// KL(q‖p) of the samples' distribution q from the target p: the plug-in estimate Σ q̂·ln(q̂/p) over a 40 x 40 grid on the
    /// box (of more than two dimensions: on the target's view), with the Miller–Madow correction (m-1)/2n of its bias for m occupied cells; the error is that of the mean of
    /// ln(q̂/p). Detail finer than a cell is not seen. The correction by occupied cells leaves exact samples a bias of about
    /// 0.001 to 0.003 at n = 40,000 (sparse cells), the same for all methods, which the row `exact` shows.
    let divergence (target: Target) (samples: float32[]) : Divergence =
        let rows = seen target samples
        let n = rows.Length / 2
        let struct (across, upwards) = Target.frame target
        let counts = Target.histogram Side across upwards rows

        let terms =
            Array.zip counts (cells target)
            |> Array.filter (fun (count, _) -> count > 0)
            |> Array.map (fun (count, p) ->
                let q = float count / float n
                q, log (q / max p 1e-30))

        let mean = terms |> Array.sumBy (fun (q, log) -> q * log)
        let spread = terms |> Array.sumBy (fun (q, log) -> q * (log - mean) ** 2.0)

        // rows of one point are not independent: they count as one
        { Value = mean - float (terms.Length - 1) / (2.0 * float n)
          Error = sqrt (spread / float (samples.Length / target.Dim)) }

    let private distance (dim: int) (a: float32[]) i (b: float32[]) j =
        let mutable sum = 0.0

        for d in 0 .. dim - 1 do
            let away = float a[dim * i + d] - float b[dim * j + d]
            sum <- sum + away * away

        sqrt sum

    let private meanDistance (dim: int) (a: float32[]) (b: float32[]) =
        let n, m = a.Length / dim, b.Length / dim
        let sums = Array.zeroCreate<float> n

        Sdac.Kernels.Workers.For(
            n,
            fun i ->
                for j in 0 .. m - 1 do
                    sums[i] <- sums[i] + distance dim a i b j
        )

        let pairs = if obj.ReferenceEquals(a, b) then float n * float (n - 1) else float n * float m
        Array.sum sums / pairs

    /// The energy distance 2·E|X-Y| - E|X-X'| - E|Y-Y'| (Székely & Rizzo 2013) of points [n, dim] and [m, dim], without bias: near 0
    /// it may be negative.
    let energyDistance (dim: int) (a: float32[]) (b: float32[]) : float =
        for name, points in [ nameof a, a; nameof b, b ] do
            checkPoints dim name points

            if points.Length = dim then
                invalidArg name $"{name} has 1 row; the distance within a set needs at least 2"

        2.0 * meanDistance dim a b - meanDistance dim a a - meanDistance dim b b

    /// The Wasserstein-2 distance of two equally large sets of points [n, dim]: the root of the smallest mean squared distance
    /// over all pairings, found exactly by successive shortest paths (Kuhn–Munkres), n³ operations.
    let wasserstein2 (dim: int) (a: float32[]) (b: float32[]) : float =
        checkPoints dim (nameof a) a
        checkPoints dim (nameof b) b
        let n = a.Length / dim

        if b.Length <> a.Length then
            invalidArg (nameof b) $"Wasserstein-2 pairs two equally large sets, not {n} with {b.Length / dim} points"

        let cost i j = distance dim a (i - 1) b (j - 1) ** 2.0
        // Potentials of rows and columns, and the row paired with each column; index 0 stands for none.
        let u, v, row, way =
            Array.zeroCreate<float>(n + 1),
            Array.zeroCreate<float>(n + 1),
            Array.zeroCreate<int>(n + 1),
            Array.zeroCreate<int>(n + 1)

        for i in 1..n do
            row[0] <- i
            let mutable column = 0
            let least, used = Array.create (n + 1) Double.PositiveInfinity, Array.create (n + 1) false
            let mutable searching = true

            while searching do
                used[column] <- true
                let from = row[column]
                let mutable delta, next = Double.PositiveInfinity, 0

                for j in 1..n do
                    if not used[j] then
                        let reduced = cost from j - u[from] - v[j]

                        if reduced < least[j] then
                            least[j] <- reduced
                            way[j] <- column

                        if least[j] < delta then
                            delta <- least[j]
                            next <- j

                for j in 0..n do
                    if used[j] then
                        u[row[j]] <- u[row[j]] + delta
                        v[j] <- v[j] - delta
                    else
                        least[j] <- least[j] - delta

                column <- next
                searching <- row[column] <> 0

            while column <> 0 do
                row[column] <- row[way[column]]
                column <- way[column]

        sqrt ((Seq.init n (fun j -> cost row[j + 1] (j + 1)) |> Seq.sum) / float n)

    let private toCentre (samples: float32[]) i (mode: Mode) =
        sqrt ((float samples[2 * i] - mode.Centre[0]) ** 2.0 + (float samples[2 * i + 1] - mode.Centre[1]) ** 2.0)

    /// Per mode, the number of samples that are `near` it among those whose nearest mode it is.
    let private countNearest (modes: Mode[]) (samples: float32[]) (near: Mode -> float -> bool) : int[] =
        let counts = Array.zeroCreate<int> modes.Length

        for i in 0 .. samples.Length / 2 - 1 do
            let nearest, distance = Seq.init modes.Length (fun m -> m, toCentre samples i modes[m]) |> Seq.minBy snd

            if near modes[nearest] distance then
                counts[nearest] <- counts[nearest] + 1

        counts

    /// The largest |share of rows nearest to a mode - the mode's weight|; NaN for a target without modes.
    let modeWeightError (target: Target) (samples: float32[]) : float =
        let rows = seen target samples

        match List.toArray target.Modes with
        | [||] -> nan
        | modes ->
            let share count = float count / float (rows.Length / 2)

            Array.map2
                (fun count (mode: Mode) -> abs (share count - mode.Weight))
                (countNearest modes rows (fun _ _ -> true))
                modes
            |> Array.max

    /// Modes with at least a tenth of their weight in samples nearest to them and within their radius. Each sample speaks for
    /// one mode only: where modes overlap, a mode that was missed is not found by its neighbour's samples.
    let modesFound (target: Target) (samples: float32[]) : int =
        let rows = seen target samples
        let modes = List.toArray target.Modes
        let within (mode: Mode) distance = distance < mode.Radius
        let share count = float count / float (rows.Length / 2)

        Array.zip modes (countNearest modes rows within)
        |> Array.filter (fun (mode, count) -> share count >= 0.1 * mode.Weight)
        |> Array.length

    /// The relative L2 error of a score under p_t at every timestep with ᾱ_t in [0.01, 0.99], by n points; empty
    /// where no closed form is known. `score` gives it at a timestep for points [N, D] in box coordinates.
    let scoreErrors
        (schedule: Schedule)
        (target: Target)
        (score: int -> Tensor -> Tensor)
        (n: int)
        (key: Key)
        : ScoreError list =
        Checks.samples n

        match target.NoisedScore with
        | None -> []
        | Some exact ->
            [ for t in 0 .. schedule.Timesteps - 1 do
                  let alphaBar = schedule.AlphaBars[t]

                  if alphaBar >= 0.01 && alphaBar <= 0.99 then
                      use _ = TorchSharp.torch.NewDisposeScope()
                      let struct (first, second) = Key.split (Key.foldIn (int64 t) key)
                      let clean = Target.boxSample n first target
                      let noise = Key.normal Compute.cpu [ n; target.Dim ] second
                      let y = Diffusion.noised Compute.cpu schedule (Array.create n t) clean noise
                      let want = exact alphaBar y

                      { Timestep = t
                        NoiseLevel = schedule.SqrtRecipM1AlphaBars[t]
                        Error = Tensors.norm ((score t y).sub want) / Tensors.norm want } ]
