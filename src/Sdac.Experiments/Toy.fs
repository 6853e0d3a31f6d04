namespace Sdac.Experiments

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text
open Sdac

/// One sampler on one target with one seed.
type ToyResult =
    {
        Target: Target
        Method: string
        Seed: int64
        /// [n, 2], row-major
        Samples: float32[]
        /// Name and value, in the order of the table
        Measures: (string * float) list
    }

/// Samplers on densities we know: runs, measures, one page.
[<RequireQualifiedAccess>]
module Toy =
    [<Literal>]
    let private SampleCount = 40_000

    /// The methods by name.
    let methods = [ "exact"; "rssm"; "rssm-flow"; "dsm"; "idem"; "langevin"; "annealed" ]

    let private named (kind: string) (name: string) (all: string list) =
        if not (List.contains name all) then
            Errors.fail (Settings(Errors.unknown kind name "" all))

    /// The target of that name; Settings failure with the nearest name otherwise.
    let target (name: string) : Target =
        named "target" name (Targets.all |> List.map _.Name)
        Targets.all |> List.find (fun t -> t.Name = name)

    /// Makes the system count the peak of resident memory afresh. Where it cannot, the peak is the process's own.
    let private resetPeak () =
        try
            File.WriteAllText("/proc/self/clear_refs", "5")
        with
        | :? IOException
        | :? UnauthorizedAccessException -> ()

    let private peakMiB () =
        use self = Process.GetCurrentProcess()
        float self.PeakWorkingSet64 / 1048576.0

    let private diffusion learning flow (target: Target) (seed: int64) =
        let config = { SamplerConfig.standard with Learning = learning }
        let model = RssmTrainer.create Compute.cpu config target
        let struct (trainKey, sampleKey) = Key.split (Key.ofSeed seed)
        let clock = Stopwatch.StartNew()
        let state = RssmTrainer.train model trainKey ignore
        let seconds = clock.Elapsed.TotalSeconds
        let draw = if flow then RssmTrainer.flow else RssmTrainer.sample
        use samples = draw model state SampleCount sampleKey
        let errors = Measures.scoreErrors model state 2000 (Key.ofSeed 99L) |> List.map snd
        RssmTrainer.dispose state
        Tensors.toArray samples, seconds, (if errors.IsEmpty then nan else List.max errors)

    let private idem (target: Target) (seed: int64) =
        let model = Idem.create Compute.cpu IdemConfig.standard target
        let struct (trainKey, sampleKey) = Key.split (Key.ofSeed seed)
        let clock = Stopwatch.StartNew()
        let state = Idem.train model trainKey ignore
        let seconds = clock.Elapsed.TotalSeconds
        use samples = Idem.sample model state SampleCount sampleKey
        Idem.dispose state
        Tensors.toArray samples, seconds, nan

    let private direct (draw: Target -> int -> Key -> Tensor) (target: Target) (seed: int64) =
        let clock = Stopwatch.StartNew()
        use samples = draw target SampleCount (Key.ofSeed seed)
        Tensors.toArray samples, clock.Elapsed.TotalSeconds, nan

    let private draw name =
        match name with
        | "rssm" -> diffusion FromEnergy false
        | "rssm-flow" -> diffusion FromEnergy true
        | "dsm" -> diffusion FromSamples false
        | "idem" -> idem
        | "langevin" -> direct (Langevin.sample Langevin.naive)
        | "annealed" -> direct (Langevin.sample Langevin.annealed)
        | _ -> direct (fun target n key -> target.Sample.Value n key)

    let private part n (samples: float32[]) = Array.sub samples 0 (2 * n)

    /// Trains, samples and measures. `name` is one of `methods`.
    let run (name: string) (seed: int64) (target: Target) : ToyResult =
        named "method" name methods
        resetPeak ()
        let samples, seconds, scoreError = draw name target seed
        let memory = peakMiB ()

        let truth =
            Tensors.owning (fun _ -> []) (fun () ->
                Tensors.toArray (target.Sample.Value 4000 (Key.ofSeed (seed + 1_000_003L))))

        let kl = Measures.divergence target samples

        { Target = target
          Method = name
          Seed = seed
          Samples = part 1500 samples
          Measures =
            [ "KL", kl.Value
              "KL's error", kl.Error
              "W2 (400 points)", Measures.wasserstein2 (part 400 samples) (part 400 truth)
              "energy distance", Measures.energyDistance (part 4000 samples) truth
              "mode-weight error", Measures.modeWeightError target samples
              "modes found", float (Measures.modesFound target samples)
              "worst score error", scoreError
              "seconds", seconds
              "peak MiB", memory ] }

    let private text (value: float) = value.ToString("0.##", CultureInfo.InvariantCulture)

    [<Literal>]
    let private Panel = 220.0

    [<Literal>]
    let private Gap = 14.0

    /// The density's cells as squares; the darker the denser.
    let private density (target: Target) (svg: StringBuilder) =
        let p = Measures.cells target
        let side = int (sqrt (float p.Length))
        let size, top = Panel / float side, Array.max p

        p
        |> Array.iteri (fun i p ->
            let shade = sqrt (p / top)

            if shade > 0.02 then
                let x, y = float (i % side) * size, Panel - float (i / side + 1) * size

                svg.Append
                    $"<rect x='{text x}' y='{text y}' width='{text (size + 0.2)}' height='{text (size + 0.2)}' fill='#6baed6' fill-opacity='{text (0.75 * shade)}'/>"
                |> ignore)

    let private points (result: ToyResult) (svg: StringBuilder) =
        let at (v: float32) = (float v / result.Target.HalfWidth + 1.0) / 2.0 * Panel

        svg.Append
            "<path fill='none' stroke='#a63603' stroke-width='1.6' stroke-linecap='round' stroke-opacity='0.55' d='"
        |> ignore

        for i in 0 .. result.Samples.Length / 2 - 1 do
            svg.Append $"M{text (at result.Samples[2 * i])} {text (Panel - at result.Samples[2 * i + 1])}h0"
            |> ignore

        svg.Append "'/>" |> ignore

    /// Samples over the density: a row per target, a column per method, of each one's first seed.
    let picture (results: ToyResult list) : string =
        let first = results |> List.distinctBy (fun r -> r.Target.Name, r.Method)
        let rows = first |> List.groupBy _.Target.Name
        let columns = rows |> List.map (fun (_, r) -> r.Length) |> List.fold max 1
        let width = float columns * (Panel + Gap) + Gap
        let height = float rows.Length * (Panel + 34.0) + Gap
        let svg = StringBuilder()

        svg.Append
            $"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {text width} {text height}' width='{text width}' height='{text height}' font-family='Helvetica, Arial, sans-serif' font-size='13'><rect width='100%%' height='100%%' fill='white'/>"
        |> ignore

        rows
        |> List.iteri (fun row (name, cells) ->
            svg.Append $"<defs><g id='density-{name}'>" |> ignore
            density cells[0].Target svg
            svg.Append "</g></defs>" |> ignore

            cells
            |> List.iteri (fun column result ->
                let x, y = Gap + float column * (Panel + Gap), 24.0 + float row * (Panel + 34.0)

                svg.Append
                    $"<svg x='{text x}' y='{text (y - 20.0)}' width='{text Panel}' height='{text (Panel + 20.0)}'><text x='1' y='14'>{name}: {result.Method}</text><svg y='20' width='{text Panel}' height='{text Panel}'><rect width='100%%' height='100%%' fill='#fafafa' stroke='#cccccc'/><use href='#density-{name}'/>"
                |> ignore

                points result svg
                svg.Append "</svg></svg>" |> ignore))

        svg.Append("</svg>\n").ToString()

    /// Student's t at 97.5 % for 1 to 9 degrees of freedom; 1.96 beyond 30.
    let private student n =
        let small = [| 12.71; 4.30; 3.18; 2.78; 2.57; 2.45; 2.36; 2.31; 2.26 |]

        if n - 1 <= small.Length then small[n - 2]
        elif n <= 30 then 2.2
        else 1.96

    /// "mean ± half-width of the 95 % interval" over seeds.
    let interval (values: float list) : string =
        let mean = List.average values
        let show (v: float) = v.ToString("G3", CultureInfo.InvariantCulture)

        if List.exists Double.IsNaN values then
            "-"
        elif values.Length < 2 then
            show mean
        else
            let deviation = sqrt ((values |> List.sumBy (fun v -> (v - mean) ** 2.0)) / float (values.Length - 1))
            $"{show mean} ± {show (student values.Length * deviation / sqrt (float values.Length))}"

    /// Rows of the table: target, method, seeds, then every measure as mean and interval.
    let table (results: ToyResult list) : string list list =
        [ "target" :: "method" :: "seeds" :: (results.Head.Measures |> List.map fst)
          for (target, name), cell in results |> List.groupBy (fun r -> r.Target.Name, r.Method) do
              let columns = cell |> List.map (fun r -> r.Measures |> List.map snd) |> List.transpose
              target :: name :: string cell.Length :: (columns |> List.map interval) ]

    /// Writes toy.svg and toy.html into a folder.
    let page (folder: string) (results: ToyResult list) =
        Files.createFolder folder
        let svg = picture results
        Files.writeText (Path.Combine(folder, "toy.svg")) svg
        let cell tag text = $"<{tag}>{Net.WebUtility.HtmlEncode(text: string)}</{tag}>"
        let line tag row = "<tr>" + (row |> List.map (cell tag) |> String.concat "") + "</tr>\n"
        let rows = table results
        let body = line "th" rows.Head + (rows.Tail |> List.map (line "td") |> String.concat "")

        let html =
            "<!doctype html><html lang='en'><meta charset='utf-8'><title>RSSM on densities we know</title>\n"
            + "<style>body{font:15px Helvetica,Arial,sans-serif;margin:2em;color:#222}svg{max-width:100%;height:auto}table{border-collapse:collapse;font-size:13px;margin-top:1.5em}"
            + "td,th{border-bottom:1px solid #ddd;padding:4px 10px;text-align:right}td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}</style>\n"
            + $"<h1>RSSM on densities we know</h1>\n{svg}\n<table>{body}</table>\n"
            + "<p>Mean ± half-width of the 95 % interval over seeds (Student's t). KL: plug-in estimate of KL(samples‖target) on a 40 x 40 grid with "
            + $"Miller–Madow correction from {SampleCount} samples; its row 'exact' shows the estimator's own error. Score error: the largest relative L2 "
            + "error under p_t over timesteps with ᾱ between 0.01 and 0.99. Peak memory is the whole process's.</p></html>\n"

        Files.writeText (Path.Combine(folder, "toy.html")) html
