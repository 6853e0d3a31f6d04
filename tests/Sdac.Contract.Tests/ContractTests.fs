/// The contract for every registered algorithm, and that each of its clauses can be broken.
module Sdac.Tests.ContractTests

open System
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Testing

let private clauses (algorithm: IAlgorithm) =
    testList algorithm.Title [ for name, check in Contract.clausesOf algorithm -> testCase name check ]

/// SDAC with another agent, under a name of its own.
let private sdacWith (change: Agent<ActorCriticState, Update> -> Agent<ActorCriticState, Update>) =
    { Sdac.algorithm with
        Name = "faulty"
        Agent = fun compute space horizon config -> Sdac.algorithm.Agent compute space horizon config |> change }

let private always = Key.ofSeed 77L

/// Holds what a fault leaves behind, so that no collection frees it.
let private kept = ResizeArray<TorchSharp.torch.Tensor>()

/// What is wrong with an agent, and words of the clause and of the sentence that notice it.
let private faults
    : (string * (Agent<ActorCriticState, Update> -> Agent<ActorCriticState, Update>) * string * string) list =
    [ "a field that Parts forgets",
      (fun agent -> { agent with Parts = fun visit s -> { agent.Parts visit s with Updates = s.Updates } }),
      "visited whole",
      "Parts forgets Updates"
      "two leaves of one name",
      (fun agent ->
          { agent with
              Parts =
                  fun visit s ->
                      let s = agent.Parts visit s
                      { s with Critics.Q1 = visit.Params("policy", s.Critics.Q1) } }),
      "visited whole",
      "called policy"
      "twin critics from one key",
      (fun agent ->
          { agent with
              Init =
                  fun key ->
                      let s = agent.Init key in
                      { s with Critics.Q2 = Params.copy s.Critics.Q1; Critics.TargetQ2 = Params.copy s.Critics.Q1 } }),
      "differ at the start",
      "q1 and q2"
      "a target that is no copy",
      (fun agent ->
          { agent with
              Init = fun key -> let s = agent.Init key in { s with Critics.TargetQ1 = Params.copy s.Critics.Q2 } }),
      "differ at the start",
      "target_q1"
      "the same key for every update",
      (fun agent -> { agent with Begin = fun table keys state -> agent.Begin table { keys with Noise = always } state }),
      "no key is used twice",
      "gives numbers twice"
      "the same batch for every update",
      (fun agent -> { agent with Begin = fun table keys state -> agent.Begin table { keys with Batch = always } state }),
      "no key is used twice",
      "gives numbers twice"
      "a batch that stages cannot reach",
      (fun agent -> { agent with OnBatch = fun _ work -> work }),
      "another batch",
      "does not reach"
      "acting with one key",
      (fun agent -> { agent with Act = fun purpose state _ obs -> agent.Act purpose state always obs }),
      "explores by its key",
      "another key"
      "random numbers of its own",
      (fun agent ->
          let mutable calls = 0L

          { agent with
              Begin =
                  fun table keys state ->
                      calls <- calls + 1L
                      agent.Begin table { keys with Noise = Key.foldIn calls always } state }),
      "same bits again",
      "gives other bits"
      "terminations that bootstrap",
      (fun agent ->
          let alive (batch: Batch) = { batch with Terminated = batch.Terminated.zeros_like () }
          { agent with Begin = fun table keys state -> agent.OnBatch alive (agent.Begin table keys state) }),
      "terminations do not",
      "teach the same"
      "a figure that nobody declared",
      (fun agent ->
          { agent with
              Finish =
                  fun work ->
                      let f = agent.Finish work
                      { f with Figures = f.Figures.Add("secret", 1.0) } }),
      "figures are declared",
      "secret"
      "a loss that is not a number",
      (fun agent ->
          { agent with
              Finish =
                  fun work ->
                      let f = agent.Finish work
                      { f with Figures = f.Figures.Add("policyLoss", nan) } }),
      "figures are declared",
      "the policy loss is NaN"
      "a tensor left behind by every update",
      (fun agent ->
          { agent with
              Finish =
                  fun work ->
                      TorchSharp.torch.zeros(3L).DetachFromDisposeScope() |> kept.Add
                      agent.Finish work }),
      "live tensors",
      "more tensors are alive"
      "a policy given as data with noise of another key",
      (fun agent ->
          { agent with
              Form =
                  fun state ->
                      agent.Form state
                      |> Result.map (fun form -> { form with Noise = fun key n -> form.Noise (Key.foldIn 1L key) n }) }),
      "as data",
      "Form must say"
      "a policy given as data with the smallest value chosen",
      (fun agent ->
          { agent with
              Act =
                  fun purpose state key obs ->
                      let c = state.Critics
                      let negated (p: Params) = Params.withFlat (p.Flat.neg ()) p
                      agent.Act purpose { state with Critics.Q1 = negated c.Q1; Critics.Q2 = negated c.Q2 } key obs }),
      "as data",
      "Form must say"
      "a policy that does not learn",
      (fun agent ->
          { agent with
              Finish =
                  fun work ->
                      let f = agent.Finish work
                      { f with State = { f.State with TargetPolicy = work.State.TargetPolicy } } }),
      "learn a small task",
      "ends at a mean" ]

[<Tests>]
let tests =
    testSequenced
    <| testList
        "The contract"
        [ for algorithm in Registry.all Registry.standard do
              clauses algorithm

          testList
              "notices"
              [ for what, fault, clause, sentence in faults ->
                    test what {
                        let faulty = sdacWith fault

                        let name, check = Contract.clauses faulty |> List.find (fun (name, _) -> name.Contains clause)

                        let error = Expect.raises<ContractBroken>(fun () -> check ())
                        Expect.stringContains error.Message sentence name
                    } ] ]
