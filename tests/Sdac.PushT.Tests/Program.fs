module Sdac.PushT.Tests.Program

[<EntryPoint>]
let main arguments =
    match arguments with
    | [| LibraryTests.OneTable |] -> LibraryTests.oneTable ()
    | _ -> Sdac.Testing.TestProgram.run (System.Reflection.Assembly.GetExecutingAssembly()) arguments
