// An algorithm of one's own, whole: Q-learning whose actions are the best of many uniform random ones. Run it with
//   dotnet fsi --exec scripts/own-algorithm.fsx train --algorithm search      (after ./build.sh build)
// It also evaluates, sweeps and reports, beside the library's algorithms: `own-algorithm.fsx --help`.
#load "sdac.fsx"

open System.ComponentModel
open Sdac.Functional
open Sdac.Experiments

type SearchConfig =
    { [<Description "Widths of the hidden layers of both critics">]
      Hidden: int list
      Data: DataSettings
      Critics: CriticSettings
      Adam: AdamSettings
      [<Description "Uniform random actions per state, of which the one with the largest min(Q1, Q2) is taken">]
      Candidates: int
      [<Description "Deviation of the exploration noise, per component of the action">]
      Exploration: float }

/// All that training changes.
type SearchState =
    { Q1: Params; Q2: Params; TargetQ1: Params; TargetQ2: Params; Q1Adam: AdamState; Q2Adam: AdamState }

/// One update: the batch, the random numbers, the state that it started from and what it makes of it.
type SearchWork = { Batch: Batch; Key: Key; State: SearchState; Next: SearchState; Figures: Figures }

let parts: Parts<SearchState> =
    fun visit s ->
        { Q1 = visit.Params("q1", s.Q1)
          Q2 = visit.Params("q2", s.Q2)
          TargetQ1 = visit.Params("target_q1", s.TargetQ1)
          TargetQ2 = visit.Params("target_q2", s.TargetQ2)
          Q1Adam = visit.Adam("q1", s.Q1Adam)
          Q2Adam = visit.Adam("q2", s.Q2Adam) }

let agent (compute: Compute) (space: Space) (_: Horizon) (config: SearchConfig) : Agent<SearchState, SearchWork> =
    let net = QNetwork.create space.ObsDim space.ActionDim config.Hidden
    let { LearningRate = rate }, { Discount = discount; RewardScale = scale } = config.Adam, config.Critics

    let init key =
        let struct (key1, key2) = Key.split key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let q1, q2 = QNetwork.init compute net key1, QNetwork.init compute net key2

            { Q1 = q1
              Q2 = q2
              TargetQ1 = Params.copy q1
              TargetQ2 = Params.copy q2
              Q1Adam = Adam.init q1
              Q2Adam = Adam.init q2 })

    /// The best of the candidates. obs: [N, O] -> [N, A].
    let best state key (obs: Tensor) =
        let unit = Key.uniform compute [ Tensors.size 0 obs; config.Candidates; space.ActionDim ] key
        let actions = unit.mul(Scalars.ofFloat 2.0).sub(Scalars.ofFloat 1.0)
        let values = Critic.minQ compute net state.Q1 state.Q2 obs actions
        (Diffusion.bestOf actions values).Action

    let act purpose state key obs =
        let struct (choice, noise) = Key.split key
        let action = best state choice obs

        match purpose with
        | Purpose.Evaluate -> { Action = action; Extras = [] }
        | Purpose.Explore ->
            let noise = Key.normal compute (Tensors.shape action) noise
            { Action = action.add (noise, Scalars.ofFloat config.Exploration); Extras = [] }

    /// Adam's steps of one critic towards targets [B], and its loss before them.
    let learn work target q optimiser =
        use vjp = QNetwork.vjp compute net q work.Batch.Obs work.Batch.Action
        let gradient = vjp.PullbackParameters(Critic.gradient vjp.Output target)
        let step struct (q, adam) = Adam.step compute (AdamSettings.ofSettings config.Adam) rate gradient q adam

        let struct (q, optimiser) =
            Seq.fold (|>) struct (q, optimiser) (Seq.replicate config.Critics.CriticSteps step)

        struct (q, optimiser, Tensors.scalar (Critic.loss vjp.Output target))

    let evaluateQ work =
        let s, batch = work.State, work.Batch
        let action = (best s work.Key batch.NextObs).unsqueeze 1L
        let next = (Critic.minQ compute net s.TargetQ1 s.TargetQ2 batch.NextObs action).view -1L
        let target = Critic.target discount scale batch.Reward batch.Terminated next
        let struct (q1, adam1, loss1) = learn work target s.Q1 s.Q1Adam
        let struct (q2, adam2, loss2) = learn work target s.Q2 s.Q2Adam

        { work with
            Next = { work.Next with Q1 = q1; Q1Adam = adam1; Q2 = q2; Q2Adam = adam2 }
            Figures = Map [ "q1Loss", loss1; "q2Loss", loss2 ] }

    let follow work =
        let follow = Polyak.step compute config.Critics.Tau
        let next = work.Next
        let targets1, targets2 = follow next.TargetQ1 next.Q1, follow next.TargetQ2 next.Q2
        { work with Next = { next with TargetQ1 = targets1; TargetQ2 = targets2 } }

    { Compute = compute
      Space = space
      Rhythm = Agent.offPolicy config.Data
      Extras = []
      Distributions = []
      Init = init
      Parts = parts
      Act = act
      Form = PolicyForm.none "it draws its candidates uniformly, which no exported policy does"
      Observe = Agent.observeNothing
      Prepare = Agent.drawFromMemory
      Begin =
        fun table keys state ->
            { Batch = Replay.sample compute keys.Batch config.Data.BatchSize table.Memory
              Key = keys.Noise
              State = state
              Next = state
              Figures = Map.empty }
      OnBatch = fun change work -> { work with Batch = change work.Batch }
      Stages = [ "evaluateQ", evaluateQ; "followTargets", follow ]
      Finish = fun work -> { State = work.Next; Figures = work.Figures; Tallies = []; Verdict = Verdict.Continue } }

let loss name title headline =
    { Name = name
      Title = title
      Headline = headline
      MustBeFinite = true
      Carried = false
      Plotted = Some title }

let quick =
    { Hidden = [ 64; 64 ]
      Data = { SdacConfig.quick.Data with Environments = 2 }
      Critics = SdacConfig.quick.Critics
      Adam = SdacConfig.quick.Adam
      Candidates = 64
      Exploration = 0.1 }

let tiny = { quick with Hidden = [ 16 ]; Data.BatchSize = 32; Data.WarmUp = 100; Candidates = 8 }

let search =
    { Name = "search"
      Title = "Random search Q-learning"
      Published = quick
      Added = []
      Presets =
        [ Preset.quick quick
          { Preset.quick tiny with
              Name = "tiny"
              Meaning = "a few hundred updates of small networks"
              Iterations = 400L } ]
      Problems =
        fun c ->
            [ Check.widths (nameof c.Hidden) c.Hidden
              DataSettings.problems c.Data
              CriticSettings.problems c.Critics
              AdamSettings.problems c.Adam
              Check.atLeast (nameof c.Candidates) 1 c.Candidates
              Check.within (nameof c.Exploration) 0.0 1e6 c.Exploration ]
            |> List.concat
      Figures = [ loss "q1Loss" "the loss of critic 1" (Some "critic"); loss "q2Loss" "the loss of critic 2" None ]
      Describe = fun c -> $"{c.Candidates} candidates"
      Agent = agent }

Registry.standard |> Registry.add search |> Main.run fsi.CommandLineArgs |> exit
