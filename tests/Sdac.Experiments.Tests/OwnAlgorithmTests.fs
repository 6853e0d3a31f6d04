module Sdac.Experiments.Tests.OwnAlgorithmTests

let private nothing = ()
