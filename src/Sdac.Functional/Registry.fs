namespace Sdac.Functional

open Sdac.Environments

/// Algorithms and tasks by name, an immutable value. A user's script adds its own:
/// `Registry.standard |> Registry.add mine |> Registry.addTask myTask`.
[<NoComparison; NoEquality>]
type Registry =
    private
        { Entries: IAlgorithm list
          Suite: TaskSuite }

    /// The tasks, to be made by their names.
    member registry.Tasks = registry.Suite

[<RequireQualifiedAccess>]
module Registry =
    /// No algorithms; the tasks of this library.
    let empty: Registry = { Entries = []; Suite = Environment.suite }

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

        { registry with Entries = registry.Entries @ [ Algorithm.hide algorithm ] }

    let private isTaskName (name: string) =
        name <> ""
        && System.Char.IsAsciiLetterOrDigit name[0]
        && name |> Seq.forall (fun c -> System.Char.IsAsciiLetterOrDigit c || "-_./".Contains c)

    /// The registry with one more task: a `PlainTask`, or a `TaskDefinition` of an MJCF file with functions. It is opened once, so
    /// that what cannot be simulated or saved is said here. Raises ArgumentException for that, and for a name that is taken or
    /// cannot be one.
    let addTask (task: ITask) (registry: Registry) : Registry =
        // a task without a name is refused in its own words
        (task.Open()).Dispose()
        let name = task.Name

        if not (isTaskName name) then
            invalidArg
                (nameof task)
                $"a task is called '{name}'; names are letters, digits, '-', '_', '.' and '/', a letter or digit first"

        if Seq.contains name registry.Suite.Names then
            invalidArg (nameof task) $"a task called '{name}' is registered already: give this one another name"

        { registry with Suite = TaskSuite.Join [ registry.Suite; TaskSuite.Of task ] }

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
        |> add MaxEntDp.algorithm
        |> add Idql.algorithm
        |> add Dacer.algorithm
        |> add Qipo.algorithm
