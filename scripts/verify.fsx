// Runs parts of a stored run again and compares them byte for byte:  ./build.sh verify FOLDER        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "verify" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
