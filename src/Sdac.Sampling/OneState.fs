namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// A known value of one action a in [-1, 1] for one state; the density exp(Q) (λ = 1) is what a policy may learn.
[<NoComparison; NoEquality>]
type OneStateTarget =
    {
        Name: string
        /// Q(a) of each entry
        Value: Tensor -> Tensor
        /// dQ/da of each entry
        Slope: Tensor -> Tensor
        /// Between its two modes; None where it has one
        Split: float option
    }

/// How far samples are from a target, on a grid of equal cells over [-1, 1].
type OneStateMeasures =
    {
        /// KL(samples ‖ target) by cells
        Kl: float
        /// |share of the samples beyond the split - that of the target|; NaN where there is one mode
        ModeWeightError: float
    }

/// States with one action whose Q is known, what comes near to it, and how far samples are from exp(Q).
[<RequireQualifiedAccess>]
module OneState =
    /// Q = -½·k·(a - c)², inside the box: exp(Q) is Gaussian.
    let quadratic: OneStateTarget =
        let k, c = 25.0, 0.2

        { Name = "quadratic"
          Value = fun a -> num (-0.5 * k) * (a - num c).square()
          Slope = fun a -> num -k * (a - num c)
          Split = None }

    /// exp(Q) is a mixture of two Gaussians, 0.7 at -0.45 and 0.3 at 0.45.
    let pair: OneStateTarget =
        let spread, centre = 0.15, 0.45

        let log_ (weight: float) (middle: float) (a: Tensor) =
            num (-0.5 / (spread * spread)) * (a - num middle).square() + num (log weight)

        let first, second = log_ 0.7 -centre, log_ 0.3 centre

        { Name = "pair"
          Value = fun a -> (first a).logaddexp(second a)
          Slope =
            fun a ->
                // the second one's share of the density here
                let share = (second a - first a).sigmoid()
                let middle = num (2.0 * centre) * share - num centre
                num (-1.0 / (spread * spread)) * (a - middle)
          Split = Some 0.0 }

    let targets = [ quadratic; pair ]

    /// The target as critics' answers; actions of one component.
    let exact (target: OneStateTarget) : ActionValue =
        let values (actions: Tensor) = (target.Value actions).squeeze(Nullable 2L)

        { Values = fun _ actions -> values actions
          WithSlopes = fun _ actions -> struct (values actions, target.Slope actions) }

    let private net = QNetwork.create 1 1 [ 64; 64 ]

    /// A Q network fitted to noisy values at so many uniform actions. The caller owns the parameters.
    let fit (target: OneStateTarget) (points: int) (noise: float) (key: Key) : Params =
        let compute, batch, steps = Compute.cpu, 256, 3_000
        let keys = Key.splitMany 4 key

        Tensors.owning (fun (p: Params) -> [ p.Flat ]) (fun () ->
            let actions = num 2.0 * Key.uniform compute [ points; 1 ] keys[0] - num 1.0

            let values = (target.Value actions).view -1L + num noise * Key.normal compute [ points ] keys[1]

            let adam = AdamSettings.ofSettings (AdamSettings.usual 1e-3)

            let step struct (p: Params, optimiser: AdamState) i =
                let struct (next, moved) =
                    Tensors.owning (fun struct (p: Params, s: AdamState) -> [ p.Flat; s.M; s.V ]) (fun () ->
                        let rows = Key.integers points batch (Key.foldIn (int64 i) keys[2])
                        let index = torch.tensor (rows |> Array.map int64)
                        let a, y = actions.index_select (0L, index), values.index_select (0L, index)
                        use vjp = QNetwork.vjp compute net p (Tensors.zeros compute [ batch; 1 ]) a
                        let gradient = vjp.PullbackParameters(Critic.gradient vjp.Output y)
                        let rate = Training.learningRate 2e-3 steps (int64 i)
                        Adam.step compute adam rate gradient p optimiser)

                for t in [ p.Flat; optimiser.M; optimiser.V ] do
                    t.Dispose()

                struct (next, moved)

            let first = QNetwork.init compute net keys[3]
            let start = struct (first, Adam.init first)
            let struct (p, last) = Seq.fold step start (seq { 0 .. steps - 1 })
            last.M.Dispose()
            last.V.Dispose()
            p)

    /// A fitted network as critics' answers.
    let fitted (p: Params) : ActionValue =
        { Values = fun obs actions -> QNetwork.forwardMany Compute.cpu net p obs actions
          WithSlopes =
            fun obs actions ->
                let batch, k = Tensors.size 0 actions, Tensors.size 1 actions
                let rows = obs.repeat_interleave (int64 k, Nullable 0L)
                use vjp = QNetwork.vjp Compute.cpu net p rows (Tensors.reshape [ batch * k; 1 ] actions)
                let slope = vjp.PullbackInput(torch.ones_like vjp.Output)
                struct (Tensors.view [ batch; k ] vjp.Output, Tensors.reshape [ batch; k; 1 ] slope) }

    // ---- measures

    /// Cells of the grid.
    [<Literal>]
    let Cells = 80

    /// The target's share of each cell.
    let density (target: OneStateTarget) : float[] =
        use _ = torch.NewDisposeScope()
        let fine = 25

        let at =
            Array.init (Cells * fine) (fun i -> float32 (2.0 * (float i + 0.5) / float (Cells * fine) - 1.0))

        let height = target.Value(Tensors.ofArray Compute.cpu [ at.Length ] at).exp() |> Tensors.toArray
        let shares = Array.init Cells (fun i -> Array.sumBy float height[i * fine .. (i + 1) * fine - 1])
        let total = Array.sum shares
        shares |> Array.map (fun share -> share / total)

    /// The samples' share of each cell; those outside the box count for the cell at its wall.
    let histogram (samples: float32[]) : float[] =
        let counts = Array.zeroCreate<float> Cells

        for a in samples do
            let cell = int (floor ((float a + 1.0) / 2.0 * float Cells))
            let cell = max 0 (min (Cells - 1) cell)
            counts[cell] <- counts[cell] + 1.0

        counts |> Array.map (fun n -> n / float samples.Length)

    /// How far samples are from the target.
    let measure (target: OneStateTarget) (samples: float32[]) : OneStateMeasures =
        let p, found = density target, histogram samples
        // a cell that float32 gives no density at all still has some
        let part found p = if found = 0.0 then 0.0 else found * log (found / max p 1e-30)
        let beyond split = samples |> Array.averageBy (fun a -> if float a > split then 1.0 else 0.0)
        let cellsBeyond split = Array.sum p[int ((split + 1.0) / 2.0 * float Cells) ..]

        { Kl = Array.fold2 (fun sum found p -> sum + part found p) 0.0 found p
          ModeWeightError =
            match target.Split with
            | Some split -> abs (beyond split - cellsBeyond split)
            | None -> nan }
