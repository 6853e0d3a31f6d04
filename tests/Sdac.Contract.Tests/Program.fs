module Sdac.Tests.ContractProgram

[<EntryPoint>]
let main arguments =
    Sdac.LibTorch.Libtorch.Prepare()
    Sdac.Testing.TestProgram.run (System.Reflection.Assembly.GetExecutingAssembly()) arguments
