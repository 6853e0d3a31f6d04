namespace Sdac.Functional

open System
open Sdac.Kernels

/// The hidden layers of an action network.
[<RequireQualifiedAccess>]
type ActionLayers =
    /// One after the other.
    | Plain of HiddenLayers
    /// A layer of this width, then so many blocks x + activation(x·W + b), all with one activation.
    | Residual of Width: int * Blocks: int * Activation: Activation
    /// A linear map to this width, then so many blocks of two layers with the activations before them (`Segments.preActivated`).
    | PreActivated of Width: int * Blocks: int * Activation: Activation

/// A network of a state, an action and embedded times that gives as many numbers as the action has: a noise, a score.
/// [obs | action | embeddings] -> layers -> A. Its parameters, flat: the embeddings', then the segments'.
type ActionNetwork = { ObsDim: int; ActionDim: int; Times: TimeNetwork list; Segments: Segment list }

[<RequireQualifiedAccess>]
module ActionNetwork =
    /// times: one embedding for each number that the network is told beside state and action; none: a network of these alone.
    let create (obsDim: int) (actionDim: int) (times: TimeEmbedding list) (layers: ActionLayers) : ActionNetwork =
        let times = times |> List.map TimeNetwork.create
        let inputs = obsDim + actionDim + List.sumBy (fun (n: TimeNetwork) -> n.Width) times
        let segment shape skip = { Shape = shape; Before = Activation.Identity; Skip = skip }

        let segments =
            match layers with
            | ActionLayers.Plain hidden -> [ segment (HiddenLayers.shape inputs hidden actionDim) false ]
            | ActionLayers.Residual(width, blocks, activation) ->
                let one last inputs outputs = HiddenLayers.shapeTo last inputs (HiddenLayers.mish []) outputs

                [ segment (one activation inputs width) false
                  for _ in 1..blocks do
                      segment (one activation width width) true
                  segment (one Activation.Identity width actionDim) false ]
            | ActionLayers.PreActivated(width, blocks, activation) ->
                Segments.preActivated inputs width blocks activation actionDim

        { ObsDim = obsDim; ActionDim = actionDim; Times = times; Segments = segments }

    let private timeOffsets (n: ActionNetwork) = n.Times |> List.scan (fun at time -> at + time.ParameterCount) 0

    /// Initial values, all layers as `initial` says.
    let initWith (initial: InitialWeights) (compute: Compute) (n: ActionNetwork) (key: Key) : Params =
        let offsets, times = timeOffsets n, n.Times.Length

        let layout =
            [ for i, time in List.indexed n.Times do
                  yield! TimeNetwork.layout $"time{i}" offsets[i] time
              yield! Segments.layout offsets[times] n.Segments ]

        let values =
            [ for i, time in List.indexed n.Times do
                  TimeNetwork.init initial time (Key.foldIn (int64 i) key)
              Segments.init initial n.Segments (fun i -> Key.foldIn (int64 (times + i)) key) ]
            |> Array.concat

        { Layout = layout; Flat = Tensors.ofArray compute [ values.Length ] values }

    /// The embeddings' parameters and the segments'.
    let private parts (n: ActionNetwork) (p: Params) =
        let offsets = timeOffsets n
        let part at (time: TimeNetwork) = p.Flat.narrow (0L, int64 offsets[at], int64 time.ParameterCount)
        List.mapi part n.Times, Segments.split offsets[n.Times.Length] n.Segments p.Flat

    let private checkTimes (n: ActionNetwork) (times: float[] list) =
        if times.Length <> n.Times.Length then
            invalidArg (nameof times) $"{times.Length} times were given to a network that takes {n.Times.Length}"

    /// obs: [B, O], action: [B, A], each of the times: B numbers -> [B, A].
    let forward
        (compute: Compute)
        (n: ActionNetwork)
        (p: Params)
        (obs: Tensor)
        (action: Tensor)
        (times: float[] list)
        : Tensor =
        checkTimes n times
        let timeFlats, flats = parts n p

        let embedded =
            List.map3 (fun time flat x -> TimeNetwork.forward compute time flat x) n.Times timeFlats times

        Segments.through compute n.Segments flats (Tensors.cat 1 (obs :: action :: embedded))

    /// The same at few points of time that all rows share, as along a reverse chain: what depends on the point alone is computed
    /// once, here. obs: [B, O]; times: one number per point for each embedding; the result maps a point's index and actions
    /// [B·P, A], P in a row for each state, to [B·P, A].
    let along
        (compute: Compute)
        (n: ActionNetwork)
        (p: Params)
        (obs: Tensor)
        (times: float[] list)
        : int -> Tensor -> Tensor =
        checkTimes n times
        let timeFlats, flats = parts n p

        let embedded =
            List.map3 (fun time flat x -> TimeNetwork.forward compute time flat x) n.Times timeFlats times

        let first = n.Segments.Head

        fun point action ->
            let rows = Tensors.size 0 action
            let row (e: Tensor) = e.narrow(0L, int64 point, 1L).expand(int64 rows, -1L)
            let own = Tensors.cat 1 (action :: List.map row embedded)

            Mlp.forwardShared compute first.Shape flats.Head obs own
            |> Segments.through compute n.Segments.Tail flats.Tail

    /// The output and the pullback: d [B, A] -> gradient of the parameters, and of the action [B, A].
    let vjp
        (compute: Compute)
        (n: ActionNetwork)
        (p: Params)
        (obs: Tensor)
        (action: Tensor)
        (times: float[] list)
        : Vjp<Tensor> =
        checkTimes n times
        let timeFlats, flats = parts n p

        let embedded =
            List.map3 (fun time flat x -> TimeNetwork.vjp compute time flat x) n.Times timeFlats times

        let outputs = embedded |> List.map (fun struct (output, _, _) -> output)
        let input = Tensors.cat 1 (obs :: action :: outputs)

        let inner = Segments.vjp compute n.Segments flats input

        let pullback (d: Tensor) =
            let struct (gradient, dInput) = inner.Pullback d
            let dAction = dInput.narrow (1L, int64 n.ObsDim, int64 n.ActionDim)
            let starts = n.Times |> List.scan (fun at time -> at + time.Width) (n.ObsDim + n.ActionDim)

            let timeGradients =
                List.map3
                    (fun start (time: TimeNetwork) (struct (_, back: Tensor -> Tensor, _)) ->
                        back (dInput.narrow(1L, int64 start, int64 time.Width).contiguous()))
                    (List.take n.Times.Length starts)
                    n.Times
                    embedded

            struct (Tensors.cat 0 (timeGradients @ [ gradient ]), dAction)

        let parameters d =
            let struct (gradient, _) = pullback d
            gradient

        let toAction (d: Tensor) = (inner.PullbackInput d).narrow(1L, int64 n.ObsDim, int64 n.ActionDim)

        let release () =
            (inner :> IDisposable).Dispose()

            for struct (_, _, held) in embedded do
                held.Dispose()

        new Vjp<Tensor>(inner.Output, pullback, parameters, toAction, release)
