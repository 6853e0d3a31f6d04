namespace Sdac.Benchmarks

open Sdac.Functional
open Sdac.Kernels

/// What a network is for.
[<RequireQualifiedAccess>]
type Role =
    | Actor
    | Critic
    | Value

/// What is asked of a row.
[<RequireQualifiedAccess>]
type Cause =
    /// F: its output
    | Forward
    /// G: its output and its share of the parameters' gradient
    | Parameters
    /// I: its output and the gradient of its inputs
    | Inputs

/// Rows through networks, and the multiply-adds of their matrix products.
[<Struct>]
type Spent = { Rows: float; MultiplyAdds: float }

/// By whose networks and why. What is not there was not spent.
type Costs = Map<struct (Role * Cause), Spent>

/// Counted rows, told apart by the networks' shapes.
[<RequireQualifiedAccess>]
module NetworkRows =
    let none = { Rows = 0.0; MultiplyAdds = 0.0 }
    let scaled (factor: float) (s: Spent) = { Rows = factor * s.Rows; MultiplyAdds = factor * s.MultiplyAdds }
    let plus (a: Spent) (b: Spent) = { Rows = a.Rows + b.Rows; MultiplyAdds = a.MultiplyAdds + b.MultiplyAdds }

    /// a + factor·b.
    let add (factor: float) (b: Costs) (a: Costs) : Costs =
        let one costs key spent =
            Map.add key (plus (Map.tryFind key costs |> Option.defaultValue none) (scaled factor spent)) costs

        Map.fold one a b

    let rows (role: Role) (cause: Cause) (costs: Costs) : float =
        (Map.tryFind struct (role, cause) costs |> Option.defaultValue none).Rows

    /// All multiply-adds.
    let multiplyAdds (costs: Costs) : float = costs |> Map.values |> Seq.sumBy _.MultiplyAdds

    /// Numbers in which this library's networks are told the time.
    let private timeWidths = [ 16; 32; 64; 128; 256 ]

    /// The networks whose inputs are a state, and an action and a time with it. Time embeddings and the further pieces of a network
    /// of several have no rows of their own.
    let private roleByInput (space: Space) (shape: MlpShape) : Role option =
        let { ObsDim = o; ActionDim = a } = space
        let input, output = shape.InputWidth, shape.OutputWidth

        if input = o then
            Some(if output = a || output = 2 * a then Role.Actor else Role.Value)
        elif input = o + a then
            Some(if output = a then Role.Actor else Role.Critic)
        elif List.contains (input - o - a) timeWidths then
            Some Role.Actor
        else
            None

    /// A further piece belongs to the network whose first piece ends in as many numbers as it takes; time embeddings are the actor's.
    let private roleOf (space: Space) (shapes: MlpShape list) (shape: MlpShape) : Role =
        let first =
            shapes
            |> List.filter (fun s -> s.OutputWidth = shape.InputWidth)
            |> List.tryPick (roleByInput space)

        roleByInput space shape |> Option.orElse first |> Option.defaultValue Role.Actor

    /// What one network's calls come to, by cause. A recorded row that is pulled back is one row of that cause; the multiply-adds of
    /// its recording go there too.
    let private causes (counts: PassCount list) : (Cause * Spent) list =
        let of' kind =
            counts
            |> List.filter (fun c -> c.Kind = kind)
            |> List.fold (fun sum c -> plus sum { Rows = float c.Rows; MultiplyAdds = float c.MultiplyAdds }) none

        let recorded, toParameters, toInputs =
            of' PassKind.Recorded, of' PassKind.BackToParameters, of' PassKind.BackToInputs

        let left = recorded.Rows - toParameters.Rows - toInputs.Rows

        if left < 0.0 then
            invalidOp
                "more rows were pulled back than recorded: a recorded pass was used twice, which this count cannot tell apart"

        let recording rows =
            { Rows = rows
              MultiplyAdds = recorded.MultiplyAdds * (if rows = 0.0 then 0.0 else rows / recorded.Rows) }

        let pulled (back: Spent) =
            { recording back.Rows with MultiplyAdds = back.MultiplyAdds + (recording back.Rows).MultiplyAdds }

        [ Cause.Forward, plus (of' PassKind.Forward) (recording left)
          Cause.Parameters, pulled toParameters
          Cause.Inputs, plus (of' PassKind.Slope) (pulled toInputs) ]

    /// The counts of a task's networks by role and cause.
    let ofCounts (space: Space) (counts: PassCount seq) : Costs =
        let counts = List.ofSeq counts
        let shapes = counts |> List.map _.Network |> List.distinct

        let cost (costs: Costs) (shape: MlpShape) =
            let own = counts |> List.filter (fun c -> obj.ReferenceEquals(c.Network, shape))
            let role, hasRows = roleOf space shapes shape, (roleByInput space shape).IsSome

            causes own
            |> List.filter (fun (_, spent) -> spent.MultiplyAdds > 0.0)
            |> List.map (fun (cause, spent) ->
                struct (role, cause), (if hasRows then spent else { spent with Rows = 0.0 }))
            |> Map.ofList
            |> fun more -> add 1.0 more costs

        List.fold cost Map.empty shapes

    /// What the kernels count while `work` runs.
    let counted (space: Space) (work: unit -> unit) : Costs =
        use tally = PassTally.Start()
        work ()
        ofCounts space tally.Counts
