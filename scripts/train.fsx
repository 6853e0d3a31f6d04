// Trains a policy:  ./build.sh train        or        dotnet fsi scripts/train.fsx -- --help
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "train" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
