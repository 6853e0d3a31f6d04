using System;
using System.Runtime.CompilerServices;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public sealed partial class Tensor
    {
        /// <summary>What the indices name: a view where no tensor is among them, a copy else.</summary>
        /// <exception cref="IndexOutOfRangeException">More indices than dimensions.</exception>
        /// <exception cref="System.Runtime.InteropServices.ExternalException">
        /// An index out of range, in libtorch's words.
        /// </exception>
        [IndexerName("TensorItems")]
        public Tensor this[params TensorIndex[] indices]
        {
            get => index(indices);
            set => index_put_(value, indices);
        }

        [IndexerName("TensorItems")]
        public Tensor this[params Tensor[] indices]
        {
            get => index(indices);
            set => index_put_(value, indices);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1]
        {
            get => select(0, i1);
            set => Put(value, [i1]);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2]
        {
            get => Pick([i1, i2]);
            set => Put(value, [i1, i2]);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3]
        {
            get => Pick([i1, i2, i3]);
            set => Put(value, [i1, i2, i3]);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4]
        {
            get => Pick([i1, i2, i3, i4]);
            set => Put(value, [i1, i2, i3, i4]);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4, long i5]
        {
            get => Pick([i1, i2, i3, i4, i5]);
            set => Put(value, [i1, i2, i3, i4, i5]);
        }

        [IndexerName("TensorItems")]
        public Tensor this[long i1, long i2, long i3, long i4, long i5, long i6]
        {
            get => Pick([i1, i2, i3, i4, i5, i6]);
            set => Put(value, [i1, i2, i3, i4, i5, i6]);
        }

        public Tensor index(params TensorIndex[] indices) => Pick(indices);

        private Tensor Pick(ReadOnlySpan<TensorIndex> indices)
        {
            var (view, selectors) = TensorIndex.Follow(this, indices);
            if (selectors is null) return view;
            using (view) return Ops.index_Tensor.Call(view, Arg.Optional(selectors));
        }

        public Tensor index(params Tensor[] indices) => Ops.index_Tensor.Call(this, Arg.Optional(indices));

        /// <summary>Writes a value, broadcast, into what the indices name, and returns this tensor.</summary>
        public Tensor index_put_(Tensor value, params TensorIndex[] indices) => Put(value, indices);

        public Tensor index_put_(Tensor value, params Tensor[] indices) =>
            Self(Ops.index_put_, Arg.Optional(indices), value);

        public Tensor index_put_(Scalar value, params TensorIndex[] indices)
        {
            using var filler = full([], value, dtype, device);
            return Put(filler, indices);
        }

        public Tensor index_put_(Scalar value, params Tensor[] indices)
        {
            using var filler = full([], value, dtype, device);
            return index_put_(filler, indices);
        }

        private Tensor Put(Tensor value, ReadOnlySpan<TensorIndex> indices)
        {
            var (view, selectors) = TensorIndex.Follow(this, indices);
            using (view)
            {
                if (selectors is null) view.copy_(value);
                else Ops.index_put_.Run(view, Arg.Optional(selectors), value);
            }
            return this;
        }
    }
}
