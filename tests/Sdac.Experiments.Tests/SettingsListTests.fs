/// `--settings`: what a user can set.
module Sdac.Experiments.Tests.SettingsListTests

open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

/// The rows of a printed table, by cells.
let private rows (text: string) =
    [ for line in text.Split '\n' do
          if line.StartsWith '│' then
              line.Trim('│', ' ').Split '│' |> Array.map _.Trim() |> List.ofArray ]

let private listed (algorithm: string) (presetName: string) =
    captureOutput (fun () -> SettingsList.print standard algorithm presetName) |> snd

let private valueAt (spec: Spec) (path: string) =
    match Json.parseNode "spec" (Spec.print spec) |> jsonAt $"config.{path}" with
    | null -> "null"
    | node -> node.ToJsonString()

[<Tests>]
let tests =
    testList
        "the list of settings"
        [ testCase "every setting is listed with its type, its value in the preset and its meaning" (fun () ->
              for algorithm, name, spec in presets do
                  let fields = Json.fields (configType algorithm)
                  let least = if List.contains algorithm [ "sdac"; "dpmd" ] then 30 else 20
                  Expect.isGreaterThan fields.Length least "settings"

                  match rows (listed algorithm name) with
                  | header :: found ->
                      Expect.equal header [ "setting"; "type"; "value"; "meaning" ] "header"
                      Expect.equal found.Length fields.Length $"settings of {algorithm}"

                      for (path, _), row in List.zip fields found do
                          match row with
                          | [ setting; kind; value; meaning ] ->
                              Expect.equal setting (path.Substring(path.LastIndexOf '.' + 1)) "name"
                              Expect.equal value (valueAt spec path) $"value of {setting} in {name}"
                              Expect.isNonEmpty kind $"type of {setting}"
                              Expect.isGreaterThan meaning.Length 3 $"meaning of {setting}"
                              Expect.isNotMatch kind "FSharp|`|^Int32$|^Double$" $"type of {setting}"
                              // as it is listed it can be set
                              Expect.equal (setTo spec setting value) spec $"setting {setting}"
                          | other -> failtest $"%A{other}"
                  | [] -> failtest "no table")

          testCase "the title names algorithm and preset" (fun () ->
              Expect.stringContains (listed "dpmd" "laptop") "DPMD, preset laptop" "title")

          testCase "types are as they are written in JSON" (fun () ->
              let types =
                  Map
                      [ for row in rows (listed "sdac" "quick") do
                            match row with
                            | name :: kind :: _ -> name, kind
                            | _ -> () ]

              for name, kind in
                  [ "batchSize", "whole number"
                    "policyDecayBegin", "whole number"
                    "tau", "number"
                    "hidden", "list of whole numbers"
                    "targetParticles", "whole number or null"
                    "weights", "selfNormalised, raw, logSumExp" ] do
                  Expect.equal types[name] kind name

              Expect.stringContains types["betaSchedule"] "{\"linear\": VALUE}, cosine" "cases with numbers")

          testCase "unknown algorithms and presets are refused by name" (fun () ->
              failureOf (fun () -> SettingsList.print standard "sdacc" "quick")
              |> says [ "algorithm 'sdacc'"; "--settings"; "'sdac'" ]

              failureOf (fun () -> SettingsList.print standard "dpmd" "quikc")
              |> says [ "preset of dpmd 'quikc'"; "--preset"; "'quick'" ]) ]
