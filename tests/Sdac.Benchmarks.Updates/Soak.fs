namespace Sdac.Benchmarks

open System
open Sdac.Functional
open Sdac.Experiments
open TorchSharp

/// Memory of a training process after some rounds.
type SoakReading = { Rounds: int64; ResidentMiB: float; LiveTensors: int64 }

/// Very many rounds of a very small algorithm: what a run leaves behind at each would show.
[<RequireQualifiedAccess>]
module Soak =
    let private config =
        { SdacConfig.tiny with
            Hidden = [ 4 ]
            Data.Environments = 1
            Data.WarmUp = 10
            Data.BatchSize = 2
            Data.BufferCapacity = 1_000
            Diffusion.Timesteps = 2
            Particles.Particles = 1
            Draws.MonteCarloDraws = 1
            Draws.Weights = RssmWeights.Raw }

    let private reading (rounds: int64) : SoakReading =
        GC.Collect()
        GC.WaitForPendingFinalizers()

        { Rounds = rounds
          ResidentMiB = float Environment.WorkingSet / 1048576.0
          LiveTensors = torch.Tensor.TotalCount }

    /// Readings at each tenth of so many rounds. The youngest garbage is collected as the runner does it.
    let run (rounds: int64) (report: SoakReading -> unit) : SoakReading list =
        let agent = Sdac.algorithm.Agent Compute.cpu ContractTask.space { Iterations = rounds } config
        use environment = new Environment(ContractTask.create 1 true, 1)
        let mutable step = Round.init agent environment 1L |> Round.warm

        try
            [ for i in 1L .. rounds do
                  step <- Round.consume Pipeline.standard step

                  if i % 100L = 0L then
                      GC.Collect(0, GCCollectionMode.Forced, true)

                  if i % (max 1L (rounds / 10L)) = 0L then
                      let found = reading i
                      report found
                      found ]
        finally
            Round.disposeState step
