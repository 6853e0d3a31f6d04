namespace Sdac.Functional

/// The diffusion actor-critics as agents: what they report and how their rounds run.
[<RequireQualifiedAccess>]
module ActorCriticAgent =
    /// What an update tells about itself.
    let figures: FigureInfo list =
        let carried info = { info with Carried = true }

        TwinCritics.figureInfos
        @ [ { carried (FigureInfo.finite "policyLoss" "the policy loss") with Headline = Some "policy loss" }
            carried (FigureInfo.finite "policyGradientNorm" "the gradient of the policy")
            // the largest weight of a state over its mean weight, averaged over states: 1 where all draws weigh the same; with
            // one draw per state the largest weight of the batch over its mean weight
            { carried (FigureInfo.plain "weightConcentration" "the largest weight over the mean weight") with
                Plotted = Some "Largest weight over mean weight" }
            { FigureInfo.plain "lambda" "the temperature λ" with Headline = Some "λ"; Plotted = Some "λ" }
            FigureInfo.plain "entropy" "the policy's entropy" ]

    /// The weights and timesteps of an update that has moved the policy.
    let private tallies (u: Update) : Tally list =
        match u.Weights with
        | Some weights ->
            // one draw per state (DPMD) is weighed against the other states of the batch
            let rivals = Tensors.size (if Tensors.size 1 weights > 1 then 1 else 0) weights

            [ Distribution.tallyWeights rivals (Tensors.toArray weights)
              Distribution.tallyTimesteps u.Model.Diffusion.Timesteps u.Noise.Timesteps ]
        | None -> []

    let private finish (u: Update) : Finished<ActorCriticState> =
        if ActorCritic.isWithoutCritics u then
            invalidOp "no stage of this pipeline trains the critics: put `evaluateQ` behind `collect`"

        { State = ActorCritic.finish u
          Figures = u.Figures
          Tallies = tallies u
          Verdict = Verdict.Continue }

    /// The agent of a model whose updates run these stages.
    let create
        (model: ActorCriticModel)
        (stages: (string * (Update -> Update)) list)
        : Agent<ActorCriticState, Update> =
        let act purpose (state: ActorCriticState) key obs =
            let struct (particles, exploration) =
                match purpose with
                | Purpose.Explore ->
                    struct (ParticleSettings.behaviour model.Particles, ActorCritic.explorationScale model state)
                | Purpose.Evaluate -> struct (ParticleSettings.evaluation model.Particles, 0.0)

            { Action =
                ActorCritic.act
                    model
                    (ActorCritic.actor model state)
                    state
                    particles
                    exploration
                    (SamplerNoise.Drawn key)
                    obs
              Extras = [] }

        { Compute = model.Compute
          Space = model.Space
          Rhythm = Agent.offPolicy model.Data
          Extras = []
          Distributions =
            [ Distribution.weights (max (ActorCriticModel.draws model) model.Data.BatchSize)
              Distribution.timesteps model.Diffusion.Timesteps ]
          Init = ActorCriticState.init model
          Parts = ActorCriticState.parts
          Act = act
          Form = ActorCritic.form model
          Observe = Agent.observeNothing
          Prepare = Agent.drawFromMemory
          Begin =
            fun table keys state ->
                let size = model.Data.BatchSize
                let batch = Replay.sample model.Compute keys.Batch size table.Memory
                ActorCritic.start model (UpdateNoise.draw model size keys.Noise) batch state
          OnBatch = fun change u -> { u with Batch = change u.Batch }
          Stages = stages
          Finish = finish }
