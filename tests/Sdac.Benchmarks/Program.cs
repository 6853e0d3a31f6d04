using System;
using System.Globalization;
using System.IO;
using System.Linq;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Microsoft.FSharp.Core;
using Sdac.Benchmarks;
using Sdac.Experiments;
using Sdac.Functional;
using Sdac.Kernels;

const string Usage = """
    usage: ./build.sh bench [--only NAME] [--threads N] [--seconds S] [--json FILE] [--peer] [--rounds N] [--counts]
           ./build.sh bench kernels [BenchmarkDotNet's arguments]

    Without arguments: multiply-adds in registers, every kernel and whole updates at the published sizes, in turn with
    OpenBLAS's sgemm; what the parts of an update take; two threads against one; cost against size; checkpoints and a
    run's overhead; every environment, in turn with bare loops of the engine's calls in C.
      --only NAME    what starts so: peak, layer, train, sampler, latency, critic, optimiser, normals, update,
                     classical (SAC and TD3, then in turn with TorchSharp), action-gradient (of the critics, against
                     multiply-adds in registers), chain-gradient (DACER's, against the same), ppo-iteration, shares,
                     scaling, linear, loop, policy (acting one by one), checkpoint, overhead, environments,
                     environments-pusht, environments-plain, peer, soak,
                     algorithms (what every algorithm's update costs, by cause: a table and a picture, only when it is
                     named); an algorithm's name: its stages at the published sizes
      --threads N    threads of both (default: processors)
      --seconds S    time per case (default 2)
      --json FILE    append one JSON object per case
      --rounds N     rounds of the soak, which runs only when it is named (default 1,000,000: minutes)
      --counts       of algorithms: rows, arithmetic and memory alone, which a busy machine does not change
      --peer         also the same updates in PyTorch (Debian's python3-torch) and in TorchSharp, in turn with ours
    """;

if (args is ["kernels", ..])
{
    // In this process: a generated project would need the package feed again.
    var job = Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance);
    var config = DefaultConfig.Instance.AddJob(job).WithArtifactsPath(Path.Combine("artifacts", "benchmarks"));
    BenchmarkRunner.Run<KernelBenchmarks>(config, args[1..]);
    return 0;
}

if (args is [PeerBenchmarks.Peer, var task, var settings, var count])
{
    PeerBenchmarks.ServeTorchSharp(task, settings, int.Parse(count, CultureInfo.InvariantCulture));
    return 0;
}

if (args is [PolicyBenchmarks.Cold, var run, var workers])
{
    PolicyBenchmarks.Serve(run, int.Parse(workers, CultureInfo.InvariantCulture));
    return 0;
}

if (args is [AlgorithmCosts.Child, var algorithm, var size, var time, var share])
{
    Workers.Threads = int.Parse(share, CultureInfo.InvariantCulture);
    MachineModule.useThreads(ComputeModule.create("cpu", true), Workers.Threads);
    AlgorithmCosts.serve(algorithm, size, double.Parse(time, CultureInfo.InvariantCulture));
    return 0;
}

if (args is ["cuda-check", .. var rest])
{
    if (rest is not ([] or ["--device", _]))
    {
        Console.Error.WriteLine("usage: ./build.sh cuda-check [--device cuda|cuda:N|cpu]    (cpu: a rehearsal)");
        return 2;
    }

    return Script.run("cuda-check", FuncConvert.FromFunc(() => CudaCheck.run(
        rest.Length == 2 ? rest[1] : "cuda", FuncConvert.FromAction<string>(Console.WriteLine))));
}

string only = "", json = "";
var seconds = 2.0;
var rounds = 1_000_000L;
var peer = args.Contains("--peer");
var counts = args.Contains("--counts");
args = [.. args.Where(a => a is not ("--peer" or "--counts"))];
for (var i = 0; i < args.Length; i += 2)
{
    var value = i + 1 < args.Length ? args[i + 1] : null;
    switch (args[i], value)
    {
        case ("--only", not null):
            only = value;
            break;
        case ("--json", not null):
            json = value;
            break;
        case ("--threads", not null)
            when int.TryParse(value, out var threads) && threads is > 0 and <= Workers.MaximumThreads:
            Workers.Threads = threads;
            break;
        case ("--seconds", not null)
            when double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out seconds) && seconds > 0:
            break;
        case ("--rounds", not null)
            when long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out rounds) && rounds >= 10:
            break;
        case ("--help" or "-h", _):
            Console.WriteLine(Usage);
            return 0;
        default:
            Console.Error.WriteLine($"'{args[i]} {value}' is no argument of the benchmarks.\n{Usage}");
            return 2;
    }
}

MachineModule.useThreads(ComputeModule.create("cpu", true), Workers.Threads);
OpenBlas.SetThreads(Workers.Threads);
using var file = json == "" ? null : new StreamWriter(json, append: true);
var harness = new Harness(Console.Out, file, seconds);
harness.Header(Workers.Threads);
foreach (var one in KernelCases.All())
{
    if (one.Name.StartsWith(only, StringComparison.Ordinal))
        harness.Measure(one);
}

var checkpoints = new CheckpointBenchmarks(Console.Out, file);
var algorithms = new AlgorithmBenchmarks(Console.Out, file, seconds);
var peers = new PeerBenchmarks(Console.Out, file, seconds);
var updates = new UpdateBenchmarks(harness, Console.Out, file, seconds);
(string Name, Action Run)[] groups =
[
    ("update", updates.Run),
    ("classical", () =>
    {
        updates.Classical();
        peers.Classical();
    }),
    ("action-gradient", updates.ActionGradients),
    ("chain-gradient", updates.ChainGradients),
    ("shares", updates.Shares),
    ("scaling", updates.Scaling),
    ("linear", updates.Linear),
    ("loop", updates.LoopShares),
    ("policy", new PolicyBenchmarks(harness, Console.Out, file).Run),
    ("checkpoint", checkpoints.Run),
    ("overhead", checkpoints.Overhead),
    ("ppo-iteration", algorithms.PpoIterations),
    ("environments", new EnvironmentBenchmarks(Console.Out, file, seconds).Run),
    ("environments-pusht", new PushTBenchmarks(Console.Out, file, seconds).Run),
    ("environments-plain", new PlainTaskBenchmarks(Console.Out, file, seconds).Run),
    .. algorithms.Stages(),
];
foreach (var (name, measure) in groups)
{
    if (name.StartsWith(only, StringComparison.Ordinal))
        measure();
}

if (only == "algorithms")
    algorithms.Costs(counts);

if (only == "soak")
    algorithms.Soak(rounds);

if (peer || only == "peer")
    peers.Run();

return 0;
