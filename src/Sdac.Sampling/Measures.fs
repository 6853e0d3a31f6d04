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

/// How far samples are from a two-dimensional density. Points are row-major [n, 2] arrays.
[<RequireQualifiedAccess>]
module Measures =
    /// Cells per axis of the grid that `divergence` counts in.
    [<Literal>]
    let private Side = 40

    // Points per axis and cell by which the density is integrated over a cell.
    [<Literal>]
    let private Fine = 6

    let private checkPlane (target: Target) =
        if target.Dim <> 2 then
            invalidArg (nameof target) $"target '{target.Name}' has dimension %d{target.Dim}; measures take 2"

    /// Raises ArgumentException unless the array is at least one row of two finite coordinates.
    let private checkPoints (name: string) (points: float32[]) =
        if points.Length = 0 then
            invalidArg name $"{name} has no rows; a measure needs at least 1"

        if points.Length % 2 <> 0 then
            invalidArg
                name
                $"{name} has {points.Length} numbers, the last one alone in row {points.Length / 2}; a measure takes rows of 2"

        match points |> Array.tryFindIndex (Single.IsFinite >> not) with
        | Some i -> invalidArg name $"{name} has {string points[i]} in row {i / 2}; a measure takes finite coordinates"
        | None -> ()

    let private check (target: Target) (samples: float32[]) =
        checkPlane target
        checkPoints (nameof samples) samples

    /// The target's probability of every cell of the grid over its box, row by row in y.
    let cells (target: Target) : float[] =
        checkPlane target
        let side = Side * Fine
        let at i = ((float i + 0.5) / float side * 2.0 - 1.0) * target.HalfWidth

        let points =
            Array.init (2 * side * side) (fun i -> float32 (at (if i % 2 = 0 then (i / 2) % side else i / 2 / side)))

        let logs =
            Tensors.owning (fun _ -> []) (fun () ->
                Tensors.toArray (target.LogDensity(Tensors.ofArray Compute.cpu [ side * side; 2 ] points)))

        let top = float (Array.max logs)
        let sums = Array.zeroCreate<float>(Side * Side)

        for i in 0 .. side * side - 1 do
            let cell = (i / side / Fine) * Side + (i % side) / Fine
            sums[cell] <- sums[cell] + exp (float logs[i] - top)

        let total = Array.sum sums
        sums |> Array.map (fun s -> s / total)

    let private cellOf halfWidth (x: float32) =
        Math.Clamp(int (floor ((float x / halfWidth + 1.0) / 2.0 * float Side)), 0, Side - 1)

    /// KL(q‖p) of the samples' distribution q from the target p: the plug-in estimate Σ q̂·ln(q̂/p) over a 40 x 40 grid on the
    /// box, with the Miller–Madow correction (m-1)/2n of its bias for m occupied cells; the error is that of the mean of
    /// ln(q̂/p). Detail finer than a cell is not seen. The correction by occupied cells leaves exact samples a bias of about
    /// 0.001 to 0.003 at n = 40,000 (sparse cells), the same for all methods, which the row `exact` shows.
    let divergence (target: Target) (samples: float32[]) : Divergence =
        check target samples
        let n = samples.Length / 2
        let counts = Array.zeroCreate<int>(Side * Side)

        for i in 0 .. n - 1 do
            let cell = cellOf target.HalfWidth samples[2 * i + 1] * Side + cellOf target.HalfWidth samples[2 * i]
            counts[cell] <- counts[cell] + 1

        let terms =
            Array.zip counts (cells target)
            |> Array.filter (fun (count, _) -> count > 0)
            |> Array.map (fun (count, p) ->
                let q = float count / float n
                q, log (q / max p 1e-30))

        let mean = terms |> Array.sumBy (fun (q, log) -> q * log)
        let spread = terms |> Array.sumBy (fun (q, log) -> q * (log - mean) ** 2.0)

        { Value = mean - float (terms.Length - 1) / (2.0 * float n); Error = sqrt (spread / float n) }

    let private distance (a: float32[]) i (b: float32[]) j =
        let dx, dy = float a[2 * i] - float b[2 * j], float a[2 * i + 1] - float b[2 * j + 1]
        sqrt (dx * dx + dy * dy)

    let private meanDistance (a: float32[]) (b: float32[]) =
        let n, m = a.Length / 2, b.Length / 2
        let sums = Array.zeroCreate<float> n

        Sdac.Kernels.Workers.For(
            n,
            fun i ->
                for j in 0 .. m - 1 do
                    sums[i] <- sums[i] + distance a i b j
        )

        let pairs = if obj.ReferenceEquals(a, b) then float n * float (n - 1) else float n * float m
        Array.sum sums / pairs

    /// The energy distance 2·E|X-Y| - E|X-X'| - E|Y-Y'| (Székely & Rizzo 2013), without bias: near 0 it may be negative.
    let energyDistance (a: float32[]) (b: float32[]) : float =
        for name, points in [ nameof a, a; nameof b, b ] do
            checkPoints name points

            if points.Length = 2 then
                invalidArg name $"{name} has 1 row; the distance within a set needs at least 2"

        2.0 * meanDistance a b - meanDistance a a - meanDistance b b

    /// The Wasserstein-2 distance of two equally large sets of points: the root of the smallest mean squared distance over all
    /// pairings, found exactly by successive shortest paths (Kuhn–Munkres), n³ operations.
    let wasserstein2 (a: float32[]) (b: float32[]) : float =
        checkPoints (nameof a) a
        checkPoints (nameof b) b
        let n = a.Length / 2

        if b.Length <> a.Length then
            invalidArg (nameof b) $"Wasserstein-2 pairs two equally large sets, not {n} with {b.Length / 2} points"

        let cost i j = distance a (i - 1) b (j - 1) ** 2.0
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

    /// The largest |share of samples nearest to a mode - the mode's weight|; NaN for a target without modes.
    let modeWeightError (target: Target) (samples: float32[]) : float =
        check target samples

        match List.toArray target.Modes with
        | [||] -> nan
        | modes ->
            let share count = float count / float (samples.Length / 2)

            Array.map2
                (fun count (mode: Mode) -> abs (share count - mode.Weight))
                (countNearest modes samples (fun _ _ -> true))
                modes
            |> Array.max

    /// Modes with at least a tenth of their weight in samples nearest to them and within their radius. Each sample speaks for
    /// one mode only: where modes overlap, a mode that was missed is not found by its neighbour's samples.
    let modesFound (target: Target) (samples: float32[]) : int =
        check target samples
        let modes = List.toArray target.Modes
        let within (mode: Mode) distance = distance < mode.Radius
        let share count = float count / float (samples.Length / 2)

        Array.zip modes (countNearest modes samples within)
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
