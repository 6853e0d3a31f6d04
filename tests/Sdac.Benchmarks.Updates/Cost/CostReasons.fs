namespace Sdac.Benchmarks

open Sdac.Functional

/// What the table of costs says of an algorithm in words.
type CostReason =
    {
        Algorithm: string
        /// The number of updates of which the first does what the others do not (DACER's estimate of entropy); 1: none
        Rare: int
        /// Why an update costs so many times what SAC's costs
        Phrase: string
    }

/// One line per algorithm.
[<RequireQualifiedAccess>]
module CostReasons =
    let private reason algorithm phrase = { Algorithm = algorithm; Rare = 1; Phrase = phrase }

    let all: CostReason list =
        [ reason "sac" "the unit: no chain, one row a state, network and loss"
          reason "td3" "the policy moves on every second update, by one critic: a quarter of SAC's action gradients"
          reason "ppo" "minibatches of 64 rows, networks of 64 units, no critics"
          reason "dppo" "minibatches of 5,000 rows, all with gradients, through a policy 512 wide"
          reason "sdac" "960 chain rows a state: 32 particles of 20 steps, and as many again where the policy moves"
          reason "dpmd" "640 chain rows a state: the particles of the targets serve the policy too"
          reason "qsm" "5 chain rows a state, and layers of 512: four times the arithmetic a row"
          reason "dqs" "2,000 action gradients a state: both critics at 1,000 draws"
          reason "dipo" "100 chain rows a state for the targets, and 40 steps uphill on both critics"
          reason "qvpo" "1,360 chain rows a state: 64 particles for the policy, 4 for the targets, 20 steps"
          reason "maxentdp" "1,000 actor rows a state for the likelihood, 1,000 critic rows for its 500 draws"
          reason "idql" "no actions drawn and no action gradients; a layer more in the policy, and a value"
          { reason "dacer" "20 chain rows a state for the targets, 20 with gradients on every second update" with
              Rare = DacerConfig.published.Temperature.TemperatureDelay }
          reason "qipo" "160 chain rows and 5 trained ones a state, in four layers of 512" ]

    /// Raises KeyNotFoundException for an algorithm without a line.
    let find (algorithm: string) : CostReason = all |> List.find (fun r -> r.Algorithm = algorithm)
