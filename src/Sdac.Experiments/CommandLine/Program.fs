namespace Sdac.Experiments

/// A script as others start it, and the algorithms that it knows.
[<NoComparison; NoEquality>]
type Program =
    {
        /// What usage texts and messages call it: "train.fsx", "mine.fsx train"
        Name: string
        Registry: Sdac.Registry
        /// The command that starts "train" or "report", to be followed by its arguments
        Start: string -> string list
    }
