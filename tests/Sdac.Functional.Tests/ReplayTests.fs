module Sdac.Tests.ReplayTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

/// One remembered transition of the naive model: everything is told apart by distinct numbers.
type private Row = { Obs: float32; Action: float32; Reward: float32; Terminated: bool; Next: float32 }

// Observations are [x; x + 0.25; x + 0.5], actions [a; a - 0.25]: the first entry tells them apart, the others show a wrong stride.
let private obsDim, actionDim = 3, 2

let private wide (dim: int) (step: float32) (firsts: float32[]) =
    firsts |> Array.collect (fun x -> Array.init dim (fun j -> x + step * float32 j))

let private wideObs, wideAction = wide obsDim 0.25f, wide actionDim -0.25f

let private narrow (dim: int) (step: float32) (values: float32[]) =
    let firsts = values |> Array.chunkBySize dim |> Array.map Array.head
    Expect.equal values (wide dim step firsts) "one row's numbers"
    firsts

/// A stream of vector steps whose observations continue from one to the next, with random episode ends.
let private stream (environments: int) (steps: int) (seed: int) : Transitions list =
    let random = Random seed

    let fresh =
        let mutable n = 0.0f in

        fun () ->
            n <- n + 1.0f
            n

    let mutable current = Array.init environments (fun _ -> fresh ())

    [ for _ in 1..steps do
          let ends = Array.init environments (fun _ -> random.Next 6)
          let next = Array.init environments (fun _ -> fresh ())
          let after = Array.init environments (fun e -> if ends[e] <= 1 then fresh () else next[e])

          { Obs = wideObs current
            Action = wideAction (Array.init environments (fun _ -> fresh ()))
            Reward = Array.init environments (fun _ -> fresh ())
            Terminated = Array.map ((=) 0) ends
            Truncated = Array.map ((=) 1) ends
            NextObs = wideObs next
            Current = wideObs after
            Extras = [] }

          current <- after ]

let private rows (t: Transitions) =
    let t =
        { t with
            Obs = narrow obsDim 0.25f t.Obs
            NextObs = narrow obsDim 0.25f t.NextObs
            Action = narrow actionDim -0.25f t.Action }

    [ for e in 0 .. t.Reward.Length - 1 ->
          { Obs = t.Obs[e]
            Action = t.Action[e]
            Reward = t.Reward[e]
            Terminated = t.Terminated[e]
            Next = t.NextObs[e] } ]

let private content (r: Replay) =
    use _ = torch.NewDisposeScope()
    let b = Replay.gather Compute.cpu [| 0 .. r.Count - 1 |] r
    let column t = Tensors.toArray t
    let obs, next = narrow obsDim 0.25f (column b.Obs), narrow obsDim 0.25f (column b.NextObs)

    let action, reward, ended =
        narrow actionDim -0.25f (column b.Action), column b.Reward, column b.Terminated

    [ for i in 0 .. r.Count - 1 ->
          { Obs = obs[i]
            Action = action[i]
            Reward = reward[i]
            Terminated = ended[i] = 1.0f
            Next = next[i] } ]

let private cases =
    Gen.zip (Gen.zip (sizes 1 4) (sizes 1 120)) (Gen.zip (sizes 20 300) (sizes 0 100_000))

[<Tests>]
let tests =
    testList
        "replay memory"
        [ testForAll
              "the memory holds the newest transitions, in order, each with its own next observation"
              150
              cases
              (fun ((environments, steps), (capacity, seed)) ->
                  let all = stream environments steps seed

                  let memory =
                      all
                      |> List.fold
                          (fun m t -> Replay.append t m)
                          (Replay.create environments obsDim actionDim capacity)

                  let expected = all |> List.collect rows
                  Expect.equal memory.Total (int64 (environments * steps)) "total"
                  Expect.isTrue (memory.Count <= max capacity environments) "number of memory"
                  // never less than 7/8 of the capacity once that many have come, as whole chunks are dropped
                  Expect.isTrue
                      (memory.Count >= min expected.Length (capacity * 7 / 8 - environments))
                      "number of memory"

                  Expect.equal (content memory) (List.skip (expected.Length - memory.Count) expected) "content")

          testForAll
              "a snapshot keeps its content whatever is appended later, past wrap-around and in several branches"
              100
              cases
              (fun ((environments, steps), (capacity, seed)) ->
                  let before, after = stream environments (2 * steps) seed |> List.splitAt steps
                  let grow m ts = ts |> List.fold (fun m t -> Replay.append t m) m
                  let snapshot = grow (Replay.create environments obsDim actionDim capacity) before
                  let expected = content snapshot
                  let first = grow snapshot after
                  let firstContent = content first
                  // a second branch from the same snapshot, with other transitions that follow the same observation
                  let other = after |> List.map (fun t -> { t with Reward = Array.map (fun r -> -r) t.Reward })

                  let second = grow snapshot other
                  Expect.equal (content snapshot) expected "content"
                  Expect.equal (content first) firstContent "content"
                  let expectedSecond = List.collect rows (before @ other)

                  Expect.equal
                      (content second)
                      (List.skip (expectedSecond.Length - second.Count) expectedSecond)
                      "content")

          testForAll
              "a memory put together from its segments holds, draws and grows as the memory itself"
              100
              cases
              (fun ((environments, steps), (capacity, seed)) ->
                  let before, after = stream environments (2 * steps) seed |> List.splitAt steps
                  let grow m ts = ts |> List.fold (fun m t -> Replay.append t m) m
                  let memory = grow (Replay.create environments obsDim actionDim capacity) before

                  let copy =
                      Replay.ofSegments (Replay.create environments obsDim actionDim capacity) (Replay.segments memory)

                  Expect.equal copy.Total memory.Total "total"
                  Expect.equal (content copy) (content memory) "content"
                  let grown, grownCopy = grow memory after, grow copy after
                  Expect.equal (content grownCopy) (content grown) "content"
                  use _ = torch.NewDisposeScope()
                  let rewards m = Tensors.toArray (Replay.sample Compute.cpu (Key.ofSeed 3L) 64 m).Reward
                  Expect.equal (rewards grownCopy) (rewards grown) "rewards"
                  // appending to the copy has left the original alone, and the other way round
                  Expect.equal (content copy) (content memory) "content")

          testForAll
              "what ended an episode is told in the order of the transitions"
              40
              (Gen.listOfLength 60 (Gen.elements [ 0; 0; 1; 2; 3 ]))
              (fun ends ->
                  // steps of two environments, in chunks of two steps
                  let step memory (kinds: int[]) =
                      Replay.append
                          { Obs = [| 0.0f; 0.0f |]
                            Action = [| 0.0f; 0.0f |]
                            Reward = [| 0.0f; 0.0f |]
                            Terminated = kinds |> Array.map (fun kind -> kind % 2 = 1)
                            Truncated = kinds |> Array.map (fun kind -> kind >= 2)
                            NextObs = [| 0.0f; 0.0f |]
                            Current = [| 0.0f; 0.0f |]
                            Extras = [] }
                          memory

                  let memory =
                      ends |> List.chunkBySize 2 |> List.map List.toArray |> List.fold step (Replay.create 2 1 1 64)

                  let struct (terminated, truncated) = Replay.ends memory
                  Expect.equal (List.ofArray terminated) (ends |> List.map (fun kind -> kind % 2 = 1)) "terminated"
                  Expect.equal (List.ofArray truncated) (ends |> List.map ((=) 2)) "at the time limit alone")

          testCase "closed segments stay the same in later memories" (fun () ->
              let before, after = stream 2 300 5 |> List.splitAt 150
              let grow m ts = ts |> List.fold (fun m t -> Replay.append t m) m
              let memory = grow (Replay.create 2 obsDim actionDim 400) before
              let later = Replay.segments (grow memory after)
              let closed = Replay.segments memory |> List.filter _.Closed
              Expect.isNonEmpty closed "closed"

              let both =
                  closed
                  |> List.choose (fun s ->
                      later |> List.tryFind (fun l -> l.First = s.First) |> Option.map (fun l -> s, l))

              Expect.isNonEmpty both "both"

              for earlier, later in both do
                  Expect.equal (later.Obs.ToArray()) (earlier.Obs.ToArray()) "obs"
                  Expect.equal (later.Finals.ToArray()) (earlier.Finals.ToArray()) "finals"
                  Expect.equal (later.Final.ToArray()) (earlier.Final.ToArray()) "final")

          testCase "segments that are not one memory's are refused" (fun () ->
              let memory =
                  stream 2 150 5 |> List.fold (fun m t -> Replay.append t m) (Replay.create 2 obsDim actionDim 400)

              let segments = Replay.segments memory

              let refused capacity segments =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      Replay.ofSegments (Replay.create 2 obsDim actionDim capacity) segments |> ignore)
                  |> ignore

              refused 400 []
              refused 400 (List.removeAt 1 segments)
              refused 400 (List.take 2 segments)
              refused 100 segments
              refused 400 [ for s in segments -> { s with Reward = s.Reward.Slice 1 } ])

          testCase "steps that do not continue the last observation start afresh and spoil nothing" (fun () ->
              let a, b =
                  stream 2 5 1, stream 2 5 2 |> List.map (fun t -> { t with Obs = Array.map ((+) 1000.0f) t.Obs })

              let memory = a @ b |> List.fold (fun m t -> Replay.append t m) (Replay.create 2 obsDim actionDim 1000)
              Expect.equal (content memory) (List.collect rows (a @ b)) "content")

          testCase "batches are drawn evenly from all that is held" (fun () ->
              let all = stream 2 50 3
              let memory = all |> List.fold (fun m t -> Replay.append t m) (Replay.create 2 obsDim actionDim 1000)
              let n = 100_000
              let batch = Replay.sample Compute.cpu (Key.ofSeed 1L) n memory
              let counts = Tensors.toArray batch.Reward |> Array.countBy id
              Expect.equal counts.Length 100 "number of counts"
              let chi2 = counts |> Seq.sumBy (fun (_, c) -> (float c - 1000.0) ** 2.0 / 1000.0)
              // the 0.9999 quantile of χ² with 99 degrees of freedom
              Expect.isTrue (chi2 < 161.3) $"χ² = {chi2}")

          testCase "an empty memory, a missing transition and a step of the wrong width are refused by name" (fun () ->
              let empty = Replay.create 2 4 actionDim 100

              let e =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      Replay.sample Compute.cpu (Key.ofSeed 0L) 4 empty |> ignore)

              Expect.stringContains e.Message "empty" "sentence"

              let e =
                  Expect.raises<RefusedArgumentException>(fun () -> Replay.gather Compute.cpu [| 0 |] empty |> ignore)

              Expect.stringContains e.Message "holds 0" "sentence"

              let e =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      Replay.append (List.head (stream 2 1 0)) empty |> ignore)

              Expect.stringContains e.Message "Obs holds 6 numbers for 2 environments; 8 are needed" "sentence") ]
