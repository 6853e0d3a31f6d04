namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO
open System.Runtime.InteropServices
open Sdac.Functional
open Sdac.Sampling

/// How far samples are from their target, and what they cost. NaN where a measure has no meaning.
type ToyMeasures =
    {
        Kl: float
        KlError: float
        Wasserstein2: float
        EnergyDistance: float
        ModeWeightError: float
        ModesFound: float
        /// Processor time of training; of sampling for methods without training
        Seconds: float
        /// Peak of resident memory above what the process had before its first cell
        PeakMiB: float
    }

/// One method on one target with one seed.
type ToyCell =
    {
        Target: string
        Method: string
        Seed: int64
        /// All that decides the result, beside target, method and seed
        Settings: string
        Measures: ToyMeasures
        ScoreErrors: ScoreError list
        /// Some of the samples for the picture, as rows of the plane, [n, 2] float32 as bytes
        Points: byte[]
    }

/// Cells of the page: computing one, and keeping it as a file.
[<RequireQualifiedAccess>]
module ToyCell =
    /// Samples that are measured.
    [<Literal>]
    let SampleCount = 40_000

    [<Literal>]
    let private Shown = 1500

    /// Raised whenever a change of the program changes results that the settings do not show.
    [<Literal>]
    let private Version = 3

    /// All that decides a cell beside its target, method and seed.
    let settings (method: ToyMethod) (target: Target) = $"version {Version}: {method.Settings target}"

    /// The points of the picture, [n, 2] row-major.
    let points (cell: ToyCell) : float32[] = MemoryMarshal.Cast<byte, float32>(ReadOnlySpan cell.Points).ToArray()

    let private resident () =
        use self = Process.GetCurrentProcess()
        float self.WorkingSet64 / 1048576.0

    /// Before the first cell: runtime and libraries, which every method has.
    let private floor = lazy resident ()

    /// Makes the system count the peak of resident memory afresh. Where it cannot, the peak is the process's own.
    let private resetPeak () =
        GC.Collect()

        try
            File.WriteAllText("/proc/self/clear_refs", "5")
        with
        | :? IOException
        | :? UnauthorizedAccessException -> ()

    let private peak () =
        use self = Process.GetCurrentProcess()
        float self.PeakWorkingSet64 / 1048576.0

    /// The first n samples.
    let private part (target: Target) n (samples: float32[]) = Array.sub samples 0 (target.Dim * n)

    /// As the picture shows them: some rows of the plane, [n, 2].
    let private shown (target: Target) (samples: float32[]) =
        let rows =
            Tensors.owning (fun _ -> []) (fun () ->
                part target Shown samples
                |> Tensors.ofArray Compute.cpu [ Shown; target.Dim ]
                |> Target.seen target
                |> Tensors.toArray)

        Array.sub rows 0 (2 * Shown)

    let private measures (target: Target) (seed: int64) (draw: ToyDraw) memory =
        let truth =
            Tensors.owning (fun _ -> []) (fun () ->
                Tensors.toArray (Target.sample 4000 (Key.ofSeed (seed + 1_000_003L)) target))

        let kl = Measures.divergence target draw.Samples

        { Kl = kl.Value
          KlError = kl.Error
          Wasserstein2 = Measures.wasserstein2 target.Dim (part target 400 draw.Samples) (part target 400 truth)
          EnergyDistance = Measures.energyDistance target.Dim (part target 4000 draw.Samples) truth
          ModeWeightError = Measures.modeWeightError target draw.Samples
          ModesFound =
            if target.Modes.IsEmpty then
                nan
            else
                float (Measures.modesFound target draw.Samples)
          Seconds = draw.Seconds
          PeakMiB = memory }

    /// Trains, samples and measures: a cell for each of the methods, which must be of one family. Their training and their peak
    /// of memory are the same.
    let compute (target: Target) (methods: ToyMethod list) (seed: int64) : ToyCell list =
        let floor = floor.Force()
        resetPeak ()
        let draws = methods.Head.Draws (methods |> List.map _.Name) target SampleCount (Key.ofSeed seed)
        let memory = max 0.0 (peak () - floor)

        [ for method, draw in List.zip methods draws ->
              { Target = target.Name
                Method = method.Name
                Seed = seed
                Settings = settings method target
                Measures = measures target seed draw memory
                ScoreErrors = draw.ScoreErrors
                Points = MemoryMarshal.AsBytes(ReadOnlySpan(shown target draw.Samples)).ToArray() } ]

    /// The largest error of the learned score over timesteps; NaN where there is none.
    let worstScoreError (cell: ToyCell) =
        match cell.ScoreErrors with
        | [] -> nan
        | errors -> errors |> List.map _.Error |> List.max

    // ---- files

    /// Where a cell is kept.
    let path (folder: string) (target: Target) (method: ToyMethod) (seed: int64) =
        Path.Combine(folder, "cells", $"{target.Name}-{method.Name}-%d{seed}.json")

    /// Keeps a cell.
    let save (path: string) (cell: ToyCell) = CellFile.save path cell

    let private empty =
        { Target = ""
          Method = ""
          Seed = 0L
          Settings = ""
          Measures =
            { Kl = nan
              KlError = nan
              Wasserstein2 = nan
              EnergyDistance = nan
              ModeWeightError = nan
              ModesFound = nan
              Seconds = nan
              PeakMiB = nan }
          ScoreErrors = []
          Points = [||] }

    /// The cell kept in a file; None where there is none, where the file is damaged, and where the cell was made with other
    /// settings or by another version: it is then to be computed again.
    let tryLoad (path: string) (target: Target) (method: ToyMethod) (seed: int64) : ToyCell option =
        CellFile.tryLoad path empty (fun cell ->
            (cell.Target, cell.Method, cell.Seed, cell.Settings) =
                (target.Name, method.Name, seed, settings method target))
