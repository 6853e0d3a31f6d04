using System;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public sealed partial class Tensor
    {
        /// <summary>
        /// The same values in another element type. A tensor that has the type already is returned as a new object over
        /// the same memory.
        /// </summary>
        public Tensor type(ScalarType dtype) => Ops.to_dtype.Call(this, dtype);

        public Tensor type(Func<Tensor, Tensor> typeFunc) => typeFunc(this);

        public Tensor type_as(Tensor tensor) => Ops.to_other.Call(this, tensor);

        public Tensor @bool() => type(ScalarType.Bool);

        public Tensor @byte() => type(ScalarType.Byte);

        public Tensor @char() => type(ScalarType.Int8);

        public Tensor @int() => type(ScalarType.Int32);

        public Tensor @long() => type(ScalarType.Int64);

        public Tensor @float() => type(ScalarType.Float32);

        public Tensor @double() => type(ScalarType.Float64);

        public Tensor cpu() => To(dtype, torch.CPU);

        /// <summary>The same values elsewhere and in another element type; null keeps what there is.</summary>
        internal Tensor To(ScalarType? type, Device? target)
        {
            if (target is null) return this.type(type ?? dtype);
            return Ops.to_device.Call(this, InitializeDevice(target), type ?? dtype);
        }

        public Tensor copy_(Tensor source, bool nonBlocking = false) => Self(Ops.copy_, source, nonBlocking);

        /// <summary>Makes this tensor another name for the memory, size and strides of the source.</summary>
        public Tensor set_(Tensor source) => Self(Ops.set__source_Tensor, source);

        public Tensor fill_(Scalar value) => Self(Ops.fill__Scalar, value);

        public Tensor zero_() => Self(Ops.zero_);

        public static implicit operator Tensor(byte value) => tensor(value);
        public static implicit operator Tensor(sbyte value) => tensor(value);
        public static implicit operator Tensor(short value) => tensor(value);
        public static implicit operator Tensor(int value) => tensor(value);
        public static implicit operator Tensor(long value) => tensor(value);
        public static implicit operator Tensor(float value) => tensor(value);
        public static implicit operator Tensor(double value) => tensor(value);
        public static implicit operator Tensor(bool value) => tensor(value);
        public static implicit operator Tensor(byte[] value) => tensor(value);
        public static implicit operator Tensor(sbyte[] value) => tensor(value);
        public static implicit operator Tensor(short[] value) => tensor(value);
        public static implicit operator Tensor(int[] value) => tensor(value);
        public static implicit operator Tensor(long[] value) => tensor(value);
        public static implicit operator Tensor(float[] value) => tensor(value);
        public static implicit operator Tensor(double[] value) => tensor(value);
        public static implicit operator Tensor(bool[] value) => tensor(value);
        public static implicit operator Tensor(Scalar scalar) => full([], scalar, scalar.Type);

        public static explicit operator float(Tensor value) => value.ToSingle();
        public static explicit operator double(Tensor value) => value.ToDouble();
        public static explicit operator byte(Tensor value) => value.ToByte();
        public static explicit operator sbyte(Tensor value) => value.ToSByte();
        public static explicit operator short(Tensor value) => value.ToInt16();
        public static explicit operator int(Tensor value) => value.ToInt32();
        public static explicit operator long(Tensor value) => value.ToInt64();
        public static explicit operator bool(Tensor value) => value.ToBoolean();
    }
}
