/// The tests; and a child process that only starts libtorch and says how that went.
module Sdac.LibTorch.Tests.Program

open System
open System.Reflection
open Sdac.LibTorch

[<EntryPoint>]
let main arguments =
    match arguments with
    | [| "start" |] ->
        try
            Libtorch.Start()
            printfn $"{TorchSharp.torch.get_num_threads ()}"
            0
        with :? MissingLibraryException as error ->
            eprintfn $"{error.Message}"
            8
    | _ -> Sdac.Testing.TestProgram.run (Assembly.GetExecutingAssembly()) arguments
