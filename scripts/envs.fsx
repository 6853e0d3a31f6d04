// Lists the environments: sizes, bounds, options, steps per second:  ./build.sh envs        or        dotnet fsi scripts/envs.fsx -- --help
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "envs" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
