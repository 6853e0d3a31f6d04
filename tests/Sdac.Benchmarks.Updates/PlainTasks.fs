namespace Sdac.Benchmarks

open Sdac.Functional

/// Four numbers of a plain task's state.
type FourNumbers = { X: float; Y: float; Vx: float; Vy: float }

/// The smallest plain task with something in it: a point in the plane that is pushed.
[<RequireQualifiedAccess>]
module PlainTasks =
    let point: PlainTask<FourNumbers> =
        { Name = "plain F# of four numbers"
          ActionLow = [ -1.0; -1.0 ]
          ActionHigh = [ 1.0; 1.0 ]
          ObsDim = 4
          MaxEpisodeSteps = 1_000
          Reset =
            fun key ->
                let u = Key.uniformArray 2 key
                { X = u[0]; Y = u[1]; Vx = 0.0; Vy = 0.0 }
          Step =
            fun s a ->
                let next =
                    { X = s.X + 0.01 * s.Vx; Y = s.Y + 0.01 * s.Vy; Vx = s.Vx + 0.01 * a[0]; Vy = s.Vy + 0.01 * a[1] }

                struct (next, -(s.X * s.X + s.Y * s.Y), false)
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
