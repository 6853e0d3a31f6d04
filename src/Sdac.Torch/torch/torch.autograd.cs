using System;
using System.Collections.Generic;
using System.Linq;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public static unsafe class autograd
    {
        /// <summary>
        /// The gradients of the summed outputs with respect to each input, without touching any tensor.
        /// </summary>
        /// <param name="outputs">What is differentiated; tensors of more than one element need grad_outputs.</param>
        /// <param name="inputs">With respect to what.</param>
        /// <param name="grad_outputs">The vector in the vector-Jacobian product, one per output.</param>
        /// <param name="retain_graph">Keep the graph for another differentiation.</param>
        /// <param name="create_graph">
        /// Record the differentiation itself, for higher derivatives; these need the retained graph too.
        /// </param>
        /// <param name="allow_unused">
        /// Accept inputs that no output depends on; their place in the result is null.
        /// </param>
        /// <exception cref="System.Runtime.InteropServices.ExternalException">As libtorch words it.</exception>
        public static IList<Tensor> grad(IList<Tensor> outputs, IList<Tensor> inputs,
            IList<Tensor>? grad_outputs = null, bool retain_graph = false, bool create_graph = false,
            bool allow_unused = false)
        {
            var gradients = new long[inputs.Count];
            fixed (long* o = Handles(outputs), i = Handles(inputs), g = Handles(grad_outputs), into = gradients)
            {
                Door.Check(Door.sdac_grad(o, outputs.Count, i, inputs.Count, g, grad_outputs?.Count ?? 0,
                    retain_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, into));
            }
            KeepAlive(outputs, inputs, grad_outputs);
            return gradients.Select(handle => handle == 0 ? null! : Tensor.Own((nint)handle)).ToArray();
        }

        /// <summary>Accumulates gradients in the leaves (or in <paramref name="inputs"/> alone).</summary>
        /// <exception cref="System.Runtime.InteropServices.ExternalException">As libtorch words it.</exception>
        public static void backward(IList<Tensor> tensors, IList<Tensor>? grad_tensors = null,
            bool? retain_graph = null, bool create_graph = false, IList<Tensor>? inputs = null)
        {
            fixed (long* t = Handles(tensors), g = Handles(grad_tensors), i = Handles(inputs))
            {
                Door.Check(Door.sdac_backward(t, tensors.Count, g, grad_tensors?.Count ?? 0, i, inputs?.Count ?? 0,
                    retain_graph ?? create_graph ? 1 : 0, create_graph ? 1 : 0));
            }
            KeepAlive(tensors, grad_tensors, inputs);
        }

        public static void backward(Tensor tensor, IList<Tensor>? grad_tensors = null, bool? retain_graph = null,
            bool create_graph = false, IList<Tensor>? inputs = null) =>
            backward([tensor], grad_tensors, retain_graph, create_graph, inputs);

        public static void backward(Tensor tensor, Tensor grad_tensor, bool? retain_graph = null,
            bool create_graph = false, IList<Tensor>? inputs = null) =>
            backward([tensor], [grad_tensor], retain_graph, create_graph, inputs);

        private static long[] Handles(IList<Tensor>? tensors)
        {
            if (tensors is null) return [];
            var handles = new long[tensors.Count];
            for (var i = 0; i < handles.Length; i++) handles[i] = tensors[i].Handle;
            return handles;
        }

        private static void KeepAlive(params IList<Tensor>?[] lists)
        {
            foreach (var list in lists)
                if (list is not null)
                    foreach (var tensor in list) GC.KeepAlive(tensor);
        }
    }
}
