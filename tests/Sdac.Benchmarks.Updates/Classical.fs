namespace Sdac.Benchmarks

open System
open Sdac.Functional

/// Whole updates of the algorithms without a diffusion chain, batches and random numbers drawn as in a run.
[<RequireQualifiedAccess>]
module Classical =
    let private capacity = 100_000

    /// A memory of normal numbers, `rows` steps of one environment that end every tenth step.
    let private memory (size: TaskSize) (rows: int) : Replay =
        let normal width i = Key.normal Compute.cpu [ (rows + 1) * width ] (Key.ofSeed i) |> Tensors.toArray
        let obs, action, reward = normal size.ObsDim 1L, normal size.ActionDim 2L, normal 1 3L
        let row width (values: float32[]) r = Array.sub values (r * width) width

        let append memory r =
            Replay.append
                { Obs = row size.ObsDim obs r
                  Action = row size.ActionDim action r |> Array.map (fun a -> Math.Clamp(a, -1f, 1f))
                  Reward = [| reward[r] |]
                  Terminated = [| r % 10 = 9 |]
                  Truncated = [| false |]
                  NextObs = row size.ObsDim obs (r + 1)
                  Current = row size.ObsDim obs (r + 1)
                  Extras = [] }
                memory

        Seq.fold append (Replay.create 1 size.ObsDim size.ActionDim capacity) (seq { 0 .. rows - 1 })

    /// `updates` updates in a row. gflop: the arithmetic of one, on average.
    let private whole
        (algorithm: Algorithm<'c, 's, 'w>)
        (config: 'c)
        (compute: Compute)
        (size: TaskSize)
        (updates: int)
        (gflop: float)
        (sizes: string)
        : Work =
        let agent = algorithm.Agent compute (Updates.spaceOf size) { Iterations = 1L } config
        let key = Key.ofSeed 1L
        let table = { Memory = memory size 20_000; Columns = Map.empty }
        let learn = agent.Stages |> List.map snd |> List.reduce (>>)
        let mutable state = agent.Init key
        let mutable count = 0L

        let update () =
            let struct (batch, noise) = Key.foldIn count key |> Key.split

            let next =
                Tensors.owning (Parts.tensorsNotIn agent.Parts state) (fun () ->
                    (agent.Begin table { Batch = batch; Noise = noise } state |> learn |> agent.Finish).State)

            Parts.disposeReplaced agent.Parts next state
            state <- next
            count <- count + 1L

        { Name = algorithm.Name
          Config = $"{algorithm.Title}, {size.Task}: {sizes}"
          Gflop = gflop * float updates
          Updates = updates
          Run =
            Action(fun () ->
                for _ in 1..updates do
                    update ()) }

    let hidden = [ 256; 256; 256 ]
    let private batch = 256

    /// Updates in a row: one alone would begin with cold caches
    let runs = 20
    let private sizes = "256, 256x256x256"

    /// Multiply-adds of a row of a network, in 10⁹ operations (2 each).
    let private row (inputs: int) (outputs: int) =
        2e-9
        * float (List.sum [ for a, b in List.pairwise (inputs :: hidden @ [ outputs ]) -> int64 a * int64 b ])

    /// SAC at three layers of 256 and batches of 256: the policy's rows 1 + 3, the critics' 2 + 6 + 4.
    let private sac (compute: Compute) (size: TaskSize) : Work =
        let critic, policy = row (size.ObsDim + size.ActionDim) 1, row size.ObsDim (2 * size.ActionDim)
        let config = { SacConfig.sb3 with Hidden = hidden; Data.BatchSize = batch }
        whole Sac.algorithm config compute size runs (float batch * (4.0 * policy + 12.0 * critic)) sizes

    /// TD3 at the same sizes: the policies' rows 1 + 3/2, the critics' 2 + 6 + 2/2.
    let private td3 (compute: Compute) (size: TaskSize) : Work =
        let critic, policy = row (size.ObsDim + size.ActionDim) 1, row size.ObsDim size.ActionDim
        let config = { Td3Config.authors with Hidden = hidden; Data.BatchSize = batch }
        whole Td3.algorithm config compute size runs (float batch * (2.5 * policy + 9.0 * critic)) sizes

    let both (compute: Compute) (size: TaskSize) : Work list = [ sac compute size; td3 compute size ]
