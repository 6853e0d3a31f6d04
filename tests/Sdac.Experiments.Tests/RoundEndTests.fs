module Sdac.Experiments.Tests.RoundEndTests

let private nothing = ()
