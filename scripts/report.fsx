// One page about many runs:  ./build.sh report --runs FOLDER...        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "report" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
