module Sdac.Experiments.Tests.JsonTests

open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

type Schedule =
    | Linear of scale: float
    | Cosine
    | Bounded of low: float * high: float

type Inner = { Gamma: float; BatchSize: int; Hidden: int list; Schedule: Schedule }

type Outer = { Task: string; Seed: uint64; Limit: int option; Algorithm: Inner }

let private example =
    { Task = "Hopper-v4"
      Seed = 1UL
      Limit = None
      Algorithm = { Gamma = 0.99; BatchSize = 256; Hidden = [ 256; 256 ]; Schedule = Linear 0.8 } }

let private outer =
    gen {
        let! task = Gen.elements [ "Hopper-v4"; "naïve \"task\"\n"; "" ]
        let! seed = ArbMap.defaults |> ArbMap.generate<uint64>
        let! limit = ArbMap.defaults |> ArbMap.generate<int option>
        let! gamma = ArbMap.defaults |> ArbMap.generate<NormalFloat>
        let! low = ArbMap.defaults |> ArbMap.generate<NormalFloat>
        let! batch = Gen.choose (1, 1000)
        let! hidden = Gen.listOf (Gen.choose (1, 400))
        let! schedule = Gen.elements [ Linear low.Get; Cosine; Bounded(low.Get, gamma.Get) ]

        return
            { Task = task
              Seed = seed
              Limit = limit
              Algorithm = { Gamma = gamma.Get; BatchSize = batch; Hidden = hidden; Schedule = schedule } }
    }
    |> Arb.fromGen

[<Tests>]
let tests =
    testList
        "JSON"
        [ testPropertyWithConfig
              seeded
              "a printed value is parsed back to the same value, to the last bit"
              (Prop.forAll outer (fun value -> Json.parseOver "test" example (Json.print value) = value))

          testCase "what is left out keeps its value" (fun () ->
              let parsed = Json.parseOver "test" example """{"algorithm":{"gamma":0.9}}"""
              Expect.equal parsed { example with Algorithm = { example.Algorithm with Gamma = 0.9 } } "parsed"
              Expect.equal (Json.parseOver "test" example "{}") example "parse over")

          testCase "an unknown field is named together with the nearest valid one and its place" (fun () ->
              failureOf (fun () -> Json.parseOver "my.json" example """{"sead":3}""")
              |> says [ "'sead'"; "my.json"; "'seed'" ]

              failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"batch_size":3}}""")
              |> says [ "'batch_size'"; "'algorithm' of my.json"; "'batchSize'" ]

              failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"schedule":"cosin"}}""")
              |> says [ "'cosin'"; "'algorithm.schedule'"; "'cosine'" ]

              failureOf (fun () ->
                  Json.parseOver "my.json" example """{"algorithm":{"schedule":{"bounded":{"low":1,"hihg":2}}}}""")
              |> says [ "'hihg'"; "'high'" ])

          testCase "a value of the wrong kind is refused with its place" (fun () ->
              failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"gamma":"high"}}""")
              |> says [ "my.json"; "wrong kind" ]

              failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":3}""")
              |> says [ "my.json"; "algorithm"; "object" ]

              failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"schedule":7}}""")
              |> says [ "linear, cosine, bounded" ])

          testCase "text that is not JSON is refused with line and column" (fun () ->
              failureOf (fun () -> Json.parseOver "my.json" example "{\n  \"seed\": ,\n}")
              |> says [ "my.json"; "line 2"; "column" ])

          testCase "one setting is changed by its path or by its last part" (fun () ->
              Expect.equal ((Json.set example "algorithm.gamma" "0.5").Algorithm.Gamma) 0.5 "gamma"
              Expect.equal ((Json.set example "gamma" "0.5").Algorithm.Gamma) 0.5 "gamma"
              Expect.equal ((Json.set example "task" "Ant-v4").Task) "Ant-v4" "task"
              Expect.equal ((Json.set example "schedule" "cosine").Algorithm.Schedule) Cosine "schedule"

              Expect.equal
                  ((Json.set example "schedule" """{"linear":0.5}""").Algorithm.Schedule)
                  (Linear 0.5)
                  "schedule"

              Expect.equal ((Json.set example "hidden" "[64,64]").Algorithm.Hidden) [ 64; 64 ] "hidden"
              Expect.equal ((Json.set example "limit" "4").Limit) (Some 4) "limit")

          testCase "an unknown setting on the command line is named together with the nearest valid one" (fun () ->
              failureOf (fun () -> Json.set example "gama" "0.5") |> says [ "'gama'"; "--set"; "'gamma'" ]
              failureOf (fun () -> Json.set example "gamma" "often") |> says [ "--set gamma=often"; "wrong kind" ]) ]
