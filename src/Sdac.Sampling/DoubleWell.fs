namespace Sdac.Sampling

open System
open Sdac.Functional
open Sdac.Kernels

/// Particles in the plane that attract and repel one another by a double well of their distance d (Köhler, Klein & Noé 2020,
/// arXiv 2006.02425, section 5.1): E = 1/(2τ)·Σ_{i≠j} a·(d_ij - d₀) + b·(d_ij - d₀)² + c·(d_ij - d₀)⁴, each pair counted twice
/// and halved, with a = 0, b = -4, c = 0.9, d₀ = 4, τ = 1.
///
/// exp(-E) does not change when all particles are moved together, so that it has no integral. Publications keep to the space where
/// the particles' mean is zero. The samplers here want a density of all coordinates: the mean m of N particles is independent of the
/// rest and √N·m normal with unit variance, so ln p = -E(x) - ½·N·|m|². What is mean-free of a sample is then a sample of the
/// publications' density, and distances and energies have the same distribution in both.
[<RequireQualifiedAccess>]
module DoubleWell =
    [<Literal>]
    let private A = 0.0

    [<Literal>]
    let private B = -4.0

    [<Literal>]
    let private C = 0.9

    /// d₀
    [<Literal>]
    let private D0 = 4.0

    /// τ
    [<Literal>]
    let private Tau = 1.0

    /// One pair's part of E at distance d.
    let private pairEnergy (d: float) =
        let away = d - D0
        (A * away + away * away * (B + C * away * away)) / Tau

    /// Its derivative.
    let private pairSlope (d: float) =
        let away = d - D0
        (A + away * (2.0 * B + 4.0 * C * away * away)) / Tau

    let inline private distance (v: float32[]) start i j =
        let dx = float v[start + 2 * i] - float v[start + 2 * j]
        let dy = float v[start + 2 * i + 1] - float v[start + 2 * j + 1]
        sqrt (dx * dx + dy * dy)

    /// E of n particles at v[start ..].
    let private energyAt (n: int) (v: float32[]) (start: int) =
        let mutable sum = 0.0

        for i in 0 .. n - 1 do
            for j in i + 1 .. n - 1 do
                sum <- sum + pairEnergy (distance v start i j)

        sum

    let private meanAt (n: int) (v: float32[]) start axis =
        let mutable sum = 0.0

        for i in 0 .. n - 1 do
            sum <- sum + float v[start + 2 * i + axis]

        sum / float n

    /// E of configurations [N, 2·particles], without the term of the mean: [N].
    let energy (particles: int) (x: Tensor) : Tensor = Rows.map (energyAt particles) x

    let private logDensity (n: int) : Tensor -> Tensor =
        Rows.map (fun v start ->
            let x, y = meanAt n v start 0, meanAt n v start 1
            -(energyAt n v start) - 0.5 * float n * (x * x + y * y))

    let private gradient (n: int) : Tensor -> Tensor =
        Rows.mapVector (fun v start result ->
            // ∂m/∂x_i = 1/N: the term of the mean pulls every particle alike
            let x, y = meanAt n v start 0, meanAt n v start 1

            for i in 0 .. n - 1 do
                let mutable gx, gy = -x, -y

                for j in 0 .. n - 1 do
                    if j <> i then
                        // two particles in one place have no direction
                        let d = max 1e-9 (distance v start i j)
                        let pull = pairSlope d / d
                        gx <- gx - pull * (float v[start + 2 * i] - float v[start + 2 * j])
                        gy <- gy - pull * (float v[start + 2 * i + 1] - float v[start + 2 * j + 1])

                result[start + 2 * i] <- float32 gx
                result[start + 2 * i + 1] <- float32 gy)

    /// A chain of the reference: sweeps of one move of each particle.
    type private Chain = { Rest: int; Apart: int; Kept: int }

    /// 300 sweeps to forget the start, then 40 configurations 20 sweeps apart.
    let private chain = { Rest = 300; Apart = 20; Kept = 40 }

    /// Deviations of proposals in turn: within a well, between wells, across the whole configuration.
    let private jumps = [| 0.3; 1.0; 3.0 |]

    /// The kept configurations of one Metropolis chain on exp(-E). What leaves E alone is drawn afresh in each of them: a turn, an
    /// order of the particles, the mean.
    let private walk (n: int) (key: Key) : float32[] =
        let keys = Key.splitMany 5 key
        let sweeps = chain.Rest + chain.Apart * chain.Kept
        let moves = Key.normalArray (2 * n * sweeps) keys[0]
        let chances = Key.uniformArray (n * sweeps) keys[1]
        let x = Key.normalArray (2 * n) keys[2] |> Array.map (fun z -> float32 (3.0 * z))
        let symmetries = Key.uniformArray ((n + 1) * chain.Kept) keys[3]
        let means = Key.normalArray (2 * chain.Kept) keys[4]
        let kept = Array.zeroCreate<float32>(2 * n * chain.Kept)

        let around (i: int) =
            let mutable sum = 0.0

            for j in 0 .. n - 1 do
                if j <> i then
                    sum <- sum + pairEnergy (distance x 0 i j)

            sum

        let keep (place: int) =
            let at = place * (n + 1)
            let angle = 2.0 * Math.PI * symmetries[at]
            let order = [| 0 .. n - 1 |] |> Array.sortBy (fun i -> symmetries[at + 1 + i])
            let mx, my = meanAt n x 0 0, meanAt n x 0 1
            let centre axis = means[2 * place + axis] / sqrt (float n)

            for i in 0 .. n - 1 do
                let px, py = float x[2 * order[i]] - mx, float x[2 * order[i] + 1] - my
                kept[2 * (place * n + i)] <- float32 (cos angle * px - sin angle * py + centre 0)
                kept[2 * (place * n + i) + 1] <- float32 (sin angle * px + cos angle * py + centre 1)

        for sweep in 0 .. sweeps - 1 do
            let size = jumps[sweep % jumps.Length]

            for i in 0 .. n - 1 do
                let move = sweep * n + i
                let oldX, oldY, before = x[2 * i], x[2 * i + 1], around i
                x[2 * i] <- oldX + float32 (size * moves[2 * move])
                x[2 * i + 1] <- oldY + float32 (size * moves[2 * move + 1])

                if log chances[move] >= before - around i then
                    x[2 * i] <- oldX
                    x[2 * i + 1] <- oldY

            let past = sweep + 1 - chain.Rest

            if past > 0 && past % chain.Apart = 0 then
                keep (past / chain.Apart - 1)

        kept

    /// n samples [n, 2·particles] of Metropolis chains, 40 from each: nearly independent, since 20 sweeps lie between two.
    let private sample (particles: int) (n: int) (key: Key) : Tensor =
        let chains = (n + chain.Kept - 1) / chain.Kept
        let found = Array.zeroCreate<float32[]> chains
        Workers.For(chains, fun i -> found[i] <- walk particles (Key.foldIn (int64 i) key))
        Tensors.ofArray Compute.cpu [ n; 2 * particles ] (Array.sub (Array.concat found) 0 (2 * particles * n))

    /// Distances of all pairs and, beside each, the energy of the whole: [N, 2·particles] -> [N·pairs, 2].
    let private project (n: int) (x: Tensor) : Tensor =
        let configurations, pairs = Tensors.size 0 x, n * (n - 1) / 2
        let v = Tensors.toArray x
        let rows = Array.zeroCreate<float32>(2 * configurations * pairs)

        for c in 0 .. configurations - 1 do
            let start = c * 2 * n
            let energy = float32 (energyAt n v start)
            let mutable row = c * pairs

            for i in 0 .. n - 1 do
                for j in i + 1 .. n - 1 do
                    rows[2 * row] <- float32 (distance v start i j)
                    rows[2 * row + 1] <- energy
                    row <- row + 1

        Tensors.ofArray Compute.cpu [ configurations * pairs; 2 ] rows

    /// Configurations by which the shares of cells are estimated, and the seed of their chains.
    [<Literal>]
    let private Reference = 100_000

    [<Literal>]
    let private ReferenceSeed = 4L

    let private view (n: int) (upwards: float * float) : View =
        let across = 0.0, 9.0

        let reference =
            lazy
                Tensors.owning (fun _ -> []) (fun () ->
                    sample n Reference (Key.ofSeed ReferenceSeed) |> project n |> Tensors.toArray)

        // half a row more in each cell: none is impossible
        let shares side =
            let counts = Target.histogram side across upwards reference.Value
            let total = float (Array.sum counts) + 0.5 * float counts.Length
            counts |> Array.map (fun count -> (float count + 0.5) / total)

        { Axes = "distance of each pair", "energy"
          Across = across
          Upwards = upwards
          Project = project n
          Shares = shares }

    /// So many particles, 2·particles dimensions. Raises ArgumentException for fewer than two.
    let target (name: string) (particles: int) : Target =
        if particles < 2 then
            invalidArg (nameof particles) $"target '{name}' has %d{particles} particles; it needs at least 2"

        let pairs = float (particles * (particles - 1) / 2)

        { Target.create name (2 * particles) (4.0 + 0.5 * float particles) (logDensity particles) with
            Gradient = gradient particles
            Sample = Some(sample particles)
            // a pair's energy is -4.44 at least
            View = Some(view particles (-4.5 * pairs, pairs))
            About =
                $"%d{particles} particles in the plane, in %d{2 * particles} dimensions, each pair in a double well of its distance; the shades are those of a long Metropolis run" }
