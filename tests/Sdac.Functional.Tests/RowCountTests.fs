/// What an update asks of its networks, counted by the kernels, is what each algorithm's mathematics needs: the table of costs at
/// published settings with small sizes.
module Sdac.Tests.RowCountTests

open Expecto
open Sdac.Functional
open Sdac.Benchmarks

let private space = { ObsDim = 5; ActionDim = 3 }
let private hidden = [ 32; 32 ]

/// Rows of a batch.
let private b = 8

let private dataOf (d: DataSettings) = { d with WarmUp = 16; BatchSize = b; BufferCapacity = 100 }

let private count (algorithm: Algorithm<'c, 's, 'w>) (rare: int) (config: 'c) : AlgorithmRows =
    let agent = algorithm.Agent Compute.cpu space { Iterations = 1_000L } config
    use rounds = new MadeRounds<'s, 'w>(agent, agent.Rhythm.WarmUp)
    AlgorithmRows.count agent rare rounds

/// Rows of an update: actor F and G; critic F, G and I; value F and G; and the actor's of an action.
let private rows (r: AlgorithmRows) : float list =
    let of' role cause = NetworkRows.rows role cause r.Update

    [ of' Role.Actor Cause.Forward
      of' Role.Actor Cause.Parameters
      of' Role.Critic Cause.Forward
      of' Role.Critic Cause.Parameters
      of' Role.Critic Cause.Inputs
      of' Role.Value Cause.Forward
      of' Role.Value Cause.Parameters
      NetworkRows.rows Role.Actor Cause.Forward r.Action ]

/// expected: whole numbers of batches, in the order of `rows`, but for the last, which is a number of rows.
let private batches (algorithm: Algorithm<'c, 's, 'w>) (config: 'c) (expected: float list) =
    let inRows = List.mapi (fun i n -> if i < 7 then n * float b else n) expected

    for rowsOf, (expected: float) in List.zip (rows (count algorithm 1 config)) inRows do
        Expect.floatClose Accuracy.high rowsOf expected $"{inRows}"

let private t = 3

let private small (c: SdacConfig) =
    { c with
        Hidden = hidden
        CriticHidden = None
        Data = dataOf c.Data
        Diffusion.Timesteps = t
        Particles.Particles = min 4 c.Particles.Particles
        Draws.MonteCarloDraws = 6 }

let private dqs (c: DqsConfig) =
    { c with
        Hidden = hidden
        CriticHidden = hidden
        Data = dataOf c.Data
        Timesteps = t
        MonteCarloDraws = 6 }

let private qsm (c: QsmConfig) = { c with Hidden = hidden; Data = dataOf c.Data; Chain.Timesteps = t }

[<Tests>]
let tests =
    testList
        "what an update costs"
        [ testCase "SDAC: best of N twice, the policy's every second time, one trained row a state" (fun () ->
              // 2·(1 + N + (N + K)/2)
              batches Sdac.algorithm (small SdacConfig.published) [ 12. + 6.; 0.5; 2. + 8. + 10.; 2.; 0.; 0.; 0.; 12. ])

          testCase "SDAC as in flow-rl: one chain, K draws" (fun () ->
              batches Sdac.algorithm (small SdacConfig.flowRl) [ 3.; 1.; 2. + 12.; 2.; 0.; 0.; 0.; 3. ])

          testCase "DPMD: the targets' actions serve the policy too" (fun () ->
              batches
                  Dpmd.algorithm
                  (DpmdConfig.ofSdac (small SdacConfig.published))
                  [ 12.; 0.5; 2. + 8. + 2.; 2.; 0.; 0.; 0.; 12. ])

          testCase "DPMD as in flow-rl: N actions of the old policy, each a trained row" (fun () ->
              let c = DpmdConfig.flowRl

              let c =
                  { c with
                      Hidden = hidden
                      CriticHidden = None
                      Data = dataOf c.Data
                      Diffusion.Timesteps = t
                      Mirror.Actions = 8 }

              batches Dpmd.algorithm c [ 3. + 24.; 8.; 2. + 16.; 2.; 0.; 0.; 0.; 3. ])

          testCase "SAC: one row of each kind" (fun () ->
              let c = SacConfig.sb3
              batches Sac.algorithm { c with Hidden = hidden; Data = dataOf c.Data } [ 1.; 1.; 2.; 2.; 2.; 0.; 0.; 1. ])

          testCase "TD3: its policy rests every second time and asks one critic" (fun () ->
              let c = Td3Config.authors

              batches
                  Td3.algorithm
                  { c with Hidden = hidden; Data = dataOf c.Data }
                  [ 1.; 0.5; 2.; 2.; 0.5; 0.; 0.; 1. ])

          testCase "QSM: T steps, and a gradient of each critic" (fun () ->
              batches Qsm.algorithm (qsm QsmConfig.published) [ 3.; 1.; 2.; 2.; 2.; 0.; 0.; 3. ])

          testCase "QSM as the SDAC authors have it: best of N Langevin chains" (fun () ->
              let c = qsm QsmConfig.sdacPaper
              let c = { c with BestOf = { c.BestOf with BehaviourParticles = 4; TargetParticles = 4 } }
              batches Qsm.algorithm c [ 12.; 1.; 2. + 8.; 2.; 2.; 0.; 0.; 12. ])

          testCase "DQS: a gradient of both critics at K draws" (fun () ->
              batches Dqs.algorithm (dqs DqsConfig.published) [ 3.; 1.; 2.; 2.; 12.; 0.; 0.; 3. ])

          testCase "DQS as the SDAC authors have it: best of N twice, K gradients" (fun () ->
              let c = dqs DqsConfig.sdacPaper
              let c = { c with BestOf = { c.BestOf with BehaviourParticles = 4; TargetParticles = 4 } }
              batches Dqs.algorithm c [ 12. + 6.; 0.5; 2. + 8. + 4.; 2.; 6.; 0.; 0.; 12. ])

          testCase "DIPO: S steps uphill on both critics" (fun () ->
              let c = DipoConfig.published

              let c = { c with Hidden = hidden; Data = dataOf c.Data; Chain.Timesteps = t; Climb.ClimbSteps = 5 }

              batches Dipo.algorithm c [ 3.; 1.; 2.; 2.; 10.; 0.; 0.; 3. ])

          testCase "QVPO: K chains of each state, and its entropy's rows" (fun () ->
              let c = QvpoConfig.published

              let c =
                  { c with
                      Hidden = hidden
                      Data = dataOf c.Data
                      Chain.Timesteps = t
                      TrainingParticles = 6
                      EntropyActions = 2 }

              batches Qvpo.algorithm c [ 3. * (6. + 4.); 3.; 2. * (1. + 6. + 4.); 2.; 0.; 0.; 0.; 12. ])

          testCase "MaxEntDP: the likelihood's draws at every step, K draws of the critics" (fun () ->
              let c = MaxEntDpConfig.published

              let c =
                  { c with
                      Hidden = hidden
                      Data = dataOf c.Data
                      Chain.Timesteps = t
                      MonteCarloDraws = 6
                      Likelihood.LikelihoodDraws = 5 }

              batches MaxEntDp.algorithm c [ 3. + 15.; 1.; 2. + 12.; 2.; 0.; 0.; 0.; 3. ])

          testCase "IDQL: no action of its own; a value beside the critics" (fun () ->
              let c = IdqlConfig.published

              let c =
                  { c with
                      Hidden = hidden
                      CriticHidden = hidden
                      Data = dataOf c.Data
                      Chain.Timesteps = t
                      BehaviourParticles = 4 }

              batches Idql.algorithm c [ 0.; 1.; 2.; 2.; 0.; 1.; 1.; 12. ])

          testCase "DACER: a chain forward for the targets, one that is differentiated every second time" (fun () ->
              let c = DacerConfig.published

              let c =
                  { c with
                      Hidden = hidden
                      Data = dataOf c.Data
                      Diffusion.Timesteps = t
                      Temperature.TemperatureDelay = 100
                      Entropy.MixtureSamples = 20 }

              let counted = count Dacer.algorithm 100 c |> rows |> List.map (fun rows -> rows / float b)
              let seldom = 3. * 20. / 100.

              for actual, expected in List.zip counted[..6] [ 3. + seldom; 1.5; 2.; 2.; 1.; 0.; 0. ] do
                  Expect.floatClose Accuracy.high actual expected $"{counted}")

          testCase "QIPO: the support's chains and those of the targets, each of the support a trained row" (fun () ->
              let c = QipoConfig.published
              let c = { c with Hidden = hidden; Data = dataOf c.Data; Chain.Timesteps = t; SupportActions = 4 }
              batches Qipo.algorithm c [ 12. + 12.; 5.; 2. * (4. + 5.); 2.; 0.; 0.; 0.; 3. ])

          testCase "PPO: a row of both networks, and a round's values by their share" (fun () ->
              let c = PpoConfig.tiny
              let rows = count Ppo.algorithm 1 c |> rows
              let round, minibatch = 256., 64.
              Expect.equal rows[1] minibatch "policy"
              Expect.equal rows[6] minibatch "value"

              Expect.floatClose
                  Accuracy.high
                  rows[5]
                  (2. * round / 16.)
                  "values of a round's states and next states, per update")

          testCase "DPPO: a minibatch of both networks; likelihoods of the chain come with acting" (fun () ->
              let c = DppoConfig.tiny
              let rows = count Dppo.algorithm 1 c |> rows
              let round, minibatch = 256., 256. * 4. / 4.
              Expect.equal rows[0] 0. "the round's likelihoods are those of acting"
              Expect.equal rows[1] minibatch "policy"
              Expect.equal rows[6] minibatch "value"
              Expect.floatClose Accuracy.high rows[5] (2. * round / 16.) "values of a round"
              Expect.equal rows[7] 4. "steps of an action") ]
