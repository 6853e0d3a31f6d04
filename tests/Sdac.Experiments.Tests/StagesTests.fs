module Sdac.Experiments.Tests.StagesTests

let private nothing = ()
