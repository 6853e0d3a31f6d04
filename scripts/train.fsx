// Trains a policy:  ./build.sh train        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "train" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
