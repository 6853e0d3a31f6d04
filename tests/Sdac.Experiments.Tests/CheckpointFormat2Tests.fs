module Sdac.Experiments.Tests.CheckpointFormat2Tests

let private nothing = ()
