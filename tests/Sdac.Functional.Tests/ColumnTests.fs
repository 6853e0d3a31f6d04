module Sdac.Tests.ColumnTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open Sdac.Tests.Properties
open Sdac.Testing

type private Change =
    | Append of int
    | Put of int
    | DropTo of int

let private changes =
    Gen.oneof [ sizes 0 300 |> Gen.map Append; sizes 1 40 |> Gen.map Put; sizes 0 400 |> Gen.map DropTo ]

let private histories = Gen.zip (sizes 1 3) (Gen.zip (sizes 0 700) (Gen.listOfLength 12 changes))

let private span (values: float32[]) = ReadOnlySpan<float32>(values)
let private ids (c: Column) = Array.init c.Count (fun i -> c.First + int64 i)

/// A memory of two environments, as many steps appended; the action of a row is its id.
let private remembered (steps: int) (capacity: int) (width: int) : Replay =
    let step (memory: Replay) _ =
        // every row observes its step's number, the next row's likewise: the memory goes on where it was
        let obs at = Array.create 2 (float32 (at / 2L))

        Replay.append
            { Obs = obs memory.Total
              Action =
                Array.init (2 * width) (fun i ->
                    float32 (memory.Total + int64 (i / width)) + 0.001f * float32 (i % width))
              Reward = [| 0f; 0f |]
              Terminated = [| false; false |]
              Truncated = [| false; false |]
              NextObs = obs (memory.Total + 2L)
              Current = obs (memory.Total + 2L)
              Extras = [] }
            memory

    Seq.fold step (Replay.create 2 1 width capacity) (seq { 1..steps })

let private actionsOf (width: int) (c: Column) =
    [| for id in ids c do
           for d in 0 .. width - 1 -> float32 id + 0.001f * float32 d |]

[<Tests>]
let tests =
    testList
        "columns"
        [ testForAll
              "a column does what an array of rows does, and what it was made from stays as it was"
              120
              histories
              (fun (width, (first, history)) ->
                  let mutable stamp = 0f

                  let fresh n =
                      Array.init (n * width) (fun _ ->
                          stamp <- stamp + 1f
                          stamp)

                  // the model: rows by id
                  let apply (column: Column, rows: Map<int64, float32[]>) change =
                      let before = column.ToArray()

                      let next, nextRows =
                          match change with
                          | Append n ->
                              let values = fresh n

                              let added =
                                  [ for i in 0 .. n - 1 ->
                                        column.Next + int64 i, values[i * width .. (i + 1) * width - 1] ]

                              column.Append(span values),
                              Seq.fold (fun rows (id, row) -> Map.add id row rows) rows added
                          | Put n when column.Count > 0 ->
                              // ids far apart, the first of them twice
                              let chosen = Array.init n (fun i -> column.First + int64 (i * 7919 % column.Count))
                              let chosen = Array.append chosen [| chosen[0] |]
                              let values = fresh chosen.Length

                              let put rows (i, id) = Map.add id values[i * width .. (i + 1) * width - 1] rows
                              column.Put(chosen, span values), Seq.fold put rows (Seq.indexed chosen)
                          | Put _ -> column, rows
                          | DropTo n ->
                              let id = column.First + int64 n
                              column.From id, Map.filter (fun at _ -> at >= id) rows

                      Expect.equal (column.ToArray()) before "the old column"
                      Expect.equal next.Count nextRows.Count "count"
                      Expect.equal (ids next |> List.ofArray) (nextRows |> Map.keys |> List.ofSeq) "ids"
                      Expect.equal (next.ToArray()) (nextRows |> Map.values |> Array.concat) "rows"

                      Expect.equal
                          (next.Gather(Array.rev (ids next)))
                          (nextRows |> Map.values |> Seq.rev |> Array.concat)
                          "gathered"

                      next, nextRows

                  List.fold apply (Column.Empty(width, int64 first), Map.empty) history |> ignore)

          testForAll
              "a column that follows a memory has its rows, begun as its actions, and keeps what was put into them"
              60
              (Gen.zip (sizes 1 3) (Gen.zip (sizes 1 120) (sizes 0 200)))
              (fun (width, (early, late)) ->
                  let capacity = 96
                  let memory = remembered early capacity width
                  let column = Column.follow memory (Column.Empty(width, 0L))
                  let oldest (m: Replay) = m.Total - int64 m.Count
                  Expect.equal (column.First, column.Count) (oldest memory, memory.Count) "the memory's rows"
                  Expect.equal (column.ToArray()) (actionsOf width column) "begun as the actions"
                  let marked = column.Put([| column.Next - 1L |], span (Array.create width -1f))
                  let later = remembered (early + late) capacity width
                  let followed = Column.follow later marked
                  Expect.equal (followed.First, followed.Count) (oldest later, later.Count) "the later memory's rows"

                  for id in ids followed do
                      let row = followed.Gather [| id |]

                      if id = marked.Next - 1L then
                          Expect.all row (fun v -> v = -1f) "what was put stays"
                      else
                          Expect.equal row[0] (float32 id) "the action of this id")

          testCase "rows that are not there and numbers that are no rows are refused in a sentence" (fun () ->
              let column = Column.Empty(2, 5L).Append(span [| 1f; 2f; 3f; 4f |])
              let refused (action: unit -> unit) = (Expect.raises<RefusedArgumentException> action).Message

              Expect.stringContains
                  (refused (fun () -> column.Gather [| 7L |] |> ignore))
                  "row 7 was asked for; the column holds the rows 5 to 6"
                  "read"

              Expect.stringContains
                  (refused (fun () -> column.Put([| 4L |], span [| 0f; 0f |]) |> ignore))
                  "row 4 was asked for"
                  "write"

              Expect.stringContains
                  (refused (fun () -> column.Put([| 5L |], span [| 0f |]) |> ignore))
                  "1 numbers were given for 1 rows of 2"
                  "short"

              Expect.stringContains
                  (refused (fun () -> column.Append(span [| 0f |]) |> ignore))
                  "1 numbers are no rows of 2"
                  "append"

              Expect.stringContains (refused (fun () -> Column.Empty(0, 0L) |> ignore)) "width 0" "width") ]
