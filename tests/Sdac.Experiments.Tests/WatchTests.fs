/// Pages on which a policy can be watched.
module Sdac.Experiments.Tests.WatchTests

open System
open System.IO
open System.Text.Json
open System.Text.RegularExpressions
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing
open SkiaSharp

let private command = "./build.sh watch"

/// A finished run, and what training it printed.
let private finished =
    lazy
        (let path = Path.Combine(Directory.CreateTempSubdirectory("sdac-test-").FullName, "a run")
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(Files.folderOf path, true))

         let spec =
             { Spec.iterations 16L (preset "sdac" "tiny") with
                 Task = "InvertedPendulum-v4"
                 EvaluateEvery = 8L
                 EvaluationEpisodes = 2 }

         let _, printed = captureOutput (fun () -> Runner.run standard spec { into path 1 with Watch = command })

         { Path = path }, printed)

/// A player that only shows where things go.
let withPlayer (action: string -> 'a) : 'a =
    inFolder (fun folder ->
        for name in [ "solid"; "flat" ] do
            File.WriteAllText(
                Path.Combine(folder, $"{name}.html"),
                $"{name} <title>{{{{title}}}}</title>|{{{{recording}}}}|end"
            )

        withVariable "SDAC_PLAYER" folder (fun () -> action folder))

let private once = { Watch.usual with Episodes = 2; Threads = 1 }

/// A page of the finished run, and what making it printed.
let private made (options: WatchOptions) =
    let folder, _ = finished.Value
    let path, printed = captureOutput (fun () -> Watch.run standard folder.Path options)
    path, File.ReadAllText path, printed

let private shape kind body size pose : SceneShape =
    SceneShape(
        Kind = kind,
        Body = body,
        Size = size,
        Pose = pose,
        Color = (if body = 0 then [||] else [| 1.0; 0.0; 0.0; 1.0 |])
    )

/// A red ball over a floor that is elsewhere in each frame.
let private ball (name: string) (places: (float * float) list) : Recording =
    let still = [| 0.0; 0.0; 0.0; 1.0; 0.0; 0.0; 0.0 |]

    let poses =
        [| for x, z in places do
               yield! [| x; 0.0; z; 1.0; 0.0; 0.0; 0.0 |] |]

    let steps = places.Length - 1

    { Task = name
      Facts = [ "SDAC"; "seed 1" ]
      Dt = 0.1
      Stride = 1
      Scene =
        Some(
            Scene(
                Bodies = [| SceneBody("torso", 0) |],
                Shapes =
                    [| shape ShapeKind.Plane 0 [| 0.0; 0.0; 1.0 |] still
                       shape ShapeKind.Sphere 1 [| 0.4; 0.0; 0.0 |] still |],
                Followed = 1
            )
        )
      Episodes =
        [| { Return = float steps
             Length = steps
             Terminated = false
             Poses = Some(Packing.pack [| 1e-4 |] 7 poses)
             Rewards = Packing.pack [| 1e-3 |] 1 (Array.create steps 1.0)
             Actions = Packing.pack [| 0.01 |] 1 (Array.create steps 0.5)
             Observations = None } |] }

// The camera of the picture: at (0, -Distance, 1), looking at (0, 0, 1) along y; half of its view is so many degrees.
let private Distance, Half, Size = 8.0, 17.0, 400

/// Where a camera sees a point of the plane y = 0, in pixels.
let private seen (x: float, z: float) =
    let scale = float (Size / 2) / (Distance * tan (Half * Math.PI / 180.0))
    int (float (Size / 2) + scale * x), int (float (Size / 2) - scale * (z - 1.0))

/// The picture that Chromium draws of a page; skips where there is no Chromium.
let private drawnBy (page: string) (query: string) : SKBitmap =
    match Commands.tryRun "chromium" [ "--version" ] with
    | Some(Ok _) -> ()
    | _ -> skiptest "Chromium is missing: ./build.sh setup-tests installs it"

    let folder = Files.folderOf page
    let picture = Path.Combine(folder, "drawn.png")
    let profile = Path.Combine(folder, "profile")

    let words =
        [ "120"
          "chromium"
          "--headless"
          "--no-sandbox"
          "--use-angle=swiftshader"
          "--enable-unsafe-swiftshader"
          "--no-first-run"
          "--hide-scrollbars"
          $"--user-data-dir={profile}"
          $"--window-size={Size},{Size}"
          "--virtual-time-budget=5000"
          $"--screenshot={picture}"
          $"file://{page}?{query}" ]

    match Commands.tryRun "timeout" words with
    | Some(Ok _) when File.Exists picture ->
        let bitmap = SKBitmap.Decode picture
        // what Chromium writes beside it is in no language of ours
        Directory.Delete(profile, true)
        bitmap
    | Some(Error complaint) -> failtest $"Chromium drew nothing: {complaint}"
    | _ -> failtest "Chromium drew nothing"

[<Tests>]
let tests =
    testList
        "pages to watch"
        [ testCase "the page holds the run's evaluation, and stands in its folder" (fun () ->
              withPlayer (fun _ ->
                  let folder, _ = finished.Value
                  let path, text, printed = made once
                  Expect.equal path folder.Page "path"
                  Expect.stringContains printed $"page: {folder.Page}" "printed"
                  Expect.stringStarts text "solid <title>InvertedPendulum-v4, SDAC, seed 0</title>|{" "title"
                  Expect.stringEnds text "}|end" "end"
                  let json = (JsonDocument.Parse(text.Split('|')[1])).RootElement
                  let episodes = json.GetProperty "episodes"
                  let summary = (JsonDocument.Parse(File.ReadAllText folder.Summary)).RootElement
                  let mean = (episodes.EnumerateArray() |> Seq.averageBy _.GetProperty("return").GetDouble())
                  let final = summary.GetProperty("final").GetProperty("mean").GetDouble()
                  Expect.floatClose (within 1e-9) mean final "two episodes as in the run's own evaluations are those"
                  let shapes = json.GetProperty("scene").GetProperty "shapes"
                  Expect.equal (shapes[0].GetProperty("kind").GetString()) "capsule" "the rail"
                  let facts = [ for fact in json.GetProperty("facts").EnumerateArray() -> fact.GetString() ]
                  Expect.equal facts [ "SDAC"; "seed 0"; "iteration 16" ] "facts"))

          testCase "the best networks, another seed, another place" (fun () ->
              withPlayer (fun folder ->
                  let run, _ = finished.Value
                  let path, text, _ = made { once with Best = true }
                  Expect.equal path run.BestPage "path"
                  Expect.stringContains text "best evaluation" "facts"
                  let out = Path.Combine(folder, "deep", "page.html")
                  let path, other, _ = made { once with Best = true; Seed = Some 9L; Out = Some out }
                  Expect.equal path out "path"
                  Expect.notEqual other text "other starts"))

          testCase "training ends with the command that makes the page" (fun () ->
              let folder, printed = finished.Value
              Expect.stringContains printed $"{command} '{folder.Path}'" "command")

          testCase "a report links to the pages that lie in the runs' folders" (fun () ->
              let run, _ = finished.Value

              inFolder (fun root ->
                  let copied = Path.Combine(root, "a run")
                  copy run.Path copied
                  File.Delete(Path.Combine(copied, "watch-best.html"))
                  File.WriteAllText(Path.Combine(copied, "watch.html"), "a page")
                  let page = Report.write standard [ copied ] (Path.Combine(root, "report"))
                  let text = File.ReadAllText page
                  Expect.stringContains text "<a href=\"../a%20run/watch.html\">a run (newest)</a>" "link"
                  Expect.stringLacks text "watch-best.html" "there is no other"
                  RunFolder.create copied true |> ignore

                  Expect.isFalse
                      (File.Exists(Path.Combine(copied, "watch.html")))
                      "a run that is replaced loses its page"))

          testCase "without a player one sentence says how to get it" (fun () ->
              inFolder (fun folder ->
                  withVariable "SDAC_PLAYER" folder (fun () ->
                      let failure = failureOf (fun () -> made once)
                      failure |> says [ "./build.sh setup-watch"; "three.js" ]
                      Expect.equal failure.ExitCode 8 "exit code"

                      File.WriteAllText(Path.Combine(folder, "solid.html"), "{{title}}")
                      failureOf (fun () -> made once) |> says [ "{{recording}}"; "setup-watch" ])))

          testCase "no episodes are refused" (fun () ->
              failureOf (fun () -> made { once with Episodes = 0 }) |> says [ "--episodes is 0" ])

          testCase "names cannot end the script that holds them" (fun () ->
              let name = "</script><b>\"&"
              let text = WatchPage.html "{{title}}|{{recording}}" (ball name [ 0.0, 1.0; 1.0, 1.0 ])
              Expect.stringLacks text "</script" "the script goes on"
              Expect.stringContains text "&lt;/script&gt;&lt;b&gt;" "title"
              let json = (JsonDocument.Parse(text.Split('|')[1])).RootElement
              Expect.equal (json.GetProperty("task").GetString()) name "name"
              Expect.isTrue (Regex.IsMatch(text, "\"kind\":\"sphere\"")) "kinds are words")

          testCase "a browser draws the frame that it is asked for" (fun () ->
              let template =
                  try
                      Watch.template true
                  with :? UserError ->
                      skiptest "the player is missing: ./build.sh setup-watch bundles it"

              inFolder (fun folder ->
                  let page = Path.Combine(folder, "page.html")
                  let places = [ -1.5, 0.6; -0.5, 1.0; 0.5, 1.4; 1.3, 1.9 ]
                  File.WriteAllText(page, WatchPage.html template (ball "Ball" places))
                  use picture = drawnBy page $"frame=3&bare&theme=light&camera=0,{string -Distance},1,0,0,1"
                  File.Delete page // three.js is in no language of ours
                  let colorAt place = (let x, y = seen place in picture.GetPixel(x, y))
                  let isRed (c: SKColor) = float c.Red > 2.0 * float c.Green && float c.Red > 2.0 * float c.Blue
                  Expect.isTrue (isRed (colorAt (1.3, 1.9))) "the torso of the last frame"
                  Expect.isTrue (isRed (colorAt (1.3 + 0.3, 1.9))) "and its right side"
                  Expect.isFalse (isRed (colorAt (1.3 + 0.5, 1.9))) "but nothing beyond"

                  for other in List.take 3 places do
                      Expect.isFalse (isRed (colorAt other)) $"there is no torso at {other}"

                  let colors =
                      Seq.distinct (
                          seq {
                              for x in 0..20..399 do
                                  for y in 0..20..399 -> picture.GetPixel(x, y)
                          }
                      )

                  Expect.isGreaterThan (Seq.length colors) 20 "floor, shadow and sky")) ]
