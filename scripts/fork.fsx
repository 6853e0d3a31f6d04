// Continues a run from one of its checkpoints, unchanged and with changes:  ./build.sh fork FOLDER --at ITERATION        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "fork" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
