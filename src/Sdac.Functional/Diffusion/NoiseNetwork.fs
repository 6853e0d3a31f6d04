namespace Sdac.Functional

open System
open Sdac.Kernels
open TorchSharp

/// The noise network ε_θ(s, a_t, t): a time network turns the sinusoidal encoding of t into 16 features (16 -> 32 ->
/// mish -> 16); [obs | a_t | time features] -> hidden layers (mish) -> action-sized noise. The activation of both can be
/// another, and the second one's hidden layers can have a layer norm.
type NoiseNetwork = { Shape: NoiseNetworkShape }

[<RequireQualifiedAccess>]
module NoiseNetwork =
    let createWith (obsDim: int) (actionDim: int) (timeDim: int) (timeHidden: int) (hidden: HiddenLayers) =
        let widths = List.toArray hidden.Widths
        let epsilon = HiddenLayers.epsilon hidden

        { Shape =
            NoiseNetworkShape(
                obsDim,
                actionDim,
                timeDim,
                timeHidden,
                ReadOnlySpan<int> widths,
                hidden.Activation,
                epsilon
            ) }

    /// With mish and no layer norm.
    let create (obsDim: int) (actionDim: int) (timeDim: int) (timeHidden: int) (hidden: int list) =
        createWith obsDim actionDim timeDim timeHidden (HiddenLayers.mish hidden)

    let initWith (initial: InitialWeights) (compute: Compute) (net: NoiseNetwork) (key: Key) : Params =
        let struct (timeKey, mainKey) = Key.split key

        let values =
            Array.append
                (InitialWeights.draw initial net.Shape.Time timeKey)
                (InitialWeights.draw initial net.Shape.Main mainKey)

        { Layout = Mlp.layout "time" 0 net.Shape.Time @ Mlp.layout "layer" net.Shape.Time.ParameterCount net.Shape.Main
          Flat = Tensors.ofArray compute [ net.Shape.ParameterCount ] values }

    let init: Compute -> NoiseNetwork -> Key -> Params = initWith InitialWeights.LecunUniform

    /// `init` with the first layer's weights of obs and a_t multiplied by a factor. Above 1, the untrained network already bends
    /// within a short stretch of its input, and detail of that size is learnt in far fewer updates.
    let initSharper (compute: Compute) (net: NoiseNetwork) (factor: float) (key: Key) : Params =
        let p = init compute net key
        let inputs = int64 (net.Shape.ObsDim + net.Shape.ActionDim)
        let first = (Params.slice "layer0.weight" p).narrow(0L, 0L, inputs)
        first.mul_ (Scalars.ofFloat factor) |> ignore
        p

    let private parts (net: NoiseNetwork) (p: Params) =
        let timeCount, mainCount = int64 net.Shape.Time.ParameterCount, int64 net.Shape.Main.ParameterCount
        struct (p.Flat.narrow (0L, 0L, timeCount), p.Flat.narrow (0L, timeCount, mainCount))

    /// Sinusoidal features of timesteps: [n] -> [n, timeDim]; (1/√dim)·[sin(t·f_i) | cos(t·f_i)], f_i = 10000^(-2i/dim).
    let encodeTime (compute: Compute) (timeDim: int) (t: int[]) : Tensor =
        let encoded = Tensors.empty [ t.Length; timeDim ]
        TimeEncoding.Encode(ReadOnlySpan<float32>(Array.map float32 t), timeDim, Tensors.span encoded)
        Tensors.place compute encoded

    let private input (obs: Tensor) (noisy: Tensor) (time: Tensor) = Tensors.cat 1 [ obs; noisy; time ]

    /// obs: [B, O], noisy action a_t: [B, A], t: [B] -> predicted noise [B, A].
    let forward (compute: Compute) (net: NoiseNetwork) (p: Params) (obs: Tensor) (noisy: Tensor) (t: int[]) : Tensor =
        let struct (timeFlat, mainFlat) = parts net p

        let time = Mlp.forward compute net.Shape.Time timeFlat (encodeTime compute net.Shape.Time.InputWidth t)

        Mlp.forward compute net.Shape.Main mainFlat (input obs noisy time)

    /// Predictions along a reverse chain in libtorch: what depends on the state alone and on t alone is computed once, here.
    /// obs: [B, O]; the result maps t and noisy actions [B·P, A], P in a row for each state, to predicted noise [B·P, A].
    let along
        (compute: Compute)
        (net: NoiseNetwork)
        (p: Params)
        (timesteps: int)
        (obs: Tensor)
        : int -> Tensor -> Tensor =
        let struct (timeFlat, mainFlat) = parts net p
        let encoded = encodeTime compute net.Shape.Time.InputWidth [| 0 .. timesteps - 1 |]
        let time = Mlp.forward compute net.Shape.Time timeFlat encoded
        Mlp.passes net.Shape.Main mainFlat obs net.Shape.ActionDim time

    /// The same by our kernels, where `compute` has them.
    let alongShared
        (compute: Compute)
        (net: NoiseNetwork)
        (p: Params)
        (timesteps: int)
        (obs: Tensor)
        : int -> Tensor -> Tensor =
        if not compute.Kernels then
            along compute net p timesteps obs
        else
            let struct (timeFlat, mainFlat) = parts net p
            let encoded = encodeTime compute net.Shape.Time.InputWidth [| 0 .. timesteps - 1 |]
            let time = Mlp.forward compute net.Shape.Time timeFlat encoded

            fun t noisy ->
                let row = time.narrow(0L, int64 t, 1L).expand(noisy.size 0, -1L)
                Mlp.forwardShared compute net.Shape.Main mainFlat obs (Tensors.cat 1 [ noisy; row ])

    /// Predicted noise and the pullback: dε [B, A] -> gradient of the parameters, and of a_t [B, A].
    let vjp (compute: Compute) (net: NoiseNetwork) (p: Params) (obs: Tensor) (noisy: Tensor) (t: int[]) : Vjp<Tensor> =
        let struct (timeFlat, mainFlat) = parts net p

        let time = Mlp.vjp compute net.Shape.Time timeFlat (encodeTime compute net.Shape.Time.InputWidth t)

        let main = Mlp.vjp compute net.Shape.Main mainFlat (input obs noisy time.Output)
        let obsDim, actionDim = int64 net.Shape.ObsDim, int64 net.Shape.ActionDim

        let pullback (noiseGradient: Tensor) =
            let struct (mainGradient, dInput) = main.Pullback noiseGradient
            let dNoisy = dInput.narrow (1L, obsDim, actionDim)
            let dTime = dInput.narrow (1L, obsDim + actionDim, int64 net.Shape.Time.OutputWidth)
            let struct (timeGradient, _) = time.Pullback(dTime.contiguous ())
            struct (Tensors.cat 0 [ timeGradient; mainGradient ], dNoisy)

        let release () =
            (main :> IDisposable).Dispose()
            (time :> IDisposable).Dispose()

        // The time network's gradient comes through the main one's input: nothing can be left out.
        let parameters (noiseGradient: Tensor) =
            let struct (gradient, _) = pullback noiseGradient
            gradient

        let noisy (noiseGradient: Tensor) = (main.PullbackInput noiseGradient).narrow(1L, obsDim, actionDim)

        new Vjp<Tensor>(main.Output, pullback, parameters, noisy, release)
