module Sdac.Experiments.Tests.JsonTests

open FsCheck
open FsCheck.FSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

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

[<Fact>]
let ``a printed value is parsed back to the same value, to the last bit`` () =
    check (Prop.forAll outer (fun value -> Json.parseOver "test" example (Json.print value) = value))

[<Fact>]
let ``what is left out keeps its value`` () =
    let parsed = Json.parseOver "test" example """{"algorithm":{"gamma":0.9}}"""
    Assert.Equal({ example with Algorithm = { example.Algorithm with Gamma = 0.9 } }, parsed)
    Assert.Equal(example, Json.parseOver "test" example "{}")

[<Fact>]
let ``an unknown field is named together with the nearest valid one and its place`` () =
    failureOf (fun () -> Json.parseOver "my.json" example """{"sead":3}""")
    |> says [ "'sead'"; "my.json"; "'seed'" ]

    failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"batch_size":3}}""")
    |> says [ "'batch_size'"; "'algorithm' of my.json"; "'batchSize'" ]

    failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"schedule":"cosin"}}""")
    |> says [ "'cosin'"; "'algorithm.schedule'"; "'cosine'" ]

    failureOf (fun () ->
        Json.parseOver "my.json" example """{"algorithm":{"schedule":{"bounded":{"low":1,"hihg":2}}}}""")
    |> says [ "'hihg'"; "'high'" ]

[<Fact>]
let ``a value of the wrong kind is refused with its place`` () =
    failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"gamma":"high"}}""")
    |> says [ "my.json"; "wrong kind" ]

    failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":3}""")
    |> says [ "my.json"; "algorithm"; "object" ]

    failureOf (fun () -> Json.parseOver "my.json" example """{"algorithm":{"schedule":7}}""")
    |> says [ "linear, cosine, bounded" ]

[<Fact>]
let ``text that is not JSON is refused with line and column`` () =
    failureOf (fun () -> Json.parseOver "my.json" example "{\n  \"seed\": ,\n}")
    |> says [ "my.json"; "line 2"; "column" ]

[<Fact>]
let ``one setting is changed by its path or by its last part`` () =
    Assert.Equal(0.5, (Json.set example "algorithm.gamma" "0.5").Algorithm.Gamma)
    Assert.Equal(0.5, (Json.set example "gamma" "0.5").Algorithm.Gamma)
    Assert.Equal("Ant-v4", (Json.set example "task" "Ant-v4").Task)
    Assert.Equal(Cosine, (Json.set example "schedule" "cosine").Algorithm.Schedule)
    Assert.Equal(Linear 0.5, (Json.set example "schedule" """{"linear":0.5}""").Algorithm.Schedule)
    Assert.Equal<int list>([ 64; 64 ], (Json.set example "hidden" "[64,64]").Algorithm.Hidden)
    Assert.Equal(Some 4, (Json.set example "limit" "4").Limit)

[<Fact>]
let ``an unknown setting on the command line is named together with the nearest valid one`` () =
    failureOf (fun () -> Json.set example "gama" "0.5") |> says [ "'gama'"; "--set"; "'gamma'" ]
    failureOf (fun () -> Json.set example "gamma" "often") |> says [ "--set gamma=often"; "wrong kind" ]
