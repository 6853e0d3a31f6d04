using System;
using System.Collections.Generic;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>One place in an index: a number, a slice, a tensor, a truth value, "..." or a new dimension.</summary>
    public readonly struct TensorIndex
    {
        private enum Kind
        {
            None,
            Single,
            Slice,
            Ellipsis,
            Bool,
            Tensor,
        }

        private readonly Kind kind;
        private readonly long? start;
        private readonly long? stop;
        private readonly long? step;
        private readonly Tensor? tensor;

        private TensorIndex(Kind kind, long? start = null, long? stop = null, long? step = null, Tensor? tensor = null)
        {
            this.kind = kind;
            this.start = start;
            this.stop = stop;
            this.step = step;
            this.tensor = tensor;
        }

        /// <summary>As many whole dimensions as there are places left.</summary>
        public static readonly TensorIndex Ellipsis = new(Kind.Ellipsis);

        /// <summary>A new dimension of size 1.</summary>
        public static readonly TensorIndex None = new(Kind.None);

        public static readonly TensorIndex Null = new(Kind.None);

        /// <summary>A whole dimension.</summary>
        public static readonly TensorIndex Colon = new(Kind.Slice);

        public static TensorIndex Single(long? index) => index is { } i ? new(Kind.Single, i) : None;

        public static TensorIndex Bool(bool value) => new(Kind.Bool, value ? 1 : 0);

        public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null) =>
            new(Kind.Slice, start, stop, step);

        public static TensorIndex Slice((int? start, int? end) range) => new(Kind.Slice, range.start, range.end);

        public static TensorIndex Slice(Range range) => new(Kind.Slice, From(range.Start), From(range.End));

        public static TensorIndex Tensor(Tensor tensor) => new(Kind.Tensor, tensor: tensor);

        public static implicit operator TensorIndex(long value) => Single(value);

        public static implicit operator TensorIndex((int? start, int? end) range) => Slice(range);

        public static implicit operator TensorIndex(Range range) => Slice(range);

        // "^0" is the end itself, which libtorch writes by leaving it out.
        private static long? From(Index index) =>
            !index.IsFromEnd ? index.Value : index.Value == 0 ? null : -index.Value;

        /// <summary>
        /// Follows an index: the views at once (numbers, slices, new dimensions), tensors noted for later.
        /// </summary>
        /// <returns>
        /// A new view, and what selects in its dimensions, null for "all of it"; no list when no tensor selects.
        /// </returns>
        /// <exception cref="IndexOutOfRangeException">More indices than dimensions.</exception>
        internal static (Tensor View, Tensor?[]? Selectors) Follow(Tensor self, ReadOnlySpan<TensorIndex> indices)
        {
            var rank = (int)self.Dimensions;
            var taken = 0;
            foreach (var index in indices) taken += index.DimensionsTaken;
            if (taken > rank)
                throw new IndexOutOfRangeException($"{taken} indices are too many for a tensor of dimension {rank}.");

            var view = self.alias();
            var dim = 0;
            var selectors = new List<Tensor?>();
            var selecting = false;
            foreach (var index in indices)
            {
                var before = view;
                view = index.View(before, dim);
                if (!ReferenceEquals(before, view)) before.Dispose();
                var selector = index.Selector(self);
                selecting |= selector is not null;
                var passed = index.kind == Kind.Ellipsis ? rank - taken : index.DimensionsPassed;
                // A mask is one selector, however many dimensions it speaks for.
                if (selector is not null) selectors.Add(selector);
                else selectors.AddRange(new Tensor?[passed]);
                dim += passed;
            }
            return (view, selecting ? selectors.ToArray() : null);
        }

        private Tensor View(Tensor before, int dim) => kind switch
        {
            Kind.None or Kind.Bool => before.unsqueeze(dim),
            Kind.Single => before.select(dim, start!.Value),
            Kind.Slice => Ops.slice_Tensor.Call(before, dim, start, stop, step ?? 1),
            _ => before,
        };

        private Tensor? Selector(Tensor self) => kind switch
        {
            Kind.Tensor => tensor,
            Kind.Bool => torch.tensor(new[] { start == 1 }, device: self.device),
            _ => null,
        };

        /// <summary>How many dimensions of the indexed tensor this place speaks for.</summary>
        private int DimensionsTaken => kind switch
        {
            Kind.Single or Kind.Slice => 1,
            Kind.Tensor when tensor!.dtype is ScalarType.Bool or ScalarType.Byte => (int)tensor.Dimensions,
            Kind.Tensor => 1,
            _ => 0,
        };

        /// <summary>How many dimensions of the view lie behind once this place is followed.</summary>
        private int DimensionsPassed => kind switch
        {
            Kind.Single => 0,
            Kind.None or Kind.Bool => 1,
            _ => DimensionsTaken,
        };
    }
}
