module Sdac.Experiments.Tests.SettingsListTests

let private nothing = ()
