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

/// One update. All that training changes are the critics with their moving averages; its random numbers are one key.
type SearchUpdate = OffPolicyUpdate<TwinCriticsModel, Key, TwinCritics, unit>

let agent (compute: Compute) (space: Space) (_: Horizon) (config: SearchConfig) : Agent<TwinCritics, SearchUpdate> =
    let model =
        TwinCritics.model
            compute
            space
            config.Hidden
            NetworkSettings.mish
            config.Critics
            TargetNoiseSettings.off
            config.Adam

    /// The best of the candidates by these critics. obs: [N, O] -> [N, A].
    let best critics key (obs: Tensor) =
        let unit = Key.uniform compute [ Tensors.size 0 obs * config.Candidates; space.ActionDim ] key
        TwinCritics.best model critics config.Candidates obs (num 2.0 * unit - num 1.0)

    let act purpose critics key obs =
        let struct (choice, noise) = Key.split key
        let action = best critics choice obs

        match purpose with
        | Purpose.Evaluate -> { Action = action; Extras = [] }
        | Purpose.Explore ->
            let noise = Key.normal compute (Tensors.shape action) noise
            { Action = action + num config.Exploration * noise; Extras = [] }

    /// y = r + γ(1 - terminated)·min Q̄(s', argmax Q(s', candidates)), and one Adam step of both critics towards it.
    let evaluateQ (u: SearchUpdate) : SearchUpdate =
        let next = u.Batch.NextObs

        let target =
            best u.State u.Noise next
            |> TwinCritics.targetValue model u.State next
            |> TwinCritics.target model u.Batch

        let struct (critics, figures) = TwinCritics.learn model u.Batch target u.State
        { u with Next = critics } |> OffPolicy.tell figures

    let followTargets (u: SearchUpdate) : SearchUpdate = { u with Next = TwinCritics.follow model u.Next }

    { Compute = compute
      Space = space
      Rhythm = Agent.offPolicy config.Data
      Extras = []
      Distributions = []
      Init =
        fun key ->
            let struct (key1, key2) = Key.split key
            Tensors.owning (Parts.tensors TwinCritics.parts) (fun () -> TwinCritics.init model key1 key2)
      Parts = TwinCritics.parts
      Act = act
      Form = PolicyForm.none "it draws its candidates uniformly, which no exported policy does"
      Observe = Agent.observeNothing
      Prepare = Agent.drawFromMemory
      Begin = OffPolicy.beginning compute config.Data (fun _ key -> key) (OffPolicy.start model ())
      OnBatch = OffPolicy.onBatch
      Stages = [ "evaluateQ", evaluateQ; "followTargets", followTargets ]
      Finish = OffPolicy.finish id }

let quick =
    { Hidden = [ 64; 64 ]
      Data = DataSettings.quick
      Critics = SdacConfig.quick.Critics
      Adam = SdacConfig.quick.Adam
      Candidates = 64
      Exploration = 0.1 }

let search =
    { Name = "search"
      Title = "Random search Q-learning"
      Published = quick
      Added = []
      Presets =
        [ Preset.quick quick
          Preset.tiny
              600L
              { quick with
                  Hidden = [ 32; 32 ]
                  Data = DataSettings.tiny
                  Adam.LearningRate = 3e-3
                  Candidates = 32 } ]
      Problems =
        fun c ->
            [ Check.widths (nameof c.Hidden) c.Hidden
              DataSettings.problems c.Data
              CriticSettings.problems c.Critics
              AdamSettings.problems c.Adam
              Check.atLeast (nameof c.Candidates) 1 c.Candidates
              Check.within (nameof c.Exploration) 0.0 1e6 c.Exploration ]
            |> List.concat
      Figures = TwinCritics.figureInfos
      Describe = fun c -> $"{c.Candidates} candidates"
      Agent = agent }

Registry.standard |> Registry.add search |> Main.run fsi.CommandLineArgs |> exit
