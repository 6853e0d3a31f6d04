// Plays a checkpoint again:  dotnet fsi --exec scripts/evaluate.fsx --run FOLDER        (-- --help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "evaluate" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
