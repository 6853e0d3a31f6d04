namespace Sdac.Experiments

open System
open System.Diagnostics
open Sdac.Functional

/// The contract that every algorithm is held to: this library's by its tests, a user's by `Contract.check mine`.
[<RequireQualifiedAccess>]
module Contract =
    /// The clauses for an algorithm by their names; each raises ContractBroken with a sentence.
    let clauses (algorithm: Algorithm<'c, 's, 'w>) : (string * (unit -> unit)) list =
        let clause name (check: ContractCase<'c, 's, 'w> -> unit) =
            name, (fun () -> check (ContractCase.ofAlgorithm algorithm))

        [ clause
              "its published settings and presets can be used, and come back from a specification"
              RunClauses.settings
          clause "its state is visited whole, every leaf under a name of its own" StateClauses.whole
          clause "its twin networks differ at the start, its targets are copies" StateClauses.beginnings
          clause "an iteration changes nothing that it is given, and gives the same bits again" StateClauses.purity
          clause "its results are the same bits on one, two and three threads" UpdateClauses.threads
          clause "its results by our kernels are libtorch's within 1e-4" UpdateClauses.kernels
          clause "no key is used twice" UpdateClauses.keys
          clause "each iteration learns from another batch" UpdateClauses.batches
          clause "time limits are stored as such, with the observation that they led to" UpdateClauses.limits
          clause "time limits bootstrap, terminations do not" UpdateClauses.bootstraps
          clause "its figures are declared, told and finite" UpdateClauses.figures
          clause "it explores by its key" UpdateClauses.explores
          clause
              "over 200 rounds the number of live tensors stays the same, and every network and optimiser moves"
              StateClauses.flat
          clause "its policy as data acts as it does in evaluations" RunClauses.exported
          clause "every leaf of its state comes back from a checkpoint" RunClauses.saved
          clause "a killed run resumes to the same bytes" RunClauses.resumes
          clause "three seeds learn a small task" UpdateClauses.learns ]

    /// The clauses for an algorithm whose types are hidden.
    let clausesOf (algorithm: IAlgorithm) : (string * (unit -> unit)) list =
        algorithm.Open
            { new IOpen<(string * (unit -> unit)) list> with
                  member _.Open algorithm = clauses algorithm }

    let private report (title: string) (clauses: (string * (unit -> unit)) list) : string list =
        [ for name, check in clauses do
              let clock = Stopwatch.StartNew()

              let broken =
                  try
                      check ()
                      None
                  with :? ContractBroken as error ->
                      Some error.Message

              let seconds = clock.Elapsed.TotalSeconds
              let mark = if broken.IsNone then "holds " else "BROKEN"
              Console.Out.WriteLine $"%s{mark} %5.1f{seconds} s  {title}: {name}"

              match broken with
              | Some sentence ->
                  Console.Out.WriteLine $"                {sentence}"
                  yield name
              | None -> () ]

    /// Holds an algorithm to the contract and prints each clause; a Settings failure where one is broken.
    let check (algorithm: Algorithm<'c, 's, 'w>) : unit =
        let broken = clauses algorithm |> report algorithm.Title

        if not broken.IsEmpty then
            Errors.fail (Settings $"{algorithm.Name} breaks {broken.Length} clauses of the contract: see above")
