// Gives a trained policy to other programs:  ./build.sh export FOLDER --onnx policy.onnx        (--help lists the options)
#load "sdac.fsx"

open Sdac.Experiments

exit (Main.script "export" __SOURCE_DIRECTORY__ fsi.CommandLineArgs[1..])
