namespace Sdac.Functional

open Sdac.Environments

/// What this project refuses is one sentence, also in an interactive session: no stack of calls follows it.
[<AutoOpen>]
module internal Refusals =
    /// In the place of F#'s own, whose exception prints a stack and the argument's name.
    let invalidArg (_argument: string) (sentence: string) : 'a = raise (RefusedArgumentException sentence)

    /// In the place of F#'s own.
    let invalidOp (sentence: string) : 'a = raise (RefusedOperationException sentence)

    /// A setting's name in a sentence, as specifications and the command line have it: a record's Tau is tau.
    let spelled (name: string) : string = string (System.Char.ToLowerInvariant name[0]) + name.Substring 1
