module Sdac.Tests.AdvantageTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

// The reference sheet's piece: an end at step 2, V of its last observation 4; V after the last step 3.
let private sheet terminated truncated =
    { Environments = 1
      Reward = [| 1.0; 2.0; 3.0; 4.0; 5.0 |]
      Value = [| 0.5; 1.0; 1.5; 2.0; 2.5 |]
      NextValue = [| 1.0; 1.5; 4.0; 2.5; 3.0 |]
      Terminated = Array.init 5 (fun t -> t = 2 && terminated)
      Truncated = Array.init 5 (fun t -> t = 2 && truncated) }

let private pieces =
    gen {
        let! environments = sizes 1 4
        let! steps = sizes 1 12
        let n = environments * steps
        let number = between -2.0 2.0
        let! reward = Gen.arrayOfLength n number
        let! value = Gen.arrayOfLength n number
        let! next = Gen.arrayOfLength n number

        let! ends =
            Gen.arrayOfLength n (Gen.frequency [ 6, Gen.constant 0; 1, Gen.constant 1; 1, Gen.constant 2 ])

        return
            { Environments = environments
              Reward = reward
              Value = value
              NextValue = next
              Terminated = Array.map ((=) 1) ends
              Truncated = Array.map ((=) 2) ends }
    }

/// The definition as a sum over the rest of the episode, for one row: Σ_k (γλ)^k·δ_{t+k}.
let private sumOfDeltas discount lambda (steps: RolloutSteps) row =
    let delta i =
        let bootstrap = if steps.Terminated[i] then 0.0 else discount * steps.NextValue[i]
        steps.Reward[i] + bootstrap - steps.Value[i]

    let ended i = steps.Terminated[i] || steps.Truncated[i]
    let rest = [ row .. steps.Environments .. steps.Reward.Length - 1 ]

    let length =
        match List.tryFindIndex ended rest with
        | Some k -> k + 1
        | None -> rest.Length

    rest
    |> List.take length
    |> List.mapi (fun k i -> (discount * lambda) ** float k * delta i)
    |> List.sum

[<Tests>]
let tests =
    testList
        "advantages and running moments"
        [ testCase "a time limit bootstraps from the episode's last observation and stops the sum" (fun () ->
              let struct (advantage, returns) = Advantage.estimate 0.9 0.8 (sheet false true)
              closeTo 1e-12 "advantages" [| 5.73584; 6.022; 5.1; 7.994; 5.2 |] advantage
              closeTo 1e-12 "returns" [| 6.23584; 7.022; 6.6; 9.994; 7.7 |] returns)

          testCase "a termination does not bootstrap" (fun () ->
              for truncated in [ false; true ] do
                  let struct (advantage, returns) = Advantage.estimate 0.9 0.8 (sheet true truncated)
                  closeTo 1e-12 "advantages" [| 3.8696; 3.43; 1.5; 7.994; 5.2 |] advantage
                  closeTo 1e-12 "returns" [| 4.3696; 4.43; 3.0; 9.994; 7.7 |] returns)

          testForAll "advantages of several environments are the sums of the definition" 100 pieces (fun steps ->
              for discount, lambda in [ 0.99, 0.95; 0.9, 1.0; 0.5, 0.0 ] do
                  let struct (advantage, returns) = Advantage.estimate discount lambda steps
                  let want = Array.init steps.Reward.Length (sumOfDeltas discount lambda steps)
                  closeTo 1e-10 "advantages" want advantage
                  closeTo 1e-10 "returns" (Array.map2 (+) want steps.Value) returns)

          testCase "pieces that do not fit are refused" (fun () ->
              let good = sheet false true
              let refused words steps = failsWith words (fun () -> Advantage.estimate 0.9 0.8 steps |> ignore)
              refused [ "Value has 4"; "Reward has 5" ] { good with Value = Array.zeroCreate 4 }
              refused [ "Truncated has 0" ] { good with Truncated = [||] }
              refused [ "5 rows"; "2 environments" ] { good with Environments = 2 }
              refused [ "0 environments" ] { good with Environments = 0 })

          testCase "running moments have the reference sheet's numbers" (fun () ->
              let first = RunningMoments.start 1 |> RunningMoments.observe [| 1.0; 2.0; 3.0 |]
              closeTo 1e-9 "mean" [| 1.999933336 |] first.Mean
              closeTo 1e-9 "variance" [| 0.6668111019 |] first.Variance
              let second = RunningMoments.observe [| 6.0 |] first
              closeTo 1e-9 "mean" [| 2.999925002 |] second.Mean
              closeTo 1e-9 "variance" [| 3.500162490 |] second.Variance
              closeTo 1e-9 "normalised" [| 0.5345501629 |] (RunningMoments.normalise 10.0 second [| 4.0 |])
              closeTo 1e-12 "clipped" [| 10.0; -10.0 |] (RunningMoments.normalise 10.0 second [| 1e3; -1e3 |])
              let fromNothing = RunningMoments.empty 1 |> RunningMoments.observe [| 1.0; 2.0; 3.0 |]
              let fromNothing = RunningMoments.observe [| 6.0 |] fromNothing
              closeTo 1e-12 "from nothing" [| 3.0; 3.5 |] (Array.append fromNothing.Mean fromNothing.Variance))

          testForAll
              "moments do not depend on how the stream is cut into batches"
              60
              (Gen.zip (sizes 1 4) (Gen.listOfLength 5 (sizes 0 9)))
              (fun (width, batches) ->
                  let random = Random(width + 10 * List.sum batches)
                  // Far from zero compared with the spread: sums of squares would cancel here.
                  let rows n = Array.init (n * width) (fun _ -> 1e6 + random.NextDouble())
                  let all = batches |> List.map rows

                  let cut =
                      all
                      |> List.fold
                          (fun moments rows -> RunningMoments.observe rows moments)
                          (RunningMoments.empty width)

                  let whole = RunningMoments.ofRows width (Array.concat all)
                  Expect.equal cut.Count whole.Count "count"
                  closeTo 1e-12 "mean" whole.Mean cut.Mean
                  closeTo 1e-8 "variance" whole.Variance cut.Variance

                  // Two halves merged in either order.
                  let a, b = RunningMoments.ofRows width all[0], RunningMoments.ofRows width all[1]
                  let ab, ba = RunningMoments.merge a b, RunningMoments.merge b a
                  closeTo 1e-12 "mean of the merged" ab.Mean ba.Mean
                  closeTo 1e-8 "variance of the merged" ab.Variance ba.Variance)

          testCase "components do not mix, and widths that do not fit are refused" (fun () ->
              let moments = RunningMoments.ofRows 2 [| 1.0; 10.0; 3.0; 30.0 |]
              Expect.equal moments { Count = 2.0; Mean = [| 2.0; 20.0 |]; Variance = [| 1.0; 100.0 |] } "moments"
              closeTo 1e-8 "normalised" [| -1.0; 1.0 |] (RunningMoments.normalise 10.0 moments [| 1.0; 30.0 |])

              failsWith [ "3 numbers"; "rows of 2" ] (fun () ->
                  RunningMoments.observe (Array.zeroCreate 3) moments |> ignore)

              failsWith [ "3 numbers"; "rows of 2" ] (fun () ->
                  RunningMoments.normalise 1.0 moments (Array.zeroCreate 3) |> ignore)

              failsWith [ "3 components"; "2" ] (fun () ->
                  RunningMoments.merge moments (RunningMoments.empty 3) |> ignore))

          testCase "rewards are scaled by the deviation of the return, with the reference sheet's numbers" (fun () ->
              let step (scale, variances, scaled) reward =
                  let struct (next, out) = ReturnScale.observe 0.99 10.0 [| reward |] [| false |] scale
                  next, next.Moments.Variance[0] :: variances, out[0] :: scaled

              let last, variances, scaled = List.fold step (ReturnScale.start 1, [], []) [ 1.0; 1.0; -2.0 ]
              closeTo 1e-9 "return" [| -0.0299 |] last.Return
              closeTo 1e-7 "variances" [| 1.9997e-4; 0.2451744869; 0.6801308938 |] (Array.ofList (List.rev variances))
              closeTo 1e-8 "scaled" [| 10.0; 2.019586010; -2.425122837 |] (Array.ofList (List.rev scaled)))

          testCase "the return starts anew behind an end, after it was counted" (fun () ->
              let struct (next, _) =
                  ReturnScale.observe 0.9 10.0 [| 5.0; 5.0 |] [| true; false |] (ReturnScale.start 2)

              Expect.equal next.Return [| 0.0; 5.0 |] "returns"
              closeTo 1e-3 "mean" [| 5.0 |] next.Moments.Mean

              failsWith [ "1 rewards"; "2 environments" ] (fun () ->
                  ReturnScale.observe 0.9 10.0 [| 5.0 |] [| true; false |] next |> ignore))

          testForAll
              "scaling a round at once is scaling by all its returns, which end with the episodes and go on into the next round"
              60
              (Gen.zip pieces (between 0.5 1.0))
              (fun (piece, discount) ->
                  let environments, n = piece.Environments, piece.Reward.Length
                  let ended = Array.map2 (||) piece.Terminated piece.Truncated

                  // by hand, environment by environment
                  let returns (before: float[]) =
                      let found, now = Array.zeroCreate n, Array.copy before

                      for e in 0 .. environments - 1 do
                          for i in e..environments .. n - 1 do
                              found[i] <- discount * now[e] + piece.Reward[i]
                              now[e] <- if ended[i] then 0.0 else found[i]

                      found, now

                  let struct (one, _) =
                      ReturnScale.observeRound discount 10.0 piece.Reward ended (ReturnScale.start environments)

                  let struct (two, scaled) = ReturnScale.observeRound discount 10.0 piece.Reward ended one
                  let first, now = returns (Array.zeroCreate environments)
                  closeTo 1e-12 "carried" now one.Return
                  let second, _ = returns now
                  let all = Array.append first second
                  // the start counts as a ten-thousandth of a return 0 with variance 1
                  let count = float all.Length + 1e-4
                  let mean = Array.sum all / count
                  let squares = Array.sumBy (fun g -> (g - mean) * (g - mean)) all + 1e-4 * (1.0 + mean * mean)
                  let deviation = sqrt (squares / (count - 1.0) + 1e-8)

                  let wanted = piece.Reward |> Array.map (fun r -> max -10.0 (min 10.0 (r / deviation)))
                  closeTo 1e-9 "scaled" wanted scaled
                  closeTo 1e-9 "moments" [| count; mean |] [| two.Moments.Count; two.Moments.Mean[0] |]) ]
