// Runs a sweep on this machine or on a Slurm cluster:  ./build.sh sweep --spec FILE        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "sweep" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
