// A task of one's own in plain F# functions, with no engine behind it: a point mass in the plane, in something viscous, that should
// come to rest at the origin. Dynamics are linear and costs quadratic, so that the best policy is known: Riccati's. Train it by its
// name, by any algorithm, then compare:
//   dotnet fsi --exec scripts/own-plain-task.fsx train --task point --algorithm sac --iterations 12000 --out runs/point
//   dotnet fsi --exec scripts/own-plain-task.fsx riccati runs/point                 (after ./build.sh build)
// It also evaluates, sweeps and reports, beside the library's tasks: `own-plain-task.fsx --help`.
#load "sdac.fsx"

open Sdac.Functional
open Sdac.Experiments

/// Position and velocity, [m] and [m/s].
type Point = { X: float; Y: float; Vx: float; Vy: float }

let dt, limit, friction = 0.1, 40, 0.5
let positionCost, velocityCost, actionCost = 1.0, 0.1, 1.0

let point: PlainTask<Point> =
    { Name = "point"
      ActionLow = [ -1.5; -1.5 ] // accelerations, [m/s²]
      ActionHigh = [ 1.5; 1.5 ]
      ObsDim = 4
      MaxEpisodeSteps = limit
      Reset =
        fun key ->
            let u = Key.uniformArray 4 key |> Array.map (fun u -> 2.0 * u - 1.0)
            { X = u[0]; Y = u[1]; Vx = 0.5 * u[2]; Vy = 0.5 * u[3] }
      Step =
        fun s a ->
            let cost =
                positionCost * (s.X * s.X + s.Y * s.Y)
                + velocityCost * (s.Vx * s.Vx + s.Vy * s.Vy)
                + actionCost * (a[0] * a[0] + a[1] * a[1])

            let next =
                { X = s.X + dt * s.Vx
                  Y = s.Y + dt * s.Vy
                  Vx = s.Vx + dt * (a[0] - friction * s.Vx)
                  Vy = s.Vy + dt * (a[1] - friction * s.Vy) }

            struct (next, -cost, false)
      Observe =
        fun s obs ->
            obs[0] <- s.X
            obs[1] <- s.Y
            obs[2] <- s.Vx
            obs[3] <- s.Vy
      Parts =
        fun visit s ->
            { X = visit.Float("x", s.X)
              Y = visit.Float("y", s.Y)
              Vx = visit.Float("vx", s.Vx)
              Vy = visit.Float("vy", s.Vy) } }

/// Riccati's gains (kx, kv) for each step of the episode, a = -(kx x + kv v); both axes have the same. Backwards from the last step,
/// with the cost to go p00 x² + 2 p01 x v + p11 v².
let gains =
    // A = [1 dt; 0 1-f], B = [0; dt]: K = (r + BᵀPB)⁻¹ BᵀPA, P = Q + AᵀPA - AᵀPB K
    let f = 1.0 - friction * dt

    let backwards (p00, p01, p11) _ =
        let bpb = dt * dt * p11
        let bpa0, bpa1 = dt * p01, dt * (dt * p01 + f * p11)
        let k0, k1 = bpa0 / (actionCost + bpb), bpa1 / (actionCost + bpb)
        let q00 = positionCost + p00 - bpa0 * k0
        let q01 = dt * p00 + f * p01 - bpa0 * k1
        let q11 = velocityCost + dt * dt * p00 + 2.0 * dt * f * p01 + f * f * p11 - bpa1 * k1
        (k0, k1), (q00, q01, q11)

    List.mapFold backwards (0.0, 0.0, 0.0) [ 1..limit ] |> fst |> List.rev

/// The return of an episode that chooses its actions so.
let play (act: int -> Point -> float[]) (key: Key) =
    let step (s, total) t =
        let struct (next, reward, _) = point.Step s (act t s)
        next, total + reward

    List.fold step (point.Reset key, 0.0) [ 0 .. limit - 1 ] |> snd

/// What the policy of a run comes to beside the best there is, from the same 200 starts.
let compare (run: string) =
    let registry = Registry.standard |> Registry.addTask point
    use policy = Policy.LoadFrom(registry, $"{run}/checkpoints/best.safetensors")

    let riccati t s =
        let kx, kv = gains[t]
        [| -(kx * s.X + kv * s.Vx); -(kx * s.Y + kv * s.Vy) |]

    let learned t s = policy.Act([| s.X; s.Y; s.Vx; s.Vy |], int64 t)
    let mean act = Key.ofSeed 1L |> Key.splitMany 200 |> Array.averageBy (play act)
    let best, mine, still = mean riccati, mean learned, mean (fun _ _ -> [| 0.0; 0.0 |])
    // costs: the smaller the better
    printfn
        $"Riccati %.4f{best}, the run %.4f{mine}, no action at all %.4f{still}: %.1f{100.0 * best / mine} %% of Riccati's return"

match List.ofArray fsi.CommandLineArgs with
| [ _; "riccati"; run ] ->
    Script.run "own-plain-task.fsx" (fun () ->
        compare run
        0)
| _ -> Registry.standard |> Registry.addTask point |> Main.run fsi.CommandLineArgs
|> exit
