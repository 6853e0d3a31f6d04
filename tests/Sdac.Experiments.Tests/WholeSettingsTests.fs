/// A specification that lacks a setting never takes it from a preset that has nothing to do with the run.
module Sdac.Experiments.Tests.WholeSettingsTests

open System.IO
open System.Text.Json.Nodes
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// The text of a specification without some of its settings, by path.
let private without (paths: string list) (spec: Spec) : string =
    let whole = nonNull (Json.parseNode "spec.json" (Spec.print spec))

    for path in paths do
        let names = path.Split '.'

        let inner =
            names[.. names.Length - 2] |> Array.fold (fun (node: JsonNode) name -> nonNull node[name]) whole

        Expect.isTrue (inner.AsObject().Remove(Array.last names)) path

    whole.ToJsonString()

let private inRun (text: string) (test: RunFolder -> unit) =
    inFolder (fun path ->
        let folder = RunFolder.create (Path.Combine(path, "run")) false
        File.WriteAllText(folder.Spec, text)
        test folder)

let private dpmd = Spec.create (Experiment.on Dpmd.algorithm "Hopper-v4")

[<Tests>]
let tests =
    testList
        "settings that are left out"
        [ testCase "to look at a run they are as published with its algorithm, and each is said" (fun () ->
              let filled spec paths =
                  let mutable found = None
                  inRun (without paths spec) (fun folder -> found <- Some(SpecFile.ofRunOrPublished standard folder))
                  found.Value

              let paper = preset "sdac" "paper"
              let struct (spec, said) = filled paper [ "config.critics.tau" ]
              Expect.equal spec paper "the paper preset without tau"
              let sentence = Expect.single said "sentences"

              for part in [ "spec.json"; "config.critics.tau"; "0.005" ] do
                  Expect.stringContains sentence part "sentence"

              // whatever preset the run began with
              let struct (spec, _) = filled quick [ "config.particles.particles" ]
              Expect.equal (experimentOf spec).Config.Particles.Particles 32 "particles"

              let published = [ "energy.qScale"; "energy.qNormalisation"; "diffusion.betaSchedule"; "critics.tau" ]
              let struct (spec, said) = filled dpmd [ for name in published -> "config." + name ]
              Expect.equal spec dpmd "DPMD's published settings"
              Expect.equal said.Length published.Length "sentences"

              let struct (spec, said) = filled paper [ "config" ]
              Expect.equal (spec, said.Length) (paper, 1) "all of them"
              let struct (_, said) = filled dpmd []
              Expect.isEmpty said "nothing is left out")

          testCase "a run without a task cannot be looked at" (fun () ->
              inRun (without [ "task" ] dpmd) (fun folder ->
                  failureOf (fun () -> SpecFile.ofRunOrPublished standard folder)
                  |> says [ "spec.json lacks task"; "put back" ]))

          testCase "a resume is refused by the names of all that is left out, and changes nothing" (fun () ->
              let left = [ "config.critics.tau"; "kernels"; "logEvery"; "horizon" ]

              inRun (without left (varied 20L)) (fun folder ->
                  let before = content folder.Path

                  for attempt in
                      [ fun () -> Runner.resume standard folder.Path 1 true |> ignore
                        fun () -> resumedUntil 1L 1 folder |> ignore
                        fun () -> SpecFile.ofRun standard folder |> ignore ] do
                      let failure = failureOf attempt
                      failure |> says ("spec.json lacks" :: "(published: 0.005)" :: "put back" :: left)
                      Expect.equal failure.ExitCode (Settings "").ExitCode "exit code"

                  Expect.equal
                      (content folder.Path |> Map.keys |> List.ofSeq)
                      (before |> Map.keys |> List.ofSeq)
                      "files"))

          testCase
              "what a checkpoint of an older version does not know was as published, not as spec.json says now"
              (fun () ->
                  let spec = varied 20L

                  let older =
                      SpecFile.parseRecorded standard "checkpoint" (without [ "config.critics.criticSteps" ] spec)

                  Expect.equal older spec "one critic step as published"
                  let changed = setTo spec "criticSteps" "2"

                  failureOf (fun () -> SpecCheck.checkSame "the checkpoint" older "spec.json" changed)
                  |> says [ "config.critics.criticSteps = 2"; "made with 1" ])

          testCase "a run of a sweep whose specification lacks something is not begun with something else" (fun () ->
              inFolder (fun path ->
                  let sweep = SweepSpec.parse standard "test" """{ "name": "test", "preset": "paper" }"""
                  let folder, plan = SweepFolder.at (Path.Combine(path, "sweep")), SweepSpec.plan standard sweep
                  SweepFolder.prepare standard folder sweep plan [ "true" ]
                  let run, spec = List.exactlyOne plan
                  File.WriteAllText(folder.Spec run.Name, without [ "config.critics.tau" ] spec)

                  failureOf (fun () -> SweepFolder.prepare standard folder sweep plan [ "true" ])
                  |> says [ folder.Spec run.Name; "lacks config.critics.tau" ])) ]
