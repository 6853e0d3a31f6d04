using System;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public sealed partial class Tensor
    {
        /// <summary>Whether operators on this tensor are recorded for differentiation.</summary>
        /// <exception cref="System.Runtime.InteropServices.ExternalException">
        /// Set on a tensor of integers, or cleared on one that is itself a result of recorded operators.
        /// </exception>
        public bool requires_grad
        {
            get
            {
                var value = Door.Check(Door.sdac_requires_grad(Handle)) != 0;
                GC.KeepAlive(this);
                return value;
            }
            set
            {
                Door.Check(Door.sdac_set_requires_grad(Handle, value ? 1 : 0));
                GC.KeepAlive(this);
            }
        }

        public Tensor requires_grad_(bool requires_grad = true)
        {
            this.requires_grad = requires_grad;
            return this;
        }

        public Tensor with_requires_grad(bool requires_grad = true) => requires_grad_(requires_grad);

        public bool is_leaf
        {
            get
            {
                var value = Door.Check(Door.sdac_is_leaf(Handle)) != 0;
                GC.KeepAlive(this);
                return value;
            }
        }

        public void retain_grad()
        {
            Door.Check(Door.sdac_retain_grad(Handle));
            GC.KeepAlive(this);
        }

        public void backward() => autograd.backward(this);

        /// <summary>The same values, cut from the graph: a view, not a copy.</summary>
        public Tensor detach() => Ops.detach.Call(this);

        public Tensor detach_()
        {
            Ops.detach_.Run(this);
            return this;
        }
    }
}
