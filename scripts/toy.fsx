// Samples densities we know by RSSM and its peers:  ./build.sh toy        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "toy" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
