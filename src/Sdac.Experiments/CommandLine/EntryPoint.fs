/// The library as a program: what `./build.sh train` and the other commands start.
module Sdac.Experiments.EntryPoint

[<EntryPoint>]
let private main (arguments: string[]) : int =
    // Before anything loads libtorch: it reads its environment once.
    Sdac.LibTorch.Libtorch.Prepare()
    Main.program arguments
