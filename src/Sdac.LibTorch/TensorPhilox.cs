using System;
using System.Collections.Generic;
using System.Linq;
using Sdac.Kernels;
using static System.FormattableString;
using static TorchSharp.torch;

namespace Sdac.LibTorch;

/// <summary>
/// The streams of <see cref="Philox"/> made by tensor operations on the tensors' own device: the same keys, counters and
/// words, and the same order of elements, so that a run on a GPU draws the numbers that a run on the kernels draws, with
/// nothing sent there but the keys. All streams of a call are made in one pass.
/// </summary>
public static class TensorPhilox
{
    private const int Group = 64, Lane = 16, Rounds = 10;
    private const long Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57, Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;
    private const float Unit24 = 1f / (1 << 24);

    /// <summary>
    /// The first Count uniforms on [0, 1) of each stream, as vectors; bit for bit those of Philox.Uniform.
    /// </summary>
    /// <exception cref="ArgumentException">A negative count.</exception>
    public static Tensor[] Uniforms(Device device, IReadOnlyList<(PhiloxKey Key, long Count)> streams)
    {
        using var scope = NewDisposeScope();
        return Cut(Draw(device, streams, (even, odd) => (Unit(even), Unit(odd))), streams);
    }

    /// <summary>
    /// The first Count standard normals of each stream, as vectors; those of Philox.Normal but for the
    /// rounding of logarithm, sine and cosine (less than 4e-6).
    /// </summary>
    /// <exception cref="ArgumentException">A negative count.</exception>
    public static Tensor[] Normals(Device device, IReadOnlyList<(PhiloxKey Key, long Count)> streams)
    {
        using var scope = NewDisposeScope();
        return Cut(Draw(device, streams, BoxMuller), streams);
    }

    // √(-2 ln u)·cos 2πv and √(-2 ln u)·sin 2πv, u in (0, 1], v in [0, 1).
    private static (Tensor, Tensor) BoxMuller(Tensor even, Tensor odd)
    {
        var radius = Unit(even).add_(Unit24).log_().mul_(-2f).sqrt_();
        var angle = Unit(odd).mul_(2f * MathF.PI);
        return (angle.cos().mul_(radius), angle.sin().mul_(radius));
    }

    // The upper 24 of a word's 32 bits, as a number in [0, 1).
    private static Tensor Unit(Tensor words) => words.to(float32).mul_(Unit24);

    private static long Groups(long count) => (count + Group - 1) / Group;

    // Words (0, 2) and words (1, 3) of every block, their upper 24 bits, go through `map`; the results come back in the
    // order of the elements: with g = i / 64, w = i % 64 / 16, j = i % 16 element i is word w of block 16g + j.
    private static Tensor Draw(
        Device device, IReadOnlyList<(PhiloxKey Key, long Count)> streams, Func<Tensor, Tensor, (Tensor Even, Tensor Odd)> map)
    {
        Libtorch.Start();
        foreach (var (_, count) in streams)
            if (count < 0)
                throw new ArgumentException(Invariant($"a stream of {count} numbers is impossible"), nameof(streams));
        var blocks = streams.Select(s => Groups(s.Count) * Lane).ToArray();
        var all = blocks.Sum();
        if (all == 0)
            return zeros(0, float32, device);

        // One transfer: six numbers a stream, and the constants.
        var table = Table(streams, blocks).to(device);
        var constants = table.narrow(1, streams.Count, 2);
        Tensor multiplier = constants.narrow(0, 0, 2).select(1, 0).unsqueeze(1), weyl = constants.narrow(0, 0, 2).select(1, 1).unsqueeze(1);
        Tensor mask = constants[2, 0], word = constants[2, 1], low = constants[3, 0], byteBits = constants[3, 1];

        // c0 and c2 of every block are the rows of `multiplied`, c1 and c3 those of `other`, k0 and k1 those of `key`. Only
        // the lower 32 bits of `other` and `key` count: the mask comes after the exclusive or.
        var ofStreams = table.narrow(1, 0, streams.Count);
        var perBlock = ofStreams.narrow(0, 0, 5).repeat_interleave(ofStreams.select(0, 5), 1, all);
        var key = perBlock.narrow(0, 0, 2);
        var index = arange(all, int64, device).sub_(perBlock.select(0, 4));
        var multiplied = stack([index, perBlock.select(0, 2)], 0);
        var other = stack([zeros_like(index), perBlock.select(0, 3)], 0);
        for (var round = 0; round < Rounds; round++)
        {
            if (round > 0)
                key.add_(weyl);
            var product = multiplied.mul_(multiplier).flip(0);
            multiplied = product.bitwise_right_shift(word).bitwise_xor_(other).bitwise_xor_(key).bitwise_and_(mask);
            other = product;
        }
        var (even, odd) = map(
            multiplied.bitwise_right_shift_(byteBits), other.bitwise_right_shift_(byteBits).bitwise_and_(low));
        return stack([even, odd], 1).view(2, 2, all / Lane, Lane).permute(2, 0, 1, 3).reshape(all * 4);
    }

    // Columns: per stream its key, its name, its first block's place and its blocks; then multipliers, Weyl constants, masks.
    private static Tensor Table(IReadOnlyList<(PhiloxKey Key, long Count)> streams, long[] blocks)
    {
        var table = new long[6, streams.Count + 2];
        long first = 0;
        for (var s = 0; s < streams.Count; s++)
        {
            var key = streams[s].Key;
            (table[0, s], table[1, s], table[2, s], table[3, s]) = (key.K0, key.K1, key.S0, key.S1);
            (table[4, s], table[5, s]) = (first, blocks[s]);
            first += blocks[s];
        }
        var c = streams.Count;
        (table[0, c], table[1, c]) = (Multiplier0, Multiplier1);
        (table[0, c + 1], table[1, c + 1]) = (Weyl0, Weyl1);
        (table[2, c], table[2, c + 1]) = (0xFFFFFFFF, 32);
        (table[3, c], table[3, c + 1]) = (0xFFFFFF, 8);
        return from_array(table);
    }

    private static Tensor[] Cut(Tensor numbers, IReadOnlyList<(PhiloxKey Key, long Count)> streams)
    {
        var parts = numbers.split(streams.Select(s => Groups(s.Count) * Group).ToArray());
        for (var s = 0; s < parts.Length; s++)
        {
            var count = streams[s].Count;
            parts[s] = (count % Group == 0 ? parts[s] : parts[s].narrow(0, 0, count)).MoveToOuterDisposeScope();
        }
        return parts;
    }
}
