// Plays a checkpoint again:  ./build.sh evaluate --run FOLDER        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "evaluate" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
