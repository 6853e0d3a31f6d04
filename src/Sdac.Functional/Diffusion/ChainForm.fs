namespace Sdac.Functional

open Sdac.Kernels

/// Layers one behind the other, y = activation(norm(x·W + b)). The parameters of layer i are called PREFIXi.weight, PREFIXi.bias,
/// PREFIXi.norm.weight and PREFIXi.norm.bias; they lie in one piece.
type FormLayers =
    {
        Prefix: string
        Shape: MlpShape
        /// Of the input, before the first layer
        Before: Activation
        /// The input is added to what comes out
        Skip: bool
    }

/// A network as data: which parameters, and what is done with them.
[<NoComparison; NoEquality>]
type FormNetwork =
    {
        /// The leaf of the state that holds the parameters: a checkpoint calls them LEAF.PREFIXi.weight
        Leaf: string
        Params: Params
        /// One behind the other
        Pieces: FormLayers list
        /// What the kernels' sampler calls it, where it is one of a chain with its own time embedding
        Noise: NoiseNetworkShape option
    }

[<RequireQualifiedAccess>]
module FormNetwork =
    /// A network of plain layers.
    let layers (leaf: string) (prefix: string) (shape: MlpShape) (p: Params) : FormNetwork =
        { Leaf = leaf
          Params = p
          Pieces = [ { Prefix = prefix; Shape = shape; Before = Activation.Identity; Skip = false } ]
          Noise = None }

    /// A network of segments, as `Segments.layout` names them.
    let segments (leaf: string) (segments: Segment list) (p: Params) : FormNetwork =
        { Leaf = leaf
          Params = p
          Pieces =
            [ for i, s in List.indexed segments ->
                  { Prefix = Segments.prefix segments i; Shape = s.Shape; Before = s.Before; Skip = s.Skip } ]
          Noise = None }

    /// The parameters of some of its layers, flat.
    let flat (network: FormNetwork) (layers: FormLayers) : Tensor =
        let first = $"{layers.Prefix}0.weight"

        match network.Params.Layout |> List.tryFind (fun s -> s.Name = first) with
        | Some s -> network.Params.Flat.narrow (0L, int64 s.Offset, int64 layers.Shape.ParameterCount)
        | None -> invalidArg (nameof layers) $"the network {network.Leaf} has no parameters called '{first}'"

/// The embedding of a number that a chain's network is told in each step, as data. Its parameters are the network's.
[<NoComparison>]
type FormTime =
    {
        Features: TimeFeatures
        /// The name of trained features' w_j
        Frequencies: string
        /// Behind the features; None: these as they are
        Layers: FormLayers option
        /// The number of each step, in the order of the chain
        At: float[]
    }

/// One step of a chain with network output n and noise z: u = X·x + N·n, then x ← U·u + K·x + S·z.
[<Struct>]
type FormStep =
    {
        /// X
        OfState: float
        /// N
        OfOutput: float
        /// U
        OfEstimate: float
        /// K
        Kept: float
        /// S; 0: no noise
        Spread: float
    }

/// What is done with the last x.
[<RequireQualifiedAccess>]
type FormEnd =
    | Free
    /// To [-1, 1]
    | Clipped
    | Tanh

/// A chain of steps from x = scale·noise: each one's network sees [obs | x | embeddings].
[<NoComparison; NoEquality>]
type FormChain =
    {
        Network: FormNetwork
        Times: FormTime list
        InitialScale: float
        Steps: FormStep[]
        /// u is clipped to [-1, 1]
        ClipsEstimate: bool
        /// x is clipped to [-1, 1] after each step
        ClipsState: bool
        /// z is clipped to ± this
        NoiseClip: float option
        End: FormEnd
    }

[<RequireQualifiedAccess>]
module FormChain =
    /// A reverse step of `Diffusion.step` at timestep t.
    let private step (schedule: Schedule) (kind: ReverseStep) (t: int) : FormStep =
        let posterior deviation =
            { OfState = schedule.SqrtRecipAlphaBars[t]
              OfOutput = -schedule.SqrtRecipM1AlphaBars[t]
              OfEstimate = schedule.PosteriorMeanCoef1[t]
              Kept = schedule.PosteriorMeanCoef2[t]
              Spread = if t > 0 then deviation else 0.0 }

        let beta = schedule.Betas[t]

        match kind with
        | ReverseStep.Posterior -> posterior (Schedule.sigma schedule t)
        | ReverseStep.WideNoise -> posterior (sqrt beta)
        | ReverseStep.ClippedState temperature ->
            let recip = 1.0 / sqrt schedule.Alphas[t]

            { OfState = recip
              OfOutput = -recip * beta / schedule.SqrtOneMinusAlphaBars[t]
              OfEstimate = 1.0
              Kept = 0.0
              Spread = if t > 0 then temperature * sqrt beta else 0.0 }

    /// The reverse chain of `Diffusion.reverseBy`; times: of each step, in its order.
    let reverse
        (kind: ReverseStep)
        (schedule: Schedule)
        (initialScale: float)
        (times: FormTime list)
        (network: FormNetwork)
        : FormChain =
        { Network = network
          Times = times
          InitialScale = initialScale
          Steps = [| for t in schedule.Timesteps - 1 .. -1 .. 0 -> step schedule kind t |]
          ClipsEstimate = not kind.IsClippedState
          ClipsState = kind.IsClippedState
          NoiseClip = None
          End = FormEnd.Clipped }

    /// The same chain with other deviations of its steps, in their order.
    let spread (deviations: float[]) (chain: FormChain) : FormChain =
        { chain with Steps = Array.map2 (fun step s -> { step with Spread = s }) chain.Steps deviations }

    /// The chain of `Diffusion.langevin`.
    let langevin (steps: int) (initialScale: float) (network: FormNetwork) : FormChain =
        let step k =
            let width = 1.0 - float k / float steps

            { OfState = 1.0; OfOutput = 0.5 * width; OfEstimate = 1.0; Kept = 0.0; Spread = sqrt width }

        { Network = network
          Times = []
          InitialScale = initialScale
          Steps = Array.init steps step
          ClipsEstimate = false
          ClipsState = true
          NoiseClip = None
          End = FormEnd.Clipped }

    /// The process of `VarianceExploding.reverse`.
    let exploding
        (p: VarianceExploding)
        (steps: int)
        (spread: float)
        (finish: FormEnd)
        (times: FormTime list)
        (network: FormNetwork)
        : FormChain =
        let width = 1.0 / float steps

        let step i =
            let g = VarianceExploding.diffusion p (1.0 - float i * width)

            { OfState = 1.0
              OfOutput = g * g * width
              OfEstimate = 1.0
              Kept = 0.0
              Spread = spread * g * sqrt width }

        { Network = network
          Times = times
          InitialScale = sqrt (VarianceExploding.variance p 1.0)
          Steps = Array.init steps step
          ClipsEstimate = false
          ClipsState = false
          NoiseClip = None
          End = finish }

    /// A noise network with its own time embedding, at the timesteps T-1 .. 0. leaf: the state's leaf of its parameters.
    let noiseNetwork (leaf: string) (net: NoiseNetwork) (timesteps: int) (p: Params) : FormNetwork * FormTime list =
        let half = net.Shape.TimeDim / 2

        { FormNetwork.layers leaf "layer" net.Shape.Main p with Noise = Some net.Shape },
        [ { Features = TimeFeatures.Waves(half, 1e4, float half, 1.0 / sqrt (float net.Shape.TimeDim))
            Frequencies = ""
            Layers = Some { Prefix = "time"; Shape = net.Shape.Time; Before = Activation.Identity; Skip = false }
            At = [| for t in timesteps - 1 .. -1 .. 0 -> float t |] } ]

    /// An action network told these numbers in the steps of a chain, in their order.
    let actionNetwork (leaf: string) (net: ActionNetwork) (at: float[] list) (p: Params) : FormNetwork * FormTime list =
        let time i (network: TimeNetwork) at =
            { Features = network.Features
              Frequencies = $"time{i}.frequencies"
              Layers =
                network.Layers
                |> Option.map (fun shape ->
                    { Prefix = $"time{i}.layer"; Shape = shape; Before = Activation.Identity; Skip = false })
              At = at }

        FormNetwork.segments leaf net.Segments p, List.mapi2 time net.Times at

    /// The same at the timesteps T-1 .. 0.
    let timed (leaf: string) (net: ActionNetwork) (timesteps: int) (p: Params) : FormNetwork * FormTime list =
        actionNetwork leaf net [ [| for t in timesteps - 1 .. -1 .. 0 -> float t |] ] p
