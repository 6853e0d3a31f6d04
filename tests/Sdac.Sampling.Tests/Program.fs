module Sdac.Tests.Program

[<EntryPoint>]
let main arguments =
    // Tests that make tensors of their own pass the one start of libtorch as well.
    Sdac.LibTorch.Libtorch.Start()
    Sdac.Testing.TestProgram.run (System.Reflection.Assembly.GetExecutingAssembly()) arguments
