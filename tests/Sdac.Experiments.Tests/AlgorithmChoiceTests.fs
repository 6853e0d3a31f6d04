module Sdac.Experiments.Tests.AlgorithmChoiceTests

let private nothing = ()
