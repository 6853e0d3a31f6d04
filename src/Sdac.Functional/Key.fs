module Sdac.Key

let placeholder = ()
