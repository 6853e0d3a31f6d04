using System;
using System.Runtime.CompilerServices;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Streams of floats.</content>
public static unsafe partial class Philox
{
    /// <summary>Elements of a group: sixteen blocks of four words, word after word.</summary>
    internal const int Group = 64;

    private const float Unit24 = 1f / (1 << 24);

    // Larger calls are shared out in pieces of this many groups.
    private const int GroupsPerBlock = 256;

    /// <summary>Elements offset, offset + 1, .. of the stream's uniforms in [0, 1), 24 bits each.</summary>
    /// <exception cref="ArgumentException">A negative offset.</exception>
    public static void Uniform(PhiloxKey key, long offset, Span<float> dest) => Fill(key, offset, dest, normal: false);

    /// <summary>
    /// Elements offset, offset + 1, .. of the stream's standard normals. Box-Muller pairs words (0, 1) and (2, 3) of a
    /// block: √(-2 ln u)·cos 2πv in the even word's place, the sine in the odd one's, with u in (0, 1], v in [0, 1).
    /// </summary>
    /// <exception cref="ArgumentException">A negative offset.</exception>
    public static void Normal(PhiloxKey key, long offset, Span<float> dest) => Fill(key, offset, dest, normal: true);

    private static void Fill(PhiloxKey key, long offset, Span<float> dest, bool normal)
    {
        CheckOffset(offset, dest.Length);
        if (dest.IsEmpty)
            return;
        fixed (float* pointer = dest)
        {
            var kernel = new FillKernel(key, offset, pointer, dest.Length, normal);
            KernelPaths.Run(ref kernel);
        }
    }

    /// <summary>Writes one range of a float stream, on this thread.</summary>
    internal static void Fill<TSimd, V>(PhiloxKey key, long offset, float* dest, int length, bool normal)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var group = stackalloc float[Group];
        var done = 0;
        while (done < length)
        {
            var element = offset + done;
            var start = (int)(element % Group);
            var count = Math.Min(Group - start, length - done);
            var whole = count == Group;
            var target = whole ? dest + done : group;
            Words(key, element / Group, (uint*)target);
            if (normal)
                ToNormals<TSimd, V>(target);
            else
                ToUniforms<TSimd, V>(target);
            if (!whole)
                Unsafe.CopyBlockUnaligned(dest + done, group + start, (uint)count * sizeof(float));
            done += count;
        }
    }

    private static void ToUniforms<TSimd, V>(float* group)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        for (var i = 0; i < Group; i += TSimd.Width)
        {
            var bits = TSimd.ShiftRightUnsigned(TSimd.Load(group + i), 8);
            TSimd.Store(group + i, TSimd.Mul(TSimd.IntToFloat(bits), TSimd.Splat(Unit24)));
        }
    }

    private static void ToNormals<TSimd, V>(float* group)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        for (var pair = 0; pair < Group; pair += 32)
        {
            for (var i = pair; i < pair + 16; i += TSimd.Width)
            {
                var first = TSimd.ShiftRightUnsigned(TSimd.Load(group + i), 8);
                var second = TSimd.ShiftRightUnsigned(TSimd.Load(group + i + 16), 8);
                var u = TSimd.Fma(TSimd.IntToFloat(first), TSimd.Splat(Unit24), TSimd.Splat(Unit24));
                var v = TSimd.Mul(TSimd.IntToFloat(second), TSimd.Splat(Unit24));
                var radius = TSimd.Sqrt(TSimd.Mul(TSimd.Splat(-2f), Elementary<TSimd, V>.Log(u)));
                Elementary<TSimd, V>.SinCosTurns(v, out var sin, out var cos);
                TSimd.Store(group + i, TSimd.Mul(radius, cos));
                TSimd.Store(group + i + 16, TSimd.Mul(radius, sin));
            }
        }
    }

    private readonly struct FillKernel(PhiloxKey key, long offset, float* dest, int length, bool normal) : IKernel
    {
        public void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var piece = GroupsPerBlock * Group;
            var shared = new FillWork<TSimd, V>(key, offset, dest, length, normal, piece);
            Workers.For((length + piece - 1) / piece, ref shared);
        }
    }

    private readonly struct FillWork<TSimd, V>(
        PhiloxKey key, long offset, float* dest, int length, bool normal, int piece) : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public void Run(int block, int worker)
        {
            var start = block * piece;
            Fill<TSimd, V>(key, offset + start, dest + start, Math.Min(piece, length - start), normal);
        }
    }
}
