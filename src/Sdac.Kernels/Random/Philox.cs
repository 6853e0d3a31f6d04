using System;
using System.Runtime.CompilerServices;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011): a counter-based
/// generator, here with named streams, any part of which can be computed without the rest.
/// </summary>
/// <remarks>
/// Block b of a stream is the block at counter (b low, b high, S0, S1) under key (K0, K1); b &lt; 2^63. Float streams:
/// element i, with g = i / 64, w = i % 64 / 16, j = i % 16, is made from word w of block 16g + j, so that sixteen
/// blocks are computed side by side. Double and integer streams: element i is made from the two words 2(i % 2) and
/// 2(i % 2) + 1 of block i / 2. The different kinds of stream of one key share blocks: give each its own key.
/// </remarks>
public static partial class Philox
{
    private const uint Multiplier0 = 0xD2511F53;
    private const uint Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9;
    private const uint Weyl1 = 0xBB67AE85;
    private const int Rounds = 10;

    /// <summary>The ten rounds: four random words from a counter of four words and a key of two.</summary>
    public static void Block(
        uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, out uint r0, out uint r1, out uint r2, out uint r3)
    {
        for (var round = 0; round < Rounds; round++)
        {
            var p0 = (ulong)Multiplier0 * c0;
            var p1 = (ulong)Multiplier1 * c2;
            c0 = (uint)(p1 >> 32) ^ c1 ^ k0;
            c1 = (uint)p1;
            c2 = (uint)(p0 >> 32) ^ c3 ^ k1;
            c3 = (uint)p0;
            k0 += Weyl0;
            k1 += Weyl1;
        }

        r0 = c0;
        r1 = c1;
        r2 = c2;
        r3 = c3;
    }

    /// <summary>
    /// Child <paramref name="index"/> of a key: the block at counter (index low, index high with its top bit set). No
    /// data block has that bit set, so children are independent of the parent's numbers; children of one parent are
    /// distinct.
    /// </summary>
    /// <exception cref="ArgumentException">An index of 2^63 or more.</exception>
    public static PhiloxKey Derive(PhiloxKey parent, ulong index)
    {
        if (index >> 63 != 0)
            throw new ArgumentException($"index is {index}, but must be less than 2^63.", nameof(index));
        Block(
            (uint)index, (uint)(index >> 32) | 0x80000000, parent.S0, parent.S1, parent.K0, parent.K1,
            out var k0, out var k1, out var s0, out var s1);
        return new PhiloxKey(k0, k1, s0, s1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Block(PhiloxKey key, long block, out uint r0, out uint r1, out uint r2, out uint r3) =>
        Block((uint)block, (uint)(block >> 32), key.S0, key.S1, key.K0, key.K1, out r0, out r1, out r2, out r3);

    private static void CheckOffset(long offset, int length)
    {
        if (offset < 0 || offset > long.MaxValue - length)
            throw new ArgumentException(
                Invariant($"offset is {offset}, but must be from 0 to 2^63 less the number of elements."), nameof(offset));
    }
}
