namespace Sdac.Functional

/// The diffusion chain and the time embedding of its network.
type DiffusionSettings =
    {
        /// T, steps of the chain
        Timesteps: int
        /// How much noise each step adds
        BetaSchedule: BetaSchedule
        /// Deviation of x_T, where reverse sampling starts
        InitialNoiseScale: float
        /// Each step's noise has deviation √β_t instead of the posterior's σ_t (MaxEntDP, flow-rl)
        WideNoise: bool
        /// Width of the sinusoidal time embedding
        TimeDim: int
        /// Width of the hidden layer behind it
        TimeHidden: int
    }

[<RequireQualifiedAccess>]
module DiffusionSettings =
    /// The chain's coefficients. Raises ArgumentException on what `problems` says of the schedule.
    let schedule (d: DiffusionSettings) : Schedule =
        let schedule = Schedule.create d.BetaSchedule d.Timesteps
        if d.WideNoise then Schedule.wide schedule else schedule

    let problems (d: DiffusionSettings) : string list =
        [ [ if d.TimeDim < 2 || d.TimeDim % 2 <> 0 then
                $"timeDim is %d{d.TimeDim}; it must be even and at least 2" ]
          Check.atLeast (nameof d.TimeHidden) 1 d.TimeHidden
          Check.atLeast (nameof d.Timesteps) 1 d.Timesteps
          [ if d.Timesteps >= 1 then
                match Schedule.problem d.BetaSchedule d.Timesteps with
                | Some problem -> $"BetaSchedule: {problem}"
                | None -> () ]
          Check.within (nameof d.InitialNoiseScale) 0.0 1e6 d.InitialNoiseScale ]
        |> List.concat

/// The chain of a policy whose network brings its own time embedding.
type ChainSettings =
    {
        /// T, steps of the chain
        Timesteps: int
        /// How much noise each step adds
        BetaSchedule: BetaSchedule
        /// Deviation of x_T, where reverse sampling starts
        InitialNoiseScale: float
    }

[<RequireQualifiedAccess>]
module ChainSettings =
    let problems (c: ChainSettings) : string list =
        [ Check.atLeast (nameof c.Timesteps) 1 c.Timesteps
          [ if c.Timesteps >= 1 then
                match Schedule.problem c.BetaSchedule c.Timesteps with
                | Some problem -> $"BetaSchedule: {problem}"
                | None -> () ]
          Check.within (nameof c.InitialNoiseScale) 0.0 1e6 c.InitialNoiseScale ]
        |> List.concat

/// What becomes of Q before it is an energy.
[<RequireQualifiedAccess>]
type QNormalisation =
    /// It stays as it is.
    | Off
    /// clip((Q - m)/s, ±QClip) with running averages m and s of Q's mean and deviation.
    | Running
    /// clip((Q - m)/s, ±QClip) with m and s of the update's own values (the authors' answer to a review).
    | Batch
    /// clip(Q - m/s, ±QClip): the published reference implementation's slip of precedence, for comparisons with its figures.
    | RunningAsPublished

/// From values to energies.
type EnergySettings =
    {
        /// Q is multiplied by this before it is divided by λ (the inverse of RewardScale in the published settings)
        QScale: float
        /// What becomes of Q before it is an energy
        QNormalisation: QNormalisation
        /// Rate of the running averages that normalise Q
        QNormalisationRate: float
        /// Bound of the normalised Q
        QClip: float
    }

[<RequireQualifiedAccess>]
module EnergySettings =
    let problems (e: EnergySettings) : string list =
        [ Check.positive (nameof e.QScale) e.QScale
          Check.within (nameof e.QNormalisationRate) 0.0 1.0 e.QNormalisationRate
          Check.positive (nameof e.QClip) e.QClip ]
        |> List.concat

/// How the Monte-Carlo draws of one state are weighted.
[<RequireQualifiedAccess>]
type RssmWeights =
    /// softmax over the K draws: needs K ≥ 2 (with one draw the weight is 1 whatever Q says).
    | SelfNormalised
    /// exp(Q/λ) as in the theorem, with no normalisation; works from K = 1.
    | Raw
    /// exp(Q/λ - logsumexp + ln K), K times the softmax: a state's weights are 1 in the mean. Needs K ≥ 2.
    | LogSumExp

/// What becomes of draws from q̃_{0|t} that leave the box [-1, 1]^A in which clean actions live.
[<RequireQualifiedAccess>]
type ReverseNoise =
    /// They are moved to its border, as the published experiments do: simple, but at high noise nearly all draws sit there.
    | Clipped
    /// q̃_{0|t} is restricted to the box: every draw lies inside it and none on its border.
    | TruncatedNormal
    /// They stay where they are.
    | Unbounded

/// The draws of the RSSM loss.
type DrawSettings =
    {
        /// K, draws of ã_0 per state
        MonteCarloDraws: int
        /// How the draws of one state are weighted
        Weights: RssmWeights
        /// What becomes of draws that leave the box [-1, 1]^A
        ReverseNoise: ReverseNoise
    }

[<RequireQualifiedAccess>]
module DrawSettings =
    let problems (d: DrawSettings) : string list =
        [ Check.atLeast (nameof d.MonteCarloDraws) 1 d.MonteCarloDraws
          [ if d.Weights <> RssmWeights.Raw && d.MonteCarloDraws = 1 then
                "monteCarloDraws is 1 with self-normalised weights: every weight would be 1 and nothing would be learned; take at least 2 draws, or weights = raw" ] ]
        |> List.concat
