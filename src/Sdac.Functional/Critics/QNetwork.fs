namespace Sdac.Functional

open System
open Sdac.Kernels
open TorchSharp

/// Q(s, a): [obs | action] -> hidden layers -> 1.
type QNetwork = { Shape: MlpShape; ObsDim: int; ActionDim: int }

[<RequireQualifiedAccess>]
module QNetwork =
    let createWith (obsDim: int) (actionDim: int) (hidden: HiddenLayers) =
        { Shape = HiddenLayers.shape (obsDim + actionDim) hidden 1; ObsDim = obsDim; ActionDim = actionDim }

    /// With mish and no layer norm.
    let create (obsDim: int) (actionDim: int) (hidden: int list) =
        createWith obsDim actionDim (HiddenLayers.mish hidden)

    let initWith (initial: InitialWeights) (compute: Compute) (net: QNetwork) (key: Key) : Params =
        Mlp.parameters compute net.Shape (InitialWeights.draw initial net.Shape key)

    let init: Compute -> QNetwork -> Key -> Params = initWith InitialWeights.LecunUniform

    /// obs: [B, O], action: [B, A] -> [B].
    let forward (compute: Compute) (net: QNetwork) (p: Params) (obs: Tensor) (action: Tensor) : Tensor =
        Mlp.forwardShared compute net.Shape p.Flat obs action |> Tensors.view [ Tensors.size 0 action ]

    let private many (net: QNetwork) (value: Tensor -> Tensor) (obs: Tensor) (actions: Tensor) =
        Tensors.check "actions" [ Tensors.size 0 obs; -1; net.ActionDim ] actions
        let batch, n = Tensors.size 0 actions, Tensors.size 1 actions

        actions |> Tensors.reshape [ batch * n; net.ActionDim ] |> value |> Tensors.view [ batch; n ]

    /// Several actions per state. obs: [B, O], actions: [B, N, A] -> [B, N].
    let forwardMany (compute: Compute) (net: QNetwork) (p: Params) (obs: Tensor) (actions: Tensor) : Tensor =
        many net (Mlp.forwardShared compute net.Shape p.Flat obs) obs actions

    /// The smaller of two critics' values, both in one pass. obs: [B, O], actions: [B, N, A] -> [B, N].
    let least (compute: Compute) (net: QNetwork) (q1: Params) (q2: Params) (obs: Tensor) (actions: Tensor) : Tensor =
        many net (Mlp.forwardLeast compute net.Shape q1.Flat q2.Flat obs) obs actions

    /// Values of several actions per state and each one's gradient with respect to its action. obs: [B, O], actions: [B, N, A]
    /// -> [B, N] and [B, N, A].
    let withSlopes
        (compute: Compute)
        (net: QNetwork)
        (p: Params)
        (obs: Tensor)
        (actions: Tensor)
        : struct (Tensor * Tensor) =
        Tensors.check "actions" [ Tensors.size 0 obs; -1; net.ActionDim ] actions
        let batch, n = Tensors.size 0 actions, Tensors.size 1 actions
        let rows = Tensors.reshape [ batch * n; net.ActionDim ] actions
        let struct (values, slopes) = Mlp.withSlopes compute net.Shape p.Flat obs rows
        struct (Tensors.view [ batch; n ] values, Tensors.view [ batch; n; net.ActionDim ] slopes)

    /// Values [B] and the pullback: dQ [B] -> gradient of the parameters, and of the action [B, A].
    let vjp (compute: Compute) (net: QNetwork) (p: Params) (obs: Tensor) (action: Tensor) : Vjp<Tensor> =
        let inner = Mlp.vjp compute net.Shape p.Flat (Tensors.cat 1 [ obs; action ])
        let batch = Tensors.size 0 action

        let pullback (dq: Tensor) =
            let struct (gradient, dx) = inner.Pullback(Tensors.reshape [ batch; 1 ] dq)
            struct (gradient, dx.narrow (1L, int64 net.ObsDim, int64 net.ActionDim))

        let column = Tensors.reshape [ batch; 1 ]
        let parameters = column >> inner.PullbackParameters

        let action (dq: Tensor) = (inner.PullbackInput(column dq)).narrow(1L, int64 net.ObsDim, int64 net.ActionDim)

        let output = Tensors.view [ batch ] inner.Output
        new Vjp<Tensor>(output, pullback, parameters, action, (inner :> IDisposable).Dispose)
