using System;
using System.Runtime.CompilerServices;
using TorchSharp.Native;
using TorchSharp.Utils;

namespace TorchSharp;

public static partial class torch
{
    public sealed unsafe partial class Tensor
    {
        /// <summary>
        /// The tensor's own memory as raw bytes, valid as long as the tensor lives; setting copies into it.
        /// </summary>
        /// <exception cref="InvalidOperationException">The tensor is not on the CPU or not contiguous.</exception>
        public Span<byte> bytes
        {
            get
            {
                var description = Describe();
                RequireCpu("bytes");
                if (description.IsContiguous == 0)
                    throw new InvalidOperationException(
                        "The bytes of this tensor do not lie side by side: call contiguous() first.");
                return new(DataPointer(), checked((int)(description.NumberOfElements * ElementSize)));
            }
            set
            {
                var own = bytes;
                if (value.Length != own.Length)
                    throw new ArgumentException(
                        $"The tensor holds {own.Length} bytes and was given {value.Length}.", nameof(value));
                value.CopyTo(own);
            }
        }

        /// <summary>Reads and writes single elements of a tensor on the CPU.</summary>
        /// <exception cref="ArgumentException">T is not the tensor's element type.</exception>
        public TensorAccessor<T> data<T>() where T : unmanaged
        {
            RequireElementType<T>();
            RequireCpu("data");
            return new(this);
        }

        /// <summary>The value of a tensor of one element.</summary>
        /// <exception cref="ArgumentException">
        /// T is not the tensor's element type, or there are more elements than one, or none.
        /// </exception>
        public T item<T>() where T : unmanaged
        {
            RequireElementType<T>();
            if (NumberOfElements != 1)
                throw new ArgumentException($"A tensor of {NumberOfElements} elements has no single value.");
            var value = ToScalar();
            if (typeof(T) == typeof(float)) return As<float, T>(value.ToSingle());
            if (typeof(T) == typeof(double)) return As<double, T>(value.ToDouble());
            if (typeof(T) == typeof(long)) return As<long, T>(value.ToInt64());
            if (typeof(T) == typeof(int)) return As<int, T>(value.ToInt32());
            if (typeof(T) == typeof(short)) return As<short, T>(value.ToInt16());
            if (typeof(T) == typeof(byte)) return As<byte, T>(value.ToByte());
            if (typeof(T) == typeof(sbyte)) return As<sbyte, T>(value.ToSByte());
            return As<bool, T>(value.ToBoolean());
        }

        private static TTo As<TFrom, TTo>(TFrom value) => Unsafe.As<TFrom, TTo>(ref value);

        /// <exception cref="System.Runtime.InteropServices.ExternalException">
        /// More elements than one, or none.
        /// </exception>
        public Scalar ToScalar() => Ops.item.Value(this);

        internal void* DataPointer()
        {
            var pointer = Door.sdac_data(Handle);
            GC.KeepAlive(this);
            if (pointer == null && NumberOfElements > 0) throw Door.Error();
            return pointer;
        }

        private void RequireCpu(string what)
        {
            if (device_type != DeviceType.CPU)
                throw new InvalidOperationException(
                    $"{what} reads memory of the CPU; the tensor is on {device}: call cpu() first.");
        }

        private void RequireElementType<T>() where T : unmanaged
        {
            var own = dtype;
            if (ElementTypeOf<T>() != own)
                throw new ArgumentException($"The tensor holds elements of type {own}, not {typeof(T).Name}.");
        }

        internal static ScalarType? ElementTypeOf<T>() where T : unmanaged =>
            typeof(T) == typeof(float) ? ScalarType.Float32
            : typeof(T) == typeof(double) ? ScalarType.Float64
            : typeof(T) == typeof(long) ? ScalarType.Int64
            : typeof(T) == typeof(int) ? ScalarType.Int32
            : typeof(T) == typeof(short) ? ScalarType.Int16
            : typeof(T) == typeof(byte) ? ScalarType.Byte
            : typeof(T) == typeof(sbyte) ? ScalarType.Int8
            : typeof(T) == typeof(bool) ? ScalarType.Bool
            : null;
    }
}
