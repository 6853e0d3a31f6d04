// Runs a sweep on this machine or on a Slurm cluster. Run it with
//   dotnet fsi --exec scripts/sweep.fsx --spec FILE      (-- --help lists the arguments; after ./build.sh build)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "sweep" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
