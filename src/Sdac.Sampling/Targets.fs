namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// The targets of the literature on sampling, by name.
[<RequireQualifiedAccess>]
module Targets =
    let private about (sentence: string) (target: Target) : Target = { target with About = sentence }

    let private round weight x y deviation =
        { Weight = weight; Mean = [| x; y |]; Deviation = [| deviation; deviation |] }

    /// One normal distribution, off centre and wider in one direction.
    let gaussian =
        Mixture.target "gaussian" 6.0 [ { Weight = 1.0; Mean = [| 1.0; -0.5 |]; Deviation = [| 1.2; 0.6 |] } ]
        |> about "one normal distribution, off centre and wider in one direction"

    /// Modes at (3, 3) and (-3, -3) with weights 0.8 and 0.2 and unit covariance.
    let pair =
        Mixture.target "pair" 7.0 [ round 0.8 3.0 3.0 1.0; round 0.2 -3.0 -3.0 1.0 ]
        |> about "two modes, of which the upper right one holds 80 % of the samples"

    /// Eight modes on a circle with weights 8 : 7 : ... : 1.
    let eight =
        Mixture.target
            "eight"
            6.0
            [ for i in 0..7 ->
                  let angle = float i * Math.PI / 4.0
                  round (float (8 - i)) (4.0 * cos angle) (4.0 * sin angle) 0.4 ]
        |> about "eight modes on a circle, the right one eight times as heavy as the last"

    /// 40 equally heavy modes with centres uniform on [-40, 40]², deviation ln(1 + e).
    let forty =
        let u = Key.uniform Compute.cpu [ 40; 2 ] (Key.ofSeed 0L) |> Tensors.toArray
        let at i = 80.0 * float u[i] - 40.0

        Mixture.target "forty" 50.0 [ for i in 0..39 -> round 1.0 (at (2 * i)) (at (2 * i + 1)) (log (1.0 + Math.E)) ]
        |> about "forty equally heavy modes"

    /// Exact samples by rejection from the uniform distribution on the box; `top` bounds the log-density.
    let private rejection (dim: int) halfWidth (top: float) (logDensity: Tensor -> Tensor) (n: int) (key: Key) =
        let kept = Array.zeroCreate<float32>(n * dim)
        let mutable count = 0
        let mutable round = 0L

        while count < n do
            let keys = Key.splitMany 2 (Key.foldIn round key)
            let tries = max 1024 (4 * n)

            let x =
                (Key.uniform Compute.cpu [ tries; dim ] keys[0])
                    .mul(Scalars.ofFloat (2.0 * halfWidth))
                    .sub(Scalars.ofFloat halfWidth)

            let points, heights = Tensors.toArray x, Tensors.toArray (logDensity x)
            let u = Key.uniform Compute.cpu [ tries ] keys[1] |> Tensors.toArray

            for i in 0 .. tries - 1 do
                if count < n && float u[i] < exp (float heights[i] - top) then
                    Array.blit points (i * dim) kept (count * dim) dim
                    count <- count + 1

            round <- round + 1L

        Tensors.ofArray Compute.cpu [ n; dim ] kept

    /// ∇ of a two-dimensional log-density given as a function that returns value, ∂/∂x and ∂/∂y.
    let private planar name halfWidth top modes (f: float -> float -> struct (float * float * float)) =
        let logDensity =
            Rows.map (fun v i ->
                let struct (value, _, _) = f (float v[i]) (float v[i + 1])
                value)

        { Target.create name 2 halfWidth logDensity with
            Gradient =
                Rows.mapVector (fun v i result ->
                    let struct (_, dx, dy) = f (float v[i]) (float v[i + 1])
                    result[i] <- float32 dx
                    result[i + 1] <- float32 dy)
            Sample = Some(rejection 2 halfWidth top logDensity)
            Modes = modes }

    /// Two moons: a ring of radius 2 cut into a left and a right half,
    /// ln p = -½((|x| - 2)/0.2)² + ln(exp(-½((x₁ - 2)/0.3)²) + exp(-½((x₁ + 2)/0.3)²)).
    let moons =
        let f (x: float) (y: float) =
            let r = max 1e-9 (sqrt (x * x + y * y))
            let radial = (r - 2.0) / 0.04
            let right, left = -0.5 * ((x - 2.0) / 0.3) ** 2.0, -0.5 * ((x + 2.0) / 0.3) ** 2.0
            let top = max left right
            let log2 = top + log (exp (left - top) + exp (right - top))
            let share = exp (right - log2)
            let pull = -(share * (x - 2.0) + (1.0 - share) * (x + 2.0)) / 0.09
            struct (-0.5 * (r - 2.0) * radial + log2, -radial * x / r + pull, -radial * y / r)

        let half sign = { Centre = [| sign * 2.0; 0.0 |]; Weight = 0.5; Radius = 2.0 }
        planar "moons" 4.0 1e-6 [ half 1.0; half -1.0 ] f |> about "two moons: a ring cut into two halves"

    /// Three rings of radii 1, 3 and 5 with deviation 0.25: ln p = ln Σ exp(-½((|x| - r_i)/0.25)²).
    let rings =
        let radii = [| 1.0; 3.0; 5.0 |]

        let f (x: float) (y: float) =
            let r = max 1e-9 (sqrt (x * x + y * y))
            let logs = radii |> Array.map (fun radius -> -0.5 * ((r - radius) / 0.25) ** 2.0)
            let top = Array.max logs
            let mutable sum, slope = 0.0, 0.0

            for i in 0..2 do
                let weight = exp (logs[i] - top)
                sum <- sum + weight
                slope <- slope - weight * (r - radii[i]) / 0.0625

            struct (top + log sum, slope / sum * x / r, slope / sum * y / r)

        planar "rings" 6.5 1e-6 [] f |> about "three rings of one width"

    /// A 4 x 4 board on [-4, 4]² of which every other square is filled, with edges softened by a normal of deviation 0.1.
    let checkerboard =
        let soft = 0.1
        let normal z = exp (-0.5 * z * z) / sqrt (2.0 * Math.PI)

        // Along one axis: the edge nearest to x (edge e is at 2e - 4), the shares of the intervals before and after it, and
        // the derivative of the latter. Every other edge is at least ten deviations away: its part is below 1e-22.
        let nearest x =
            let edge = Math.Clamp(int (Math.Round((x + 4.0) / 2.0)), 0, 4)
            let z = (x - 2.0 * float edge + 4.0) / soft
            struct (edge, NormalInterval.phi -z, NormalInterval.phi z, normal z / soft)

        let filled i j = i >= 0 && i < 4 && j >= 0 && j < 4 && (i + j) % 2 = 0

        // Keeps the logarithm finite far from every square.
        let floor = 1e-12

        let f x y =
            let mutable value, dx, dy = floor, 0.0, 0.0

            let struct (column, before, after, slopeX) = nearest x
            let struct (row, below, above, slopeY) = nearest y

            for i in 0..1 do
                for j in 0..1 do
                    if filled (column - 1 + i) (row - 1 + j) then
                        let struct (px, gx) = if i = 0 then struct (before, -slopeX) else struct (after, slopeX)
                        let struct (py, gy) = if j = 0 then struct (below, -slopeY) else struct (above, slopeY)
                        value <- value + px * py
                        dx <- dx + gx * py
                        dy <- dy + px * gy

            struct (log value, dx / value, dy / value)

        let squares =
            [ for i in 0..3 do
                  for j in 0..3 do
                      if filled i j then
                          { Centre = [| -3.0 + 2.0 * float i; -3.0 + 2.0 * float j |]; Weight = 0.125; Radius = 1.3 } ]

        planar "checkerboard" 5.0 1e-3 squares f
        |> about "a board of 4 x 4 squares, every other one filled evenly"

    /// Sixteen double wells: 32 dimensions, 2¹⁶ modes.
    let manyWell = ManyWell.target "many-well" 16

    /// Four particles in the plane: 8 dimensions.
    let dw4 = DoubleWell.target "dw4" 4

    /// All named targets.
    let all = [ gaussian; pair; eight; forty; moons; rings; checkerboard; manyWell; dw4 ]
