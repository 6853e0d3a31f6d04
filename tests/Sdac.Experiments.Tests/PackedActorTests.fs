/// Policies that are packed to act on one observation after the other.
module Sdac.Experiments.Tests.PackedActorTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Experiments.Tests.FreshPolicies
open Sdac.Testing
open TorchSharp

/// Of every algorithm and preset: its name, and whether it can be packed and then acts as the agent does, bit for bit.
let private packed () =
    [ for name, spec in forms () do
          let policy = fresh spec

          try
              let actor = Result.toOption policy.Form |> Option.bind (PackedActor.ofForm Compute.cpu policy.Space)

              match actor with
              | None -> ()
              | Some actor ->
                  use actor = actor

                  for seed in 1L .. 8L do
                      let obs = observations 3 policy.Space.ObsDim |> Array.map ((*) (float32 seed))

                      for row in Array.chunkBySize policy.Space.ObsDim obs do
                          let key = Key.ofSeed seed
                          Expect.equal (actor.Act(key, row)) (policy.Act key 1 row) $"{name}, seed {seed}"

                  name
          finally
              policy.Free() ]

[<Tests>]
let tests =
    testList
        "packed actors"
        [ testCase "one that is packed acts as its agent does, bit for bit" (fun () ->
              let names = packed ()
              let has (name: string) = List.contains name names

              for name in [ "sdac"; "dpmd" ] do
                  Expect.isTrue (has $"{name} tiny" && has $"{name} published") $"{name} is packed"

              Expect.isTrue (has "sdac with qReduction mean") "the critics' mean"

              Expect.isTrue
                  (has "sdac with networks.activation elu, criticActivation relu, actsBy online")
                  "other layers"

              for name in names do
                  Expect.isFalse (name.Contains "LayerNorm") "layer norms cannot be packed"
                  Expect.isFalse (name.StartsWith "sac" || name.StartsWith "dppo") $"{name} is no such chain")

          testCase "without kernels nothing is packed" (fun () ->
              let policy = fresh (List.head (forms ()) |> snd)

              try
                  let form = Result.defaultWith failtest policy.Form
                  let compute = { Compute.cpu with Kernels = false }
                  Expect.isNone (PackedActor.ofForm compute policy.Space form) "libtorch's policy"
              finally
                  policy.Free())

          testForAllWith
              (fixedSeed 7UL 100)
              "the largest value is that of best of N, with equal ones and with what is no number"
              (Gen.choose (1, 6)
               |> Gen.bind (fun n -> Gen.listOfLength n (Gen.elements [ -1.0f; 0.0f; 2.0f; nanf; infinityf ])))
              (fun values ->
                  use _ = torch.NewDisposeScope()
                  let values = List.toArray values

                  let actions =
                      Tensors.ofArray Compute.cpu [ 1; values.Length; 1 ] (Array.map float32 [| 1 .. values.Length |])

                  let best = Diffusion.bestOf actions (Tensors.ofArray Compute.cpu [ 1; values.Length ] values)

                  Expect.equal
                      (float32 (PackedActor.Largest values + 1))
                      (Tensors.toArray best.Action |> Array.head)
                      "index") ]
