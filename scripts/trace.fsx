// Replays given actions in a task and prints what happened, step by step:  ./build.sh trace --in FILE        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "trace" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
