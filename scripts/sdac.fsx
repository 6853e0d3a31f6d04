// The library in one line: `#load "scripts/sdac.fsx"` in a script or in a `dotnet fsi` session (after `./build.sh build`).
#r "../src/Sdac.Experiments/bin/Release/TorchSharp.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.LibTorch.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.Kernels.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.Environments.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.Mujoco.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.PushT.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.Functional.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.Sampling.dll"
#r "../src/Sdac.Experiments/bin/Release/Sdac.Experiments.dll"
#r "../src/Sdac.Experiments/bin/Release/Argu.dll"

// Before anything loads libtorch: it reads its environment once.
Sdac.LibTorch.Libtorch.Prepare()

// A script ends with the `dotnet fsi` that was started, also by kill -9.
Sdac.Experiments.Sessions.endWithDotnetFsi ()

// Of this session and of scripts: `dotnet fsi` has the machine's.
Sdac.Experiments.Script.useInvariantCulture ()

// What a session prints of them: a line or two instead of all their numbers.
fsi.AddPrinter Sdac.Experiments.Interactive.describeTensor
fsi.AddPrinter Sdac.Experiments.Interactive.describePoints
fsi.AddPrinter Sdac.Experiments.Interactive.describeCurve
fsi.AddPrinter Sdac.Experiments.Interactive.describeNetworks
fsi.AddPrinter Sdac.Experiments.Interactive.describePolicy
