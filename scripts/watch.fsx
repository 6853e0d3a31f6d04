// One page that plays episodes of a trained policy:  ./build.sh watch FOLDER        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "watch" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
