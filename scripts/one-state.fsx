// Policies for one state whose Q is known:  ./build.sh one-state        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "one-state" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
