namespace Sdac.Experiments

open System
open System.Globalization
open System.Net
open Sdac.Environments

/// A shape as the page takes it.
type internal PageShape =
    { Kind: string
      Body: int
      Name: string
      Size: float[]
      Pose: float[]
      Color: float[]
      Points: float[]
      Faces: int[] }

type internal PageBody = { Name: string; Parent: int }

type internal PageScene = { Table: float[]; Bodies: PageBody[]; Shapes: PageShape[]; Followed: int }

/// All that the page's player reads: player/main.js.
type internal PageRecording =
    { Task: string
      Facts: string list
      Dt: float
      Stride: int
      Scene: PageScene option
      Episodes: RecordedEpisode[] }

/// Recorded episodes as a page.
[<RequireQualifiedAccess>]
module WatchPage =
    /// Six digits are plenty to draw with.
    let private short (values: float seq) =
        let culture = CultureInfo.InvariantCulture
        [| for value in values -> Double.Parse(value.ToString("G6", culture), culture) |]

    let private shape (shape: SceneShape) : PageShape =
        { Kind = (string shape.Kind).ToLowerInvariant()
          Body = shape.Body
          Name = shape.Name
          Size = short shape.Size
          Pose = short shape.Pose
          Color = short shape.Color
          Points = short shape.Points
          Faces = Array.ofSeq shape.Faces }

    let private scene (scene: Scene) : PageScene =
        { Table = Array.ofSeq scene.Table
          Bodies = [| for body in scene.Bodies -> { Name = body.Name; Parent = body.Parent } |]
          Shapes = [| for s in scene.Shapes -> shape s |]
          Followed = scene.Followed }

    /// The recording as JSON that may stand inside a script element, whatever its names hold.
    let json (recording: Recording) : string =
        let page: PageRecording =
            { Task = recording.Task
              Facts = recording.Facts
              Dt = recording.Dt
              Stride = recording.Stride
              Scene = recording.Scene |> Option.map scene
              Episodes = recording.Episodes }

        (Json.compact page).Replace("<", "\\u003c")

    /// Does the page need three.js?
    let isSolid (recording: Recording) =
        recording.Scene |> Option.exists (fun scene -> scene.PoseSize = Scene.SolidPose)

    /// The template cut at a mark, which it holds.
    let private cut (mark: string) (template: string) =
        match template.IndexOf(mark, StringComparison.Ordinal) with
        | -1 ->
            Errors.fail (Damaged $"""the player's page lacks {mark}: run `{Entrance.ofBuild "setup-watch"}` again""")
        | at -> template[.. at - 1], template[at + mark.Length ..]

    /// The page: the player's template with its title and the recording in their places.
    let html (template: string) (recording: Recording) : string =
        let head, rest = cut "{{title}}" template
        let middle, tail = cut "{{recording}}" rest
        let title = String.concat ", " (recording.Task :: List.truncate 2 recording.Facts)
        String.concat "" [ head; string (WebUtility.HtmlEncode title); middle; json recording; tail ]
