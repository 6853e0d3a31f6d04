namespace Sdac.Sampling

open Sdac.Functional
open Sdac.Sampling.OneStateAgents

/// Policies trained for one state, whose Q is known: the methods of the registry in their own updates, with that Q in the place of
/// the critics and no environment. What is left of a method is how it makes a policy of a value.
[<RequireQualifiedAccess>]
module OneStateMethods =
    let private preserving = DqsProcess.Preserving schedule
    // a chain for a', one row with its gradient
    let private chained = batch * timesteps

    /// Every policy-learning method of the registry, in its forms. PPO and DPPO learn from returns: Q is the reward of their episodes
    /// of one step.
    let all: OneStateMethod list =
        [ method
              "sdac"
              "exp(Q)"
              true
              (2 * chained, batch)
              (actorCritic (sdac >> Sdac.model Compute.cpu space) Sdac.stages)
          method
              "dpmd"
              "the policy before times exp(Q), again and again: the best action"
              false
              (chained, batch)
              (actorCritic (sdac >> DpmdConfig.ofSdac >> Dpmd.model Compute.cpu space) Dpmd.stages)
          method "qsm consistent" "near exp(Q) where Q is smooth" false (chained, batch) (qsm QsmForm.Consistent chain)
          method
              "qsm scaled"
              "no density: the target does not depend on t"
              false
              (batch * 5, batch)
              (qsm
                  QsmForm.Scaled
                  { chain with Timesteps = 5; BetaSchedule = BetaSchedule.VariancePreserving(0.1, 10.0) })
          method "qsm langevin" "exp(Q) with steps too wide for it" false (chained, batch) (qsm QsmForm.Langevin chain)
          method
              "dqs truncated noise"
              "exp(Q)"
              true
              (chained, batch)
              (dqs (fun c ->
                  { c with Process = preserving; Draws = DqsDraws.Truncated; Estimator = DqsEstimator.Noise }))
          method
              "dqs clipped gradient"
              "exp(Q) but for what the walls and clipped draws lose"
              false
              (chained, batch)
              (dqs (fun c -> { c with Process = preserving; Draws = DqsDraws.Clipped }))
          method
              "dqs tanh density"
              "exp(Q) with very many draws"
              false
              (chained, batch)
              (dqs (fun c -> { c with Box = DqsBox.TanhDensity; Process = DqsProcess.Exploding(0.01, 2.0) }))
          method "dqs published" "exp(Q) of actions that tanh then moves" false (chained, batch) (dqs id)
          method "dipo" "the nearest best action" false (chained, batch) dipo
          method
              "qvpo"
              "the best action of its own, and a few uniform ones"
              false
              ((1 + qvpoParticles) * chained, 11 * batch)
              qvpo
          method
              "qipo"
              "μ·exp(lQ) after l updates: the best action"
              false
              (2 * qipoActions * chained, (1 + qipoActions) * batch)
              (qipo id)
          method
              "qipo renewed once"
              "exp(Q) with very many actions in the support"
              false
              (2 * qipoActions * chained, (1 + qipoActions) * batch)
              qipoOnce
          method "maxentdp" "exp(Q)" true (chained, batch) maxEntDp
          method "idql" "the best of 64 of the memory's actions" false (0, batch) idql
          method "dacer" "the best action, climbed through the chain" false (batch * 20, batch * 20) dacer
          method "sac" "the tanh Gaussian nearest to exp(Q)" false (batch, batch) sac
          method "td3" "the best action" false (batch, batch) td3
          onPolicy "ppo" ppo 1 rollout.Minibatches
          onPolicy "dppo" dppo DppoConfig.quick.Chain.Timesteps 20 ]
