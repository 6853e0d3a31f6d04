/// Texts with many places behind switches.
module Places

/// A piece of a text, from First to before Last, and what stands there while the fault is on.
type Place = { First: int; Last: int; Instead: string }

/// One way of putting a fault behind a switch. `Wrap` gets the switch's number, the place, and the original piece with the switches
/// inside it.
type Way = { Place: Place; Wrap: int -> Place -> string -> string }

/// A text with all its switches. Pieces are expressions or statements: they hold one another or do not touch.
let rec private rendered (text: string) (first: int) (last: int) (switches: (int * Way) list) : string =
    let ordered = switches |> List.sortBy (fun (n, w) -> w.Place.First, -w.Place.Last, n)

    match ordered with
    | [] -> text.Substring(first, last - first)
    | (_, { Place = outer }) :: _ ->
        let isHere (_, w) = w.Place.First = outer.First && w.Place.Last = outer.Last
        let here, others = List.partition isHere ordered
        let inside, behind = others |> List.partition (fun (_, w) -> w.Place.First < outer.Last)
        let original = rendered text outer.First outer.Last inside

        text.Substring(first, outer.First - first)
        + List.fold (fun so (number, way) -> way.Wrap number way.Place so) original here
        + rendered text outer.Last last behind

let switched (text: string) (switches: (int * Way) list) : string = rendered text 0 text.Length switches
