namespace Sdac.Experiments

open Sdac.Functional
open Sdac.Sampling

/// Why RSSM needs no samples of exp(Q): what its loss is given at one point, and that the distribution of the points decides only
/// where it is trained.
[<RequireQualifiedAccess>]
module RssmPicture =
    /// ᾱ of the timestep that is shown.
    [<Literal>]
    let private Bar = 0.8

    /// The noised action whose draws are shown.
    [<Literal>]
    let private Point = 0.05

    let private unit (title: string) (low: float) (high: float) : Axis =
        { Plot.axis title with
            Extent = Extent.Between(low, high)
            Ticks = Ticks.At [ for tick in [ -1.5; -1.0; -0.5; 0.0; 0.5; 1.0; 1.5 ] -> tick, string tick ] }

    let private weights (target: OneStateTarget) (actions: float list) : float list =
        let values =
            Tensors.ofArray Compute.cpu [ actions.Length ] (actions |> List.map float32 |> List.toArray)

        (target.Value values).exp() |> Tensors.toArray |> Array.map float |> List.ofArray

    let private normals (key: Key) (shape: int list) : float[] =
        Key.normal Compute.cpu shape key |> Tensors.toArray |> Array.map float

    let private clean (point: float) (noise: float) = (point - sqrt (1.0 - Bar) * noise) / sqrt Bar

    /// exp(Q), and draws of q̃ around one noised action with their weights.
    let private draws (target: OneStateTarget) (key: Key) : Panel =
        let grid = [ for i in -150 .. 150 -> float i / 100.0 ]
        let density = List.zip grid (weights target grid)
        let top = density |> List.map snd |> List.max
        let spread = sqrt ((1.0 - Bar) / Bar)
        let reverse (a: float) = exp (-0.5 * ((a - Point / sqrt Bar) / spread) ** 2.0)
        let drawn = normals key [ 40 ] |> Array.map (clean Point) |> List.ofArray

        [ { Name = "exp(Q)"; Colour = "#85BCDF"; Mark = Mark.Band [ for a, w in density -> a, 0.0, w / top ] }
          { Name = "q̃(a₀ | a_t): normal, knows nothing of Q"
            Colour = "#009E73"
            Mark = Plot.line 1.6 [ for a in grid -> a, reverse a ] }
          for a, w in List.zip drawn (weights target drawn) do
              if abs a <= 1.5 then
                  { Name = "its draws, as high as their weight exp(Q)"
                    Colour = "#D55E00"
                    Mark = Plot.line 2.0 [ a, 0.0; a, w / top ] } ]
        |> Plot.panel
            $"one noised action a_t = {Point}, ᾱ {Bar}"
            (420.0, 230.0)
            (unit "a₀" -1.5 1.5)
            (Plot.bareAxis 0.0 1.05)

    /// Σ w·ε / Σ w of 512 draws at each point.
    let private estimates (target: OneStateTarget) (key: Key) (points: float[]) : (float * float) list =
        [ for i, point in Array.indexed points do
              let noise = normals (Key.foldIn (int64 i) key) [ 512 ]
              let w = weights target (noise |> Array.map (clean point) |> List.ofArray)
              point, (Seq.map2 (*) w noise |> Seq.sum) / List.sum w ]

    let private regression (target: OneStateTarget) (key: Key) : Panel =
        let keys = Key.splitMany 4 key

        let noised (centre: float) (width: float) (a: Key) (b: Key) =
            Array.map2
                (fun u e -> sqrt Bar * (centre + width * (2.0 * u - 1.0)) + sqrt (1.0 - Bar) * e)
                (Key.uniform Compute.cpu [ 60 ] a |> Tensors.toArray |> Array.map float)
                (normals b [ 60 ])
            |> Array.filter (fun point -> abs point <= 1.5)

        let exact =
            [ for i in -60 .. 60 ->
                  let x = float i / 40.0
                  let struct (noise, _) = EstimatorBias.exact target Bar x
                  x, noise ]

        [ { Name = "ε*(a_t), exact"; Colour = "#000000"; Mark = Plot.line 1.6 exact }
          { Name = "Σ w·ε / Σ w where a uniform policy's actions are noised to"
            Colour = "#0072B2"
            Mark = Plot.dots 5.0 0.8 (estimates target keys[0] (noised 0.0 1.0 keys[1] keys[2])) }
          { Name = "and where those of a policy around -0.6 are"
            Colour = "#CC79A7"
            Mark = Plot.dots 5.0 0.8 (estimates target keys[3] (noised -0.6 0.1 keys[2] keys[1])) } ]
        |> Plot.panel
            "what the network is regressed on: p̃_t decides only where"
            (420.0, 230.0)
            (unit "a_t" -1.5 1.5)
            { Plot.axis "ε" with
                Extent = Extent.Between(-2.2, 2.2)
                Ticks = Ticks.At [ -2.0, "-2"; 0.0, "0"; 2.0, "2" ] }

    /// Two panels about the target with two modes.
    let create (key: Key) : Picture =
        use _ = TorchSharp.torch.NewDisposeScope()
        let target = OneState.targets |> List.find _.Split.IsSome
        let keys = Key.splitMany 2 key

        { Title = "The actor's loss needs values of Q and normal draws, no sample of exp(Q)"
          Subtitle = ""
          Panels = [ [ draws target keys[0]; regression target keys[1] ] ]
          Legend = true }
