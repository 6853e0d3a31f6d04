namespace Sdac.Benchmarks

open System
open System.Diagnostics
open Sdac.Functional
open Sdac.LibTorch
open TorchSharp

/// Whole iterations of PPO on HalfCheetah-v4, physics included: this library's, and the same with TorchSharp's networks,
/// automatic gradients and Adam.
[<RequireQualifiedAccess>]
module PpoIteration =
    let private config = PpoConfig.sb3
    let private task = "HalfCheetah-v4"
    let private rows = RolloutSettings.rows config.Rollout

    /// A round of this library's PPO at a time.
    let private ours () : struct ((unit -> unit) * (unit -> unit)) =
        let mutable step =
            Experiment.on Ppo.algorithm task |> Experiment.configure (fun _ -> config) |> Pipeline.start

        let round () =
            for _ in 1 .. RolloutSettings.updates config.Rollout do
                step <- Pipeline.consume Pipeline.standard step

        struct (round, (fun () -> Pipeline.dispose step))

    let private network: int -> int -> torch.nn.Module<Tensor, Tensor> =
        TorchSharpUpdates.layers (fun () -> torch.nn.Tanh()) config.Networks.Hidden

    let private number (value: float) : Scalar = Scalars.ofFloat value

    /// The same in the usual way of TorchSharp.
    let private theirs () : struct ((unit -> unit) * (unit -> unit)) =
        let environment = Environment.create task Map.empty 1
        let obsDim, actionDim = environment.ObsDim, environment.ActionDim
        let policy, value = network obsDim actionDim, network obsDim 1
        let logStd = torch.nn.Parameter(torch.zeros (int64 actionDim))

        let parameters =
            Seq.concat [ policy.parameters (); Seq.singleton logStd; value.parameters () ] |> Seq.toArray

        let adam = torch.optim.Adam(parameters, lr = config.Adam.LearningRate, eps = config.Adam.AdamEpsilon)
        let mutable states = Environment.reset (Key.ofSeed 1L) environment
        let mutable current = Environment.obs states
        let o = config.Objective

        let logProbability (mean: Tensor) (action: Tensor) =
            let z = action.sub(mean).div(logStd.exp ())
            z.square().mul(number -0.5).sub(logStd).sub(number (0.5 * log (2.0 * Math.PI))).sum 1L

        let column width = Array.zeroCreate<float32>(rows * width)

        let round () =
            let obs, next, actions = column obsDim, column obsDim, column actionDim
            let logs, rewards = column 1, column 1
            let terminated, truncated = Array.zeroCreate<bool> rows, Array.zeroCreate<bool> rows

            (use _ = torch.no_grad ()

             for t in 0 .. rows - 1 do
                 use _ = torch.NewDisposeScope()
                 let seen = torch.tensor(current).view(1L, -1L)
                 let mean = policy.call seen
                 let action = mean.add (logStd.exp().mul(torch.randn_like mean))
                 logs[t] <- (logProbability mean action).item<float32>()
                 let sent = action.clamp (number -1.0, number 1.0)
                 let outcome = Environment.step (Tensors.toArray sent) states environment
                 Array.blit current 0 obs (t * obsDim) obsDim
                 Array.blit outcome.NextObs 0 next (t * obsDim) obsDim
                 Array.blit (Tensors.toArray action) 0 actions (t * actionDim) actionDim
                 rewards[t] <- outcome.Reward[0]
                 terminated[t] <- outcome.Terminated[0]
                 truncated[t] <- outcome.Truncated[0]
                 states <- outcome.States
                 current <- outcome.Current)

            use _ = torch.NewDisposeScope()
            let table width (values: float32[]) = torch.tensor(values).view(int64 rows, int64 width)
            let obs, next, actions = table obsDim obs, table obsDim next, table actionDim actions
            let logs = torch.tensor logs

            let valueOf (seen: Tensor) =
                use _ = torch.no_grad ()
                Tensors.toArray (value.call seen) |> Array.map float

            let struct (advantage, returns) =
                Advantage.estimate
                    config.Discount
                    config.Lambda
                    { Environments = 1
                      Reward = Array.map float rewards
                      Value = valueOf obs
                      NextValue = valueOf next
                      Terminated = terminated
                      Truncated = truncated }

            let advantage = torch.tensor (Array.map float32 advantage)
            let returns = torch.tensor (Array.map float32 returns)
            let size = int64 (rows / config.Rollout.Minibatches)

            for _ in 1 .. config.Rollout.Epochs do
                let order = torch.randperm (int64 rows)

                for part in 0 .. config.Rollout.Minibatches - 1 do
                    use _ = torch.NewDisposeScope()
                    let index = order.narrow (0L, int64 part * size, size)
                    let of' (t: Tensor) = t.index_select (0L, index)
                    let a = of' advantage
                    let a = a.sub(a.mean ()).div((a.std ()).add(number 1e-8))
                    let seen = of' obs
                    let ratio = (logProbability (policy.call seen) (of' actions)).sub(of' logs).exp()
                    let bounded = ratio.clamp (number (1.0 - o.ClipRange), number (1.0 + o.ClipRange))
                    let climbed = (ratio.mul a).minimum(bounded.mul a).mean()
                    let error = ((value.call seen).view(-1L).sub(of' returns)).square().mean()
                    let loss = error.mul(number o.ValueCoefficient).sub climbed
                    adam.zero_grad ()
                    loss.backward ()
                    torch.nn.utils.clip_grad_norm_ (parameters, o.MaximumGradientNorm.Value) |> ignore
                    adam.step () |> ignore

        struct (round,
                (fun () ->
                    (environment :> IDisposable).Dispose()
                    adam.Dispose()
                    policy.Dispose()
                    value.Dispose()
                    logStd.Dispose()))

    /// The physics of an iteration alone.
    let private physics () : struct ((unit -> unit) * (unit -> unit)) =
        let environment = Environment.create task Map.empty 1
        let mutable states = Environment.reset (Key.ofSeed 1L) environment
        let action = Array.zeroCreate<float32> environment.ActionDim

        let round () =
            for _ in 1..rows do
                states <- (Environment.step action states environment).States

        struct (round, (fun () -> (environment :> IDisposable).Dispose()))

    let private median (values: float list) = (List.sort values)[values.Length / 2]

    /// Milliseconds of an iteration, medians, taken in turn: ours, TorchSharp's, the physics of both.
    let measure (seconds: float) : (string * float) list =
        let cases =
            [ "this library's kernels", ours ()
              "TorchSharp's networks", theirs ()
              "the physics alone", physics () ]

        let time (round: unit -> unit) =
            let clock = Stopwatch.StartNew()
            round ()
            clock.Elapsed.TotalMilliseconds

        let once () = cases |> List.map (fun (name, struct (round, _)) -> name, time round)

        try
            // the just-in-time compiler is done after some rounds
            for _ in 1..10 do
                once () |> ignore

            let clock = Stopwatch.StartNew()

            [ for _ in 1..5 do
                  once ()
              while clock.Elapsed.TotalSeconds < seconds do
                  once () ]
            |> List.concat
            |> List.groupBy fst
            |> List.map (fun (name, times) -> name, times |> List.map snd |> median)
        finally
            for _, struct (_, free) in cases do
                free ()
