module Sdac.Mujoco.Tests.AssemblyInfo

// The number of worker threads is set, and allocations are counted, for the whole process.
[<assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)>]
do ()
