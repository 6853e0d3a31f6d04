using System;
using System.Collections.Generic;
using System.Linq;
using TorchSharp;
using static TorchSharp.torch;

namespace Sdac.LibTorch;

/// <summary>
/// Reverse-mode gradients. TorchSharp's <c>autograd.grad</c> ends the process where libtorch refuses; what it would
/// refuse is looked at first.
/// </summary>
public static class Gradient
{
    /// <summary>
    /// Gradients of <paramref name="output"/> with respect to each input, each of its input's shape.
    /// </summary>
    /// <param name="what">What was computed, for the message: "the energy".</param>
    /// <param name="output">One number, or any shape with a gradient of that shape.</param>
    /// <param name="inputs">Leaves that require a gradient.</param>
    /// <param name="outputGradient">The gradient with respect to the output; none for one number.</param>
    /// <param name="retainGraph">Keeps the graph for another call.</param>
    /// <exception cref="ArgumentException">
    /// The output does not depend on an input, is not one number, or the gradient has another shape.
    /// </exception>
    public static Tensor[] Of(
        string what, Tensor output, IReadOnlyList<Tensor> inputs, Tensor? outputGradient = null, bool retainGraph = false)
    {
        if (!output.requires_grad)
            throw Independent(what, nameof(output));
        if (outputGradient is null && output.numel() != 1)
            throw new ArgumentException($"{what} has shape [{Shape(output)}], but a gradient needs one number: sum it", nameof(output));
        if (outputGradient is not null && !outputGradient.shape.SequenceEqual(output.shape))
            throw new ArgumentException(
                $"the gradient with respect to {what} has shape [{Shape(outputGradient)}], but it must be [{Shape(output)}]",
                nameof(outputGradient));
        if (inputs.Any(input => !input.requires_grad))
            throw new ArgumentException($"an input of {what} does not require a gradient: call requires_grad_() first", nameof(inputs));
        var found = autograd.grad(
            [output], inputs.ToArray(), outputGradient is null ? null : [outputGradient],
            retain_graph: retainGraph, allow_unused: true).ToArray();
        if (found.Any(gradient => gradient.IsInvalid))
            throw Independent(what, nameof(output));
        return found;
    }

    private static ArgumentException Independent(string what, string parameter) =>
        new($"{what} does not depend on its argument, so it has no gradient: compute it from the tensor that is passed in, by torch operations", parameter);

    private static string Shape(Tensor t) => string.Join(", ", t.shape);
}
