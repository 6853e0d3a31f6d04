namespace Sdac.Functional

open System
open Sdac.Kernels
open Sdac.LibTorch
open TorchSharp

/// A named part of a flat parameter vector.
type Slice = { Name: string; Offset: int; Shape: int list }

/// The parameters of a network: one flat float32 vector and the names of its parts. Immutable by convention: no
/// function of this library writes into it.
[<NoComparison; ReferenceEquality; StructuredFormatDisplay("{Display}")>]
type Params =
    { Layout: Slice list
      Flat: Tensor }

    /// One line for a session: how many numbers, and the shapes of the parts.
    member params'.Display =
        let shape (slice: Slice) = $"""{slice.Name} {String.Join("x", slice.Shape)}"""
        let parts = params'.Layout |> List.map shape |> String.concat ", "
        $"%d{params'.Layout |> List.sumBy (fun slice -> List.fold (*) 1 slice.Shape)} parameters: {parts}"

[<RequireQualifiedAccess>]
module Params =
    /// The part with the given name, as a view.
    let slice (name: string) (p: Params) : Tensor =
        match p.Layout |> List.tryFind (fun s -> s.Name = name) with
        | Some s -> p.Flat.narrow (0L, int64 s.Offset, int64 (List.fold (*) 1 s.Shape)) |> Tensors.view s.Shape
        | None ->
            let names = p.Layout |> List.map _.Name |> String.concat ", "
            invalidArg (nameof name) $"no parameters are called '{name}'; there are {names}"

    let withFlat (flat: Tensor) (p: Params) = { p with Flat = flat }
    let copy (p: Params) = { p with Flat = p.Flat.clone () }

/// The output of a network together with the pullback that turns a gradient with respect to the output into
/// gradients with respect to the parameters (flat) and the input. Dispose it to free what the pullback kept.
[<Sealed>]
type Vjp<'input>
    (
        output: Tensor,
        pullback: Tensor -> struct (Tensor * 'input),
        parameterPullback: Tensor -> Tensor,
        inputPullback: Tensor -> 'input,
        release: unit -> unit
    ) =
    member _.Output = output
    member _.Pullback(outputGradient: Tensor) = pullback outputGradient
    /// The parameters' gradient alone: the input's is not computed.
    member _.PullbackParameters(outputGradient: Tensor) = parameterPullback outputGradient
    /// The input's gradient alone: the parameters' is not computed.
    member _.PullbackInput(outputGradient: Tensor) = inputPullback outputGradient

    interface IDisposable with
        member _.Dispose() = release ()

/// The hidden layers of a network: their widths, what follows each linear map, and the ε of a layer norm between the two,
/// if there is one (PyTorch's is 1e-5, Flax's 1e-6).
type HiddenLayers = { Widths: int list; Activation: Activation; LayerNorm: float option }

[<RequireQualifiedAccess>]
module HiddenLayers =
    /// The published experiments' layers: mish, no layer norm.
    let mish (widths: int list) = { Widths = widths; Activation = Activation.Mish; LayerNorm = None }

    /// ε as the kernels take it.
    let epsilon (hidden: HiddenLayers) : Nullable<float32> = hidden.LayerNorm |> Option.map float32 |> Option.toNullable

    /// The network inputs -> hidden layers -> outputs, with an activation behind the last layer.
    let shapeTo (output: Activation) (inputs: int) (hidden: HiddenLayers) (outputs: int) : MlpShape =
        let widths = [| inputs; yield! hidden.Widths; outputs |]
        MlpShape(ReadOnlySpan<int> widths, hidden.Activation, output, epsilon hidden)

    /// The same with a linear last layer.
    let shape: int -> HiddenLayers -> int -> MlpShape = shapeTo Activation.Identity
