using System;
using System.Runtime.CompilerServices;

namespace Sdac.Kernels.Simd;

/// <summary>One lane: the readable form of every kernel, and what the vector paths are compared with.</summary>
internal unsafe struct SimdScalar : ISimd<float>
{
    public static int Width => 1;

    public static int TileRows => 6;

    public static int StripRows => 4;

    public static float Load(float* source) => *source;

    public static void Store(float* destination, float value) => *destination = value;

    public static float Splat(float value) => value;

    public static float SplatBits(int bits) => Float(bits);

    public static float Add(float a, float b) => a + b;

    public static float Sub(float a, float b) => a - b;

    public static float Mul(float a, float b) => a * b;

    public static float Div(float a, float b) => a / b;

    public static float Sqrt(float a) => MathF.Sqrt(a);

    public static float Fma(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    public static float Min(float a, float b) => a < b ? a : b;

    public static float Max(float a, float b) => a > b ? a : b;

    public static float And(float a, float b) => Float(Bits(a) & Bits(b));

    public static float Or(float a, float b) => Float(Bits(a) | Bits(b));

    public static float Xor(float a, float b) => Float(Bits(a) ^ Bits(b));

    public static float AndNot(float a, float mask) => Float(Bits(a) & ~Bits(mask));

    public static float AddBits(float a, float b) => Float(Bits(a) + Bits(b));

    public static float SubBits(float a, float b) => Float(Bits(a) - Bits(b));

    public static float ShiftLeft(float a, int count) => Float(Bits(a) << count);

    public static float ShiftRight(float a, int count) => Float(Bits(a) >> count);

    public static float ShiftRightUnsigned(float a, int count) => Float(Bits(a) >>> count);

    public static float Greater(float a, float b) => Float(a > b ? -1 : 0);

    public static float IntToFloat(float a) => Bits(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Bits(float value) => BitConverter.SingleToInt32Bits(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Float(int bits) => BitConverter.Int32BitsToSingle(bits);
}
