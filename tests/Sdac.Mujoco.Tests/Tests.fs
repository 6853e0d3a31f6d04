module Sdac.Mujoco.Tests

open Xunit

[<Fact>]
let ``placeholder`` () = Assert.True true
