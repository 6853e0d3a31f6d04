namespace Sdac.Functional

open System
open System.Collections.Generic

/// A leaf of an environment's state that is no number.
exception internal NotANumberLeaf of name: string * what: string

/// The numbers of a state of plain F#, by its traversal: 64 bits for each.
[<RequireQualifiedAccess>]
module internal PlainState =
    let private refuse name what = raise (NotANumberLeaf(name, what))

    /// A visitor of numbers alone.
    [<AbstractClass>]
    type private NumbersOnly() =
        abstract Float: string * float -> float
        abstract Int: string * int64 -> int64
        abstract Numbers: string * float[] -> float[]

        interface IVisit with
            member v.Float(name, value) = v.Float(name, value)
            member v.Int(name, value) = v.Int(name, value)
            member v.Numbers(name, value) = v.Numbers(name, value)
            member _.Params(name, _) = refuse name "a network's parameters"
            member _.Adam(name, _) = refuse name "an optimiser's moments"
            member _.Rows(name, _) = refuse name "rows of the replay memory"

    /// The leaves of a state: names, and numbers of each; a single one has 1.
    let leaves (parts: Parts<'state>) (state: 'state) : (string * int) list =
        let found = List()

        let look =
            { new NumbersOnly() with
                member _.Float(name, value) =
                    found.Add((name, 1))
                    value

                member _.Int(name, value) =
                    found.Add((name, 1))
                    value

                member _.Numbers(name, value) =
                    found.Add((name, value.Length))
                    value }

        parts look state |> ignore
        List.ofSeq found

    /// The state with another value in every leaf.
    let changed (parts: Parts<'state>) (state: 'state) : 'state =
        parts
            { new NumbersOnly() with
                member _.Float(_, value) = value + 1.0
                // a flag is turned
                member _.Int(_, value) = if value = 0L then 1L else value - 1L
                member _.Numbers(_, value) = Array.map ((+) 1.0) value }
            state

    /// Writes states as numbers, and makes them again. One thread at a time.
    [<Sealed>]
    type Codec<'state>(parts: Parts<'state>, like: 'state) =
        let leaves = leaves parts like |> Array.ofList
        let size = Array.sumBy snd leaves
        let numbers = Array.zeroCreate<float> size
        let mutable at, leaf = 0, 0
        let mutable bad: string | null = null

        let next () =
            let value = numbers[at]
            at <- at + 1
            value

        // as visitors: a cast at each call would make a closure of the traversal
        let reader: IVisit =
            { new NumbersOnly() with
                member _.Float(_, _) = next ()
                member _.Int(_, _) = BitConverter.DoubleToInt64Bits(next ())

                member _.Numbers(_, value) =
                    let values = Array.sub numbers at value.Length
                    at <- at + value.Length
                    values }

        let claim name count =
            if leaf >= leaves.Length || snd leaves[leaf] <> count then
                let had = if leaf < leaves.Length then snd leaves[leaf] else 0
                invalidOp $"'{name}' of the state has {count} numbers, but had {had} in the first one: keep its size"

            leaf <- leaf + 1

        let put name (value: float) =
            if Double.IsNaN value && isNull bad then
                bad <- name

            numbers[at] <- value
            at <- at + 1

        let writer: IVisit =
            { new NumbersOnly() with
                member _.Float(name, value) =
                    claim name 1
                    put name value
                    value

                member _.Int(name, value) =
                    claim name 1
                    // an integer's bits are no number: they may look like NaN
                    numbers[at] <- BitConverter.Int64BitsToDouble value
                    at <- at + 1
                    value

                member _.Numbers(name, values) =
                    claim name values.Length

                    for value in values do
                        put name value

                    values }

        member _.Size = size

        /// The state of these numbers. state: [Size].
        member _.Read(state: ReadOnlySpan<float>) : 'state =
            state.CopyTo(Span numbers)
            at <- 0
            parts reader like

        /// Writes a state's numbers; the name of a leaf that is NaN, or null. Raises InvalidOperationException where a leaf has
        /// another size than in `like`. into: [Size].
        member _.Write(state: 'state, into: Span<float>) : string | null =
            at <- 0
            leaf <- 0
            bad <- null
            parts writer state |> ignore
            numbers.AsSpan().CopyTo into
            bad
