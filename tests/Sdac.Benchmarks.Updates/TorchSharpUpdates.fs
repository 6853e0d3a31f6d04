namespace Sdac.Benchmarks

open System
open Sdac.Functional
open TorchSharp

/// Updates of SAC and TD3 in the usual way of TorchSharp: its modules, automatic gradients and Adam, at the sizes of `Classical`.
[<RequireQualifiedAccess>]
module TorchSharpUpdates =
    let private batch = 256L
    let private memoryRows = 20_000L
    let private number (value: float) : Scalar = Scalars.ofFloat value

    /// Hidden layers of these widths, each with an activation, and a linear last layer.
    let layers (activation: unit -> torch.nn.Module<Tensor, Tensor>) (widths: int list) (inputs: int) (outputs: int) =
        let hidden =
            [ for a, b in List.pairwise (inputs :: widths) do
                  torch.nn.Linear(int64 a, int64 b) :> torch.nn.Module<Tensor, Tensor>
                  activation () ]

        let last = torch.nn.Linear(int64 (List.last (inputs :: widths)), int64 outputs)
        torch.nn.Sequential(List.toArray (hidden @ [ last ])) :> torch.nn.Module<Tensor, Tensor>

    let private network: int -> int -> torch.nn.Module<Tensor, Tensor> =
        layers (fun () -> torch.nn.ReLU()) Classical.hidden

    /// A target network that begins as its network does.
    let private targetOf (inputs: int) (outputs: int) (source: torch.nn.Module<Tensor, Tensor>) =
        let target = network inputs outputs
        target.load_state_dict (source.state_dict ()) |> ignore
        target

    let private follow (tau: float) (pairs: (torch.nn.Module<Tensor, Tensor> * torch.nn.Module<Tensor, Tensor>) list) =
        use _ = torch.no_grad ()

        for target, source in pairs do
            for t, s in Seq.zip (target.parameters ()) (source.parameters ()) do
                t.mul_(number (1.0 - tau)).add_(s, number tau) |> ignore

    let private trainable (value: bool) (networks: torch.nn.Module<Tensor, Tensor> list) =
        for network in networks do
            for p in network.parameters () do
                p.requires_grad <- value

    type private Memory = { Obs: Tensor; Action: Tensor; Reward: Tensor; Alive: Tensor; NextObs: Tensor }

    let private memory (size: TaskSize) =
        let normal width = torch.randn (memoryRows, int64 width)

        { Obs = normal size.ObsDim
          Action = (normal size.ActionDim).clamp(number -1.0, number 1.0)
          Reward = normal 1
          Alive = (torch.rand (memoryRows, 1L)).gt(number 0.1).``to`` torch.float32
          NextObs = normal size.ObsDim }

    let private drawn (m: Memory) =
        let index = torch.randint (memoryRows, [| batch |])
        let rows (t: Tensor) = t.index_select (0L, index)

        { Obs = rows m.Obs
          Action = rows m.Action
          Reward = rows m.Reward
          Alive = rows m.Alive
          NextObs = rows m.NextObs }

    let private join (obs: Tensor) (action: Tensor) = torch.cat ([| obs; action |], 1L)

    let private work (name: string) (update: unit -> unit) : Work =
        { Name = name
          Config = name
          Gflop = 0.0
          Updates = Classical.runs
          Run =
            Action(fun () ->
                for _ in 1 .. Classical.runs do
                    use _ = torch.NewDisposeScope()
                    update ()) }

    let private adam (networks: torch.nn.Module<Tensor, Tensor> list) =
        torch.optim.Adam(networks |> Seq.collect _.parameters(), lr = 3e-4)

    let private step (adam: torch.optim.Optimizer) (loss: Tensor) =
        adam.zero_grad ()
        loss.backward ()
        adam.step () |> ignore

    let sac (size: TaskSize) : Work =
        let both, actions = size.ObsDim + size.ActionDim, int64 size.ActionDim
        let policy = network size.ObsDim (2 * size.ActionDim)
        let q1, q2 = network both 1, network both 1
        let target1, target2 = targetOf both 1 q1, targetOf both 1 q2
        trainable false [ target1; target2 ]
        let logAlpha = torch.nn.Parameter(torch.zeros 1L)
        let policyAdam, criticAdam = adam [ policy ], adam [ q1; q2 ]
        let alphaAdam = torch.optim.Adam([ logAlpha ], lr = 3e-4)
        let memory = memory size
        let halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

        let sample (obs: Tensor) =
            let output = policy.call obs
            let mean = output.narrow (1L, 0L, actions)
            let logStd = output.narrow(1L, actions, actions).clamp(number -20.0, number 2.0)
            let noise = torch.randn_like mean
            let raw = mean.add (logStd.exp().mul noise)

            let normal = noise.square().mul(number -0.5).sub(logStd).sub(number halfLogTwoPi).sum(1L, true)

            // log(1 - tanh²u) = 2·(log 2 - u - softplus(-2u))
            let soft = torch.nn.functional.softplus (raw.mul (number -2.0))
            let bend = raw.add(soft).sub(number (log 2.0)).mul(number -2.0)

            struct (raw.tanh (), normal.sub (bend.sum (1L, true)))

        let update () =
            let b = drawn memory
            let alpha = logAlpha.detach().exp()

            let y =
                use _ = torch.no_grad ()
                let struct (next, log) = sample b.NextObs
                let input = join b.NextObs next
                let value = (target1.call input).minimum(target2.call input).sub(alpha.mul log)
                b.Reward.add (b.Alive.mul(value).mul(number 0.99))

            let input = join b.Obs b.Action
            let error (q: torch.nn.Module<Tensor, Tensor>) = (q.call input).sub(y).square().mean()
            step criticAdam ((error q1).add(error q2))

            trainable false [ q1; q2 ]
            let struct (action, log) = sample b.Obs
            let input = join b.Obs action
            let value = (q1.call input).minimum(q2.call input)
            step policyAdam ((alpha.mul log).sub(value).mean())
            trainable true [ q1; q2 ]

            let entropy = log.detach().mean().add(number (-float size.ActionDim))
            step alphaAdam (logAlpha.mul(entropy).neg().sum())
            follow 0.005 [ target1, q1; target2, q2 ]

        work "sac" update

    let td3 (size: TaskSize) : Work =
        let both = size.ObsDim + size.ActionDim
        let policy = network size.ObsDim size.ActionDim
        let targetPolicy = targetOf size.ObsDim size.ActionDim policy
        let q1, q2 = network both 1, network both 1
        let target1, target2 = targetOf both 1 q1, targetOf both 1 q2
        trainable false [ targetPolicy; target1; target2 ]
        let policyAdam, criticAdam = adam [ policy ], adam [ q1; q2 ]
        let memory = memory size

        let critics () =
            let b = drawn memory

            let y =
                use _ = torch.no_grad ()

                let noise = (torch.randn_like b.Action).mul(number 0.2).clamp(number -0.5, number 0.5)

                let next = (targetPolicy.call b.NextObs).tanh().add(noise).clamp(number -1.0, number 1.0)
                let input = join b.NextObs next
                let value = (target1.call input).minimum(target2.call input)
                b.Reward.add (b.Alive.mul(value).mul(number 0.99))

            let input = join b.Obs b.Action
            let error (q: torch.nn.Module<Tensor, Tensor>) = (q.call input).sub(y).square().mean()
            step criticAdam ((error q1).add(error q2))
            b

        let mutable count = 0

        let update () =
            let b = critics ()
            count <- count + 1

            if count % 2 = 0 then
                trainable false [ q1 ]
                step policyAdam ((q1.call (join b.Obs ((policy.call b.Obs).tanh()))).mean().neg())
                trainable true [ q1 ]
                follow 0.005 [ target1, q1; target2, q2; targetPolicy, policy ]

        work "td3" update
