namespace Sdac.Experiments

/// A program as others start it, and the algorithms that it knows.
[<NoComparison; NoEquality>]
type Program =
    {
        /// What begins its messages: "train", "mine.fsx train"
        Name: string
        /// How a user starts it: "./build.sh train", "dotnet fsi --exec mine.fsx train"
        Shown: string
        Registry: Sdac.Functional.Registry
        /// The command that starts "train" or "report", to be followed by its arguments
        Start: string -> string list
    }
