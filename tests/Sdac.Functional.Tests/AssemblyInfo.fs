module Sdac.Tests.AssemblyInfo

// Live tensors and the number of worker threads are counted and set for the whole process.
[<assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)>]
do ()
