namespace Sdac.Testing

open System
open Expecto

/// What Expecto's own `Expect` lacks.
module Expect =
    let private caught (action: unit -> unit) =
        try
            action ()
            None
        with e ->
            Languages.refuseForeign "the sentence" e.Message
            Some e

    /// The exception that an action ends with, which must be of exactly this type.
    let raises<'error when 'error :> exn> (action: unit -> unit) : 'error =
        match caught action with
        | Some(:? 'error as e) when e.GetType() = typeof<'error> -> e
        | Some e -> failtest $"Expected {typeof<'error>.Name}, but the action raised {e}"
        | None -> failtest $"Expected {typeof<'error>.Name}, but the action raised nothing"

    /// The exception that an action ends with, which may be of a type derived from this one.
    let raisesAny<'error when 'error :> exn> (action: unit -> unit) : 'error =
        match caught action with
        | Some(:? 'error as e) -> e
        | Some e -> failtest $"Expected {typeof<'error>.Name}, but the action raised {e}"
        | None -> failtest $"Expected {typeof<'error>.Name}, but the action raised nothing"

    /// Both ends belong to the range; NaN is in no range.
    let inRange (actual: 'a) (low: 'a, high: 'a) (message: string) =
        if not (low <= actual && actual <= high) then
            failtest $"{message}. Expected {low} to {high}, but got {actual}"

    /// The only element.
    let single (actual: 'a seq) (message: string) : 'a =
        match List.ofSeq actual with
        | [ element ] -> element
        | elements -> failtest $"{message}. Expected one element, but got %A{elements}"

    /// As `Expect.notEqual`, but NaN is no difference from NaN.
    let differs (actual: 'a) (from: 'a) (message: string) =
        if LanguagePrimitives.GenericEqualityER actual from then
            failtest $"{message}. Expected a difference, but got twice %A{actual}"

    let stringLacks (actual: string) (part: string) (message: string) =
        if actual.Contains(part, StringComparison.Ordinal) then
            failtest $"{message}. Expected no '{part}' in '{actual}'"

[<AutoOpen>]
module Expectations =
    /// At most so far apart, for `Expect.floatClose`.
    let within (tolerance: float) : Accuracy = { absolute = tolerance; relative = 0.0 }

    /// `action` raises an ArgumentException (or one derived from it) whose message has all the words.
    let failsWith (words: string list) (action: unit -> unit) =
        let error = Expect.raisesAny<ArgumentException> action

        for word in words do
            Expect.stringContains error.Message word "the error's sentence"
