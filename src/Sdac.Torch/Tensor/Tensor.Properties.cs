using System;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public sealed unsafe partial class Tensor
    {
        private TensorDescription Describe()
        {
            TensorDescription description;
            Door.Check(Door.sdac_describe(Handle, &description));
            GC.KeepAlive(this);
            return description;
        }

        public ScalarType dtype => (ScalarType)Describe().ScalarType;

        public Device device
        {
            get
            {
                var description = Describe();
                return new((DeviceType)description.DeviceType, (int)description.DeviceIndex);
            }
        }

        public DeviceType device_type => (DeviceType)Describe().DeviceType;

        public int device_index => (int)Describe().DeviceIndex;

        public bool is_cpu() => device_type == DeviceType.CPU;

        public bool is_cuda => device_type == DeviceType.CUDA;

        public bool is_meta => device_type == DeviceType.META;

        public long Dimensions => Describe().Rank;

        public long ndim => Dimensions;

        public long dim() => Dimensions;

        public long NumberOfElements => Describe().NumberOfElements;

        public long numel() => NumberOfElements;

        public long ElementSize => SizeOf(dtype);

        internal static long SizeOf(ScalarType type) => type switch
        {
            ScalarType.Byte or ScalarType.Int8 or ScalarType.Bool => 1,
            ScalarType.Int16 or ScalarType.Float16 or ScalarType.BFloat16 => 2,
            ScalarType.Int32 or ScalarType.Float32 => 4,
            ScalarType.Int64 or ScalarType.Float64 or ScalarType.ComplexFloat32 => 8,
            ScalarType.ComplexFloat64 => 16,
            var other => throw new NotSupportedException($"Elements of type {other} have no size here."),
        };

        public long element_size() => ElementSize;

        public bool is_contiguous() => Describe().IsContiguous != 0;

        public bool is_floating_point() => torch.is_floating_point(dtype);

        public bool is_integral() => torch.is_integral(dtype);

        public bool is_complex() => torch.is_complex(dtype);

        public bool is_nonzero() => Ops.is_nonzero.Value(this).AsBool;

        public long[] shape
        {
            get
            {
                var sizes = new long[Dimensions];
                fixed (long* into = sizes) Door.Check(Door.sdac_sizes(Handle, into, null));
                GC.KeepAlive(this);
                return sizes;
            }
        }

        public long[] size() => shape;

        /// <param name="dim">Negative: counted from the end.</param>
        /// <exception cref="System.Runtime.InteropServices.ExternalException">No such dimension.</exception>
        public long size(int dim) => Ops.size_int.Value(this, dim).AsLong;

        public long[] stride()
        {
            var strides = new long[Dimensions];
            fixed (long* into = strides) Door.Check(Door.sdac_sizes(Handle, null, into));
            GC.KeepAlive(this);
            return strides;
        }

        public long stride(int dim) => Ops.stride_int.Value(this, dim).AsLong;

        public long storage_offset()
        {
            var offset = Door.Check(Door.sdac_storage_offset(Handle));
            GC.KeepAlive(this);
            return offset;
        }
    }
}
