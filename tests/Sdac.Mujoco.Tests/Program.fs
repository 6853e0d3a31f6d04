module Sdac.Mujoco.Tests.Program

[<EntryPoint>]
let main arguments = Sdac.Testing.TestProgram.run (System.Reflection.Assembly.GetExecutingAssembly()) arguments
