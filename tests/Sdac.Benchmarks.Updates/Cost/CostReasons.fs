namespace Sdac.Benchmarks

open Sdac

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
        [ reason "sac" "the unit: no chain, a row of each network per state and loss"
          reason "td3" "three quarters"
          reason "ppo" "small"
          reason "dppo" ""
          reason "sdac" ""
          reason "dpmd" ""
          reason "qsm" ""
          reason "dqs" ""
          reason "dipo" ""
          reason "qvpo" ""
          reason "maxentdp" ""
          reason "idql" ""
          { reason "dacer" "" with Rare = DacerConfig.published.Temperature.TemperatureDelay }
          reason "qipo" "" ]

    /// Raises KeyNotFoundException for an algorithm without a line.
    let find (algorithm: string) : CostReason = all |> List.find (fun r -> r.Algorithm = algorithm)
