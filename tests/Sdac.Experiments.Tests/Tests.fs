module Sdac.Experiments.Tests

open Xunit

[<Fact>]
let ``placeholder`` () = Assert.True true
