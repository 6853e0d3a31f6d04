namespace Sdac

/// Algorithms by name, an immutable value. A user's script adds its own: `Registry.standard |> Registry.add mine`.
[<NoComparison; NoEquality>]
type Registry = private { Entries: IAlgorithm list }

[<RequireQualifiedAccess>]
module Registry =
    /// No algorithms.
    let empty: Registry = { Entries = [] }

    /// The algorithms in the order in which they were added.
    let all (registry: Registry) : IAlgorithm list = registry.Entries

    let names (registry: Registry) : string list = registry.Entries |> List.map _.Name

    let tryFind (name: string) (registry: Registry) : IAlgorithm option =
        registry.Entries |> List.tryFind (fun entry -> entry.Name = name)

    let private isName (name: string) =
        name <> ""
        && System.Char.IsAsciiLetterLower name[0]
        && name
           |> Seq.forall (fun c -> System.Char.IsAsciiLetterLower c || System.Char.IsAsciiDigit c || c = '-')

    /// The registry with one more algorithm. Raises ArgumentException for a name that is taken or cannot be one.
    let add (algorithm: Algorithm<'config, 'state, 'work>) (registry: Registry) : Registry =
        let name = algorithm.Name

        if not (isName name) then
            invalidArg
                (nameof algorithm)
                $"an algorithm is called '{name}'; names are lower-case letters, digits and '-', a letter first"

        if (tryFind name registry).IsSome then
            let taken = String.concat ", " (names registry)

            invalidArg
                (nameof algorithm)
                $"an algorithm called '{name}' is registered already (there are {taken}): give this one another name"

        { Entries = registry.Entries @ [ Algorithm.hide algorithm ] }

    /// The algorithms of this library.
    let standard: Registry =
        empty
        |> add Sdac.algorithm
        |> add Dpmd.algorithm
        |> add Sac.algorithm
        |> add Td3.algorithm
        |> add Ppo.algorithm
        |> add Dppo.algorithm
        |> add Qsm.algorithm
        |> add Dqs.algorithm
        |> add Dipo.algorithm
        |> add Qvpo.algorithm
        |> add Qipo.algorithm
        |> add MaxEntDp.algorithm
        |> add Idql.algorithm
        |> add Dacer.algorithm
