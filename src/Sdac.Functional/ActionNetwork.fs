namespace Sdac

open System
open Sdac.Kernels

/// The hidden layers of an action network.
[<RequireQualifiedAccess>]
type ActionLayers =
    /// One after the other.
    | Plain of HiddenLayers
    /// A layer of this width, then so many blocks x + activation(x·W + b), all with one activation.
    | Residual of Width: int * Blocks: int * Activation: Activation

/// A piece of the network: layers, and whether their input is added to what comes out.
type ActionSegment = { Shape: MlpShape; Skip: bool }

/// A network of a state, an action and embedded times that gives as many numbers as the action has: a noise, a score.
/// [obs | action | embeddings] -> layers -> A. Its parameters, flat: the embeddings', then the segments'.
type ActionNetwork = { ObsDim: int; ActionDim: int; Times: TimeNetwork list; Segments: ActionSegment list }

[<RequireQualifiedAccess>]
module ActionNetwork =
    /// times: one embedding for each number that the network is told beside state and action; none: a network of these alone.
    let create (obsDim: int) (actionDim: int) (times: TimeEmbedding list) (layers: ActionLayers) : ActionNetwork =
        let times = times |> List.map TimeNetwork.create
        let inputs = obsDim + actionDim + List.sumBy (fun (n: TimeNetwork) -> n.Width) times

        let segments =
            match layers with
            | ActionLayers.Plain hidden -> [ { Shape = HiddenLayers.shape inputs hidden actionDim; Skip = false } ]
            | ActionLayers.Residual(width, blocks, activation) ->
                let one last inputs outputs = HiddenLayers.shapeTo last inputs (HiddenLayers.mish []) outputs

                [ { Shape = one activation inputs width; Skip = false }
                  for _ in 1..blocks do
                      { Shape = one activation width width; Skip = true }
                  { Shape = one Activation.Identity width actionDim; Skip = false } ]

        { ObsDim = obsDim; ActionDim = actionDim; Times = times; Segments = segments }

    let private counts (n: ActionNetwork) =
        (n.Times |> List.map _.ParameterCount) @ (n.Segments |> List.map _.Shape.ParameterCount)

    /// Initial values, all layers as `initial` says.
    let initWith (initial: InitialWeights) (compute: Compute) (n: ActionNetwork) (key: Key) : Params =
        let offsets = counts n |> List.scan (+) 0
        let times = n.Times.Length

        let layout =
            [ for i, time in List.indexed n.Times do
                  yield! TimeNetwork.layout $"time{i}" offsets[i] time
              for i, segment in List.indexed n.Segments do
                  // One segment's layers are called as those of any other network.
                  let prefix = if n.Segments.Length = 1 then "layer" else $"segment{i}.layer"
                  yield! Mlp.layout prefix offsets[times + i] segment.Shape ]

        let values =
            [ for i, time in List.indexed n.Times do
                  TimeNetwork.init initial time (Key.foldIn (int64 i) key)
              for i, segment in List.indexed n.Segments do
                  Mlp.initWith initial segment.Shape (Key.foldIn (int64 (times + i)) key) ]
            |> Array.concat

        { Layout = layout; Flat = Tensors.ofArray compute [ values.Length ] values }

    let private parts (n: ActionNetwork) (p: Params) =
        let offsets = counts n |> List.scan (+) 0

        let part at (count: int) = p.Flat.narrow (0L, int64 offsets[at], int64 count)
        let all = counts n |> List.mapi part
        List.splitAt n.Times.Length all

    let private checkTimes (n: ActionNetwork) (times: float[] list) =
        if times.Length <> n.Times.Length then
            invalidArg (nameof times) $"{times.Length} times were given to a network that takes {n.Times.Length}"

    let private through (compute: Compute) (segments: ActionSegment list) (flats: Tensor list) (first: Tensor) =
        List.fold2
            (fun (x: Tensor) segment flat ->
                let y = Mlp.forward compute segment.Shape flat x
                if segment.Skip then x.add y else y)
            first
            segments
            flats

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

        through compute n.Segments flats (Tensors.cat 1 (obs :: action :: embedded))

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
            |> through compute n.Segments.Tail flats.Tail

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

        let folder (x: Tensor, passed) (segment, flat) =
            let pass = Mlp.vjp compute segment.Shape flat x
            let y = if segment.Skip then x.add pass.Output else pass.Output
            y, struct (segment, pass) :: passed

        let output, passed = List.fold folder (input, []) (List.zip n.Segments flats)

        // From the last segment to the first.
        let pullback (d: Tensor) =
            let back (d: Tensor, gradients) (struct (segment: ActionSegment, pass: Vjp<Tensor>)) =
                let struct (gradient, dx) = pass.Pullback d
                (if segment.Skip then d.add dx else dx), gradient :: gradients

            let dInput, gradients = List.fold back (d, []) passed
            let dAction = dInput.narrow (1L, int64 n.ObsDim, int64 n.ActionDim)
            let starts = n.Times |> List.scan (fun at time -> at + time.Width) (n.ObsDim + n.ActionDim)

            let timeGradients =
                List.map3
                    (fun start (time: TimeNetwork) (struct (_, back: Tensor -> Tensor, _)) ->
                        back (dInput.narrow(1L, int64 start, int64 time.Width).contiguous()))
                    (List.take n.Times.Length starts)
                    n.Times
                    embedded

            struct (Tensors.cat 0 (timeGradients @ gradients), dAction)

        let parameters d =
            let struct (gradient, _) = pullback d
            gradient

        let toAction (d: Tensor) =
            let back (d: Tensor) (struct (segment: ActionSegment, pass: Vjp<Tensor>)) =
                let dx = pass.PullbackInput d
                if segment.Skip then d.add dx else dx

            (List.fold back d passed).narrow(1L, int64 n.ObsDim, int64 n.ActionDim)

        let release () =
            for struct (_, pass) in passed do
                (pass :> IDisposable).Dispose()

            for struct (_, _, held) in embedded do
                held.Dispose()

        new Vjp<Tensor>(output, pullback, parameters, toAction, release)
