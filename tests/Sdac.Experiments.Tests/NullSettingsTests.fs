/// null is no value of a setting that must have one, wherever it stands.
module Sdac.Experiments.Tests.NullSettingsTests

open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

[<Tests>]
let tests =
    testList
        "null in settings"
        [ testCase "null in a sweep is refused in one sentence that names the place" (fun () ->
              for text, place in
                  [ """{"name":"s","algorithms":{"sdac":null}}""", "'algorithms.sdac'"
                    """{"name":"s","algorithms":null}""", "'algorithms'"
                    """{"name":"s","algorithms":[null]}""", "'algorithms'"
                    """{"name":"s","settings":{"grid":{"tau":null}}}""", "'settings.grid.tau'"
                    """{"name":"s","settings":{"grid":null}}""", "'settings.grid'"
                    """{"name":"s","settings":{"list":[{"tau":0.1},null]}}""", "'settings.list[1]'"
                    """{"name":"s","settings":{"list":null}}""", "'settings.list'"
                    """{"name":"s","settings":{"random":null}}""", "'settings.random'"
                    """{"name":"s","settings":{"random":{"count":1,"ranges":{"tau":null}}}}""",
                    "'settings.random.ranges.tau'"
                    """{"name":"s","settings":null}""", "'settings'"
                    """{"name":"s","base":null}""", "'base'"
                    """{"name":"s","seeds":null}""", "'seeds'"
                    """{"name":"s","seeds":[null]}""", "'seeds[0]'"
                    """{"name":"s","tasks":[null]}""", "'tasks[0]'"
                    """{"name":null}""", "'name'"
                    """{"name":"s","preset":null}""", "'preset'"
                    "null", "my.json is null" ] do
                  let failure =
                      failureOf (fun () -> SweepSpec.parse standard "my.json" text |> SweepSpec.plan standard)

                  failure |> says [ place; "my.json"; "null" ]
                  Expect.equal failure.ExitCode (Settings "").ExitCode text)

          testCase "null as a value is refused where the setting must have one, and taken where it need not" (fun () ->
              let plan text = SweepSpec.parse standard "my.json" text |> SweepSpec.plan standard

              for text in
                  [ """{"name":"s","base":{"tau":null}}"""
                    """{"name":"s","settings":{"grid":{"tau":[0.1,null]}}}"""
                    """{"name":"s","settings":{"random":{"count":1,"ranges":{"tau":{"choice":[null]}}}}}"""
                    """{"name":"s","algorithms":{"a":{"hidden":null}}}"""
                    """{"name":"s","algorithms":{"a":{"algorithm":null}}}""" ] do
                  failureOf (fun () -> plan text) |> says [ "null" ]

              let particles =
                  plan """{"name":"s","settings":{"grid":{"behaviourParticles":[null,4]}}}"""
                  |> List.map (fun (_, spec) -> (experimentOf spec).Config.Particles.BehaviourParticles)

              Expect.equal particles [ None; Some 4 ] "behaviour particles")

          testCase "null in a specification is refused in one sentence that names the place" (fun () ->
              for text, place in
                  [ """{"task":null}""", "'task'"
                    """{"config":null}""", "'config'"
                    """{"config":{"critics":null}}""", "'config.critics'"
                    """{"config":{"hidden":null}}""", "'config.hidden'"
                    """{"config":{"hidden":[64,null]}}""", "'config.hidden[1]'"
                    """{"config":{"diffusion":{"betaSchedule":null}}}""", "'config.diffusion.betaSchedule'"
                    """{"config":{"critics":{"tau":null}}}""", "'config.critics.tau'"
                    """{"taskOptions":null}""", "'taskOptions'"
                    """{"stages":null}""", "'stages'"
                    """{"stages":["collect",null]}""", "'stages[1]'"
                    """{"algorithm":null}""", "'algorithm'"
                    """{"logEvery":null}""", "'logEvery'"
                    // schema 1
                    """{"experiment":null}""", "'experiment'"
                    """{"experiment":{"task":null}}""", "'task'"
                    """{"experiment":{"config":null}}""", "'config'"
                    """{"experiment":{"config":{"algorithm":null}}}""", "'algorithm'"
                    """{"experiment":{"config":{"tau":null}}}""", "'config.critics.tau'"
                    "null", "my.json is null" ] do
                  failureOf (fun () -> parseSpec "my.json" text) |> says [ place; "my.json"; "null" ]

              let without = parseSpec "my.json" """{"config":{"particles":{"targetParticles":null}}}"""
              Expect.equal (experimentOf without).Config.Particles.TargetParticles None "target particles") ]
