module Sdac.Experiments.Files

let placeholder = ()
