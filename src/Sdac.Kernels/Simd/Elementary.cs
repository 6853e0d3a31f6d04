using System.Runtime.CompilerServices;

namespace Sdac.Kernels.Simd;

/// <summary>
/// Elementary functions on vectors. Polynomials are minimax fits (Remez) made for this project; the errors stated are
/// maximal and include rounding.
/// </summary>
internal static class Elementary<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    private const float Log2E = 1.44269504f;
    private const float Ln2 = 0.693147181f;

    // Adding 1.5·2^23 rounds to an integer and leaves that integer in the low bits of the sum.
    private const float RoundingShift = 12582912f;

    // 2^f ≈ 1 + Exp1·f + ... + Exp5·f⁵ for f in [-0.5, 0.5].
    private const float Exp1 = 0.693142835114f;
    private const float Exp2 = 0.240223508847f;
    private const float Exp3 = 0.0555739225265f;
    private const float Exp4 = 0.00966626361318f;
    private const float Exp5 = 0.00111284549834f;

    /// <summary>2^f - 1 for f in [-0.5, 0.5], relative error 2e-7 (small f included).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V PowerOfTwoMinusOne(V f)
    {
        var p = TSimd.Splat(0.00015594752177f);
        p = TSimd.Fma(p, f, TSimd.Splat(0.00134066742235f));
        p = TSimd.Fma(p, f, TSimd.Splat(0.00961769262836f));
        p = TSimd.Fma(p, f, TSimd.Splat(0.055503104678f));
        p = TSimd.Fma(p, f, TSimd.Splat(0.240226527854f));
        p = TSimd.Fma(p, f, TSimd.Splat(0.693147215011f));
        return TSimd.Mul(p, f);
    }

    /// <summary>e^x for x in [-87, 20], relative error 1e-6. The caller clamps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp(V x)
    {
        var shifted = TSimd.Fma(x, TSimd.Splat(Log2E), TSimd.Splat(RoundingShift));
        var n = TSimd.Sub(shifted, TSimd.Splat(RoundingShift));
        var f = TSimd.Fma(x, TSimd.Splat(Log2E), TSimd.Sub(TSimd.Splat(0f), n));
        var p = TSimd.Splat(Exp5);
        p = TSimd.Fma(p, f, TSimd.Splat(Exp4));
        p = TSimd.Fma(p, f, TSimd.Splat(Exp3));
        p = TSimd.Fma(p, f, TSimd.Splat(Exp2));
        p = TSimd.Fma(p, f, TSimd.Splat(Exp1));
        p = TSimd.Fma(p, f, TSimd.Splat(1f));
        return TSimd.AddBits(p, TSimd.ShiftLeft(shifted, 23));
    }

    /// <summary><see cref="Exp"/> of four vectors in place, step by step for all four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ExpOfFour(ref V a, ref V b, ref V c, ref V d)
    {
        var log2E = TSimd.Splat(Log2E);
        var shift = TSimd.Splat(RoundingShift);
        V shiftedA = TSimd.Fma(a, log2E, shift), shiftedB = TSimd.Fma(b, log2E, shift);
        V shiftedC = TSimd.Fma(c, log2E, shift), shiftedD = TSimd.Fma(d, log2E, shift);
        V nA = TSimd.Sub(shiftedA, shift), nB = TSimd.Sub(shiftedB, shift);
        V nC = TSimd.Sub(shiftedC, shift), nD = TSimd.Sub(shiftedD, shift);
        var zero = TSimd.Splat(0f);
        V fA = TSimd.Fma(a, log2E, TSimd.Sub(zero, nA)), fB = TSimd.Fma(b, log2E, TSimd.Sub(zero, nB));
        V fC = TSimd.Fma(c, log2E, TSimd.Sub(zero, nC)), fD = TSimd.Fma(d, log2E, TSimd.Sub(zero, nD));
        V pA, pB, pC, pD;
        pA = pB = pC = pD = TSimd.Splat(Exp5);
        Horner(Exp4, fA, fB, fC, fD, ref pA, ref pB, ref pC, ref pD);
        Horner(Exp3, fA, fB, fC, fD, ref pA, ref pB, ref pC, ref pD);
        Horner(Exp2, fA, fB, fC, fD, ref pA, ref pB, ref pC, ref pD);
        Horner(Exp1, fA, fB, fC, fD, ref pA, ref pB, ref pC, ref pD);
        Horner(1f, fA, fB, fC, fD, ref pA, ref pB, ref pC, ref pD);
        a = TSimd.AddBits(pA, TSimd.ShiftLeft(shiftedA, 23));
        b = TSimd.AddBits(pB, TSimd.ShiftLeft(shiftedB, 23));
        c = TSimd.AddBits(pC, TSimd.ShiftLeft(shiftedC, 23));
        d = TSimd.AddBits(pD, TSimd.ShiftLeft(shiftedD, 23));
    }

    /// <summary>p ← p·x + coefficient for four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Horner(float coefficient, V xA, V xB, V xC, V xD, ref V pA, ref V pB, ref V pC, ref V pD)
    {
        var next = TSimd.Splat(coefficient);
        pA = TSimd.Fma(pA, xA, next);
        pB = TSimd.Fma(pB, xB, next);
        pC = TSimd.Fma(pC, xC, next);
        pD = TSimd.Fma(pD, xD, next);
    }

    /// <summary>
    /// mish(x) = x·tanh(softplus(x)) = x·n/(n+2), n = e² + 2e, e = exp(min(x, 20)), and its derivative
    /// n/(n+2) + 4x·e(1+e)/(n+2)². Both forms of the function give the same value, bit for bit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Mish(V x)
    {
        var e = Exp(Clamp(x));
        var n = TSimd.Mul(e, TSimd.Add(e, TSimd.Splat(2f)));
        return TSimd.Mul(x, TSimd.Mul(n, TSimd.Div(TSimd.Splat(1f), TSimd.Add(n, TSimd.Splat(2f)))));
    }

    /// <summary>
    /// The same of four vectors in place, step by step for all four: one vector after the other, a processor's scheduler fills
    /// with operations that wait for each other, and the divider waits too.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Mish(ref V a, ref V b, ref V c, ref V d)
    {
        V clampedA = Clamp(a), clampedB = Clamp(b), clampedC = Clamp(c), clampedD = Clamp(d);
        ExpOfFour(ref clampedA, ref clampedB, ref clampedC, ref clampedD);
        var two = TSimd.Splat(2f);
        var nA = TSimd.Mul(clampedA, TSimd.Add(clampedA, two));
        var nB = TSimd.Mul(clampedB, TSimd.Add(clampedB, two));
        var nC = TSimd.Mul(clampedC, TSimd.Add(clampedC, two));
        var nD = TSimd.Mul(clampedD, TSimd.Add(clampedD, two));
        var one = TSimd.Splat(1f);
        var inverseA = TSimd.Div(one, TSimd.Add(nA, two));
        var inverseB = TSimd.Div(one, TSimd.Add(nB, two));
        var inverseC = TSimd.Div(one, TSimd.Add(nC, two));
        var inverseD = TSimd.Div(one, TSimd.Add(nD, two));
        a = TSimd.Mul(a, TSimd.Mul(nA, inverseA));
        b = TSimd.Mul(b, TSimd.Mul(nB, inverseB));
        c = TSimd.Mul(c, TSimd.Mul(nC, inverseC));
        d = TSimd.Mul(d, TSimd.Mul(nD, inverseD));
    }

    /// <inheritdoc cref="Mish(V)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Mish(V x, out V derivative)
    {
        var clamped = Clamp(x);
        var e = Exp(clamped);
        var n = TSimd.Mul(e, TSimd.Add(e, TSimd.Splat(2f)));
        var inverse = TSimd.Div(TSimd.Splat(1f), TSimd.Add(n, TSimd.Splat(2f)));
        var ratio = TSimd.Mul(n, inverse);
        var rest = TSimd.Mul(TSimd.Mul(TSimd.Splat(4f), e), TSimd.Fma(clamped, e, clamped));
        derivative = TSimd.Fma(rest, TSimd.Mul(inverse, inverse), ratio);
        return TSimd.Mul(x, ratio);
    }

    /// <summary>
    /// gelu(x) = x·Φ(x) = max(x, 0) - |x|·Φ(-|x|), relative error 2e-6, and its derivative Φ(x) + x·φ(x). Both forms of
    /// the function give the same value, bit for bit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Gelu(V x)
    {
        var a = NormalTail(x, out var ratio, out var power);
        return TSimd.Sub(TSimd.Max(TSimd.Splat(0f), x), TSimd.Mul(TSimd.Mul(a, ratio), power));
    }

    /// <inheritdoc cref="Gelu(V)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Gelu(V x, out V derivative)
    {
        var zero = TSimd.Splat(0f);
        var a = NormalTail(x, out var ratio, out var power);

        // At -a the derivative is Φ(-a) - a·φ(a); at a it is 1 less that.
        var below = TSimd.Mul(power, TSimd.Fma(a, TSimd.Splat(-0.398942280f), ratio));
        var positive = TSimd.Greater(x, zero);
        var sign = TSimd.And(positive, TSimd.SplatBits(int.MinValue));
        derivative = TSimd.Add(TSimd.And(positive, TSimd.Splat(1f)), TSimd.Xor(below, sign));
        return TSimd.Sub(TSimd.Max(zero, x), TSimd.Mul(TSimd.Mul(a, ratio), power));
    }

    /// <summary>
    /// Φ(-a) = ratio·power for a = min(|x|, 13.1), power = exp(-a²/2); beyond, a·Φ(-a) is below all normal floats.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V NormalTail(V x, out V ratio, out V power)
    {
        var a = TSimd.Min(TSimd.Splat(13.1f), TSimd.And(x, TSimd.SplatBits(int.MaxValue)));

        // The rounding error of a² would be multiplied by up to 86: what is left of it is made good behind exp.
        var square = TSimd.Mul(a, a);
        var left = TSimd.Fma(a, a, TSimd.Sub(TSimd.Splat(0f), square));
        power = Exp(TSimd.Mul(square, TSimd.Splat(-0.5f)));
        power = TSimd.Fma(power, TSimd.Mul(left, TSimd.Splat(-0.5f)), power);
        var t = TSimd.Div(TSimd.Splat(1f), TSimd.Fma(a, TSimd.Splat(0.3f), TSimd.Splat(1f)));
        var p = TSimd.Splat(0.03608871802315f);
        p = TSimd.Fma(p, t, TSimd.Splat(-0.1589332110669f));
        p = TSimd.Fma(p, t, TSimd.Splat(0.2093454709475f));
        p = TSimd.Fma(p, t, TSimd.Splat(-0.05644923241403f));
        p = TSimd.Fma(p, t, TSimd.Splat(0.1300321569122f));
        p = TSimd.Fma(p, t, TSimd.Splat(0.09946520307054f));
        p = TSimd.Fma(p, t, TSimd.Splat(0.1208262927708f));
        p = TSimd.Fma(p, t, TSimd.Splat(0.1196245423096f));
        ratio = TSimd.Mul(p, t);
        return a;
    }

    /// <summary>
    /// elu(x) = max(x, 0) + (e^min(x, 0) - 1), relative error 1e-6 (small x included), and its derivative e^min(x, 0).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Elu(V x, out V derivative)
    {
        var y = TSimd.Min(TSimd.Splat(0f), TSimd.Max(TSimd.Splat(-87f), x));
        var shifted = TSimd.Fma(y, TSimd.Splat(Log2E), TSimd.Splat(RoundingShift));
        var n = TSimd.Sub(shifted, TSimd.Splat(RoundingShift));
        var f = TSimd.Fma(y, TSimd.Splat(Log2E), TSimd.Sub(TSimd.Splat(0f), n));
        var power = TSimd.AddBits(TSimd.Splat(1f), TSimd.ShiftLeft(shifted, 23));
        var fraction = PowerOfTwoMinusOne(f);
        derivative = TSimd.Fma(power, fraction, power);
        var lessOne = TSimd.Fma(power, fraction, TSimd.Sub(power, TSimd.Splat(1f)));
        return TSimd.Add(TSimd.Max(TSimd.Splat(0f), x), lessOne);
    }

    /// <summary>tanh(x) = (e^2x - 1)/(e^2x + 1), relative error 1e-6 (small x included).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Tanh(V x)
    {
        // Beyond 10 tanh is 1 in float.
        var y = TSimd.Min(TSimd.Splat(20f), TSimd.Max(TSimd.Splat(-20f), TSimd.Add(x, x)));
        var shifted = TSimd.Fma(y, TSimd.Splat(Log2E), TSimd.Splat(RoundingShift));
        var n = TSimd.Sub(shifted, TSimd.Splat(RoundingShift));
        var f = TSimd.Fma(y, TSimd.Splat(Log2E), TSimd.Sub(TSimd.Splat(0f), n));
        var power = TSimd.AddBits(TSimd.Splat(1f), TSimd.ShiftLeft(shifted, 23));
        var lessOne = TSimd.Fma(power, PowerOfTwoMinusOne(f), TSimd.Sub(power, TSimd.Splat(1f)));
        return TSimd.Div(lessOne, TSimd.Add(lessOne, TSimd.Splat(2f)));
    }

    /// <summary>
    /// ln(1 - tanh²(u)) = 2·(ln 2 - |u| - ln(1 + e^-2|u|)), without cancellation for any u, absolute error 1e-6 or
    /// relative error 2e-7, and 1 - tanh²(u) = 4·e^-2|u|/(1 + e^-2|u|)² itself, relative error 3e-6 (|u| up to 43).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V LogOneLessTanhSquared(V u, out V oneLessTanhSquared)
    {
        var size = TSimd.And(u, TSimd.SplatBits(int.MaxValue));
        var e = Exp(TSimd.Max(TSimd.Splat(-87f), TSimd.Mul(size, TSimd.Splat(-2f))));
        var sum = TSimd.Add(TSimd.Splat(1f), e);
        oneLessTanhSquared = TSimd.Div(TSimd.Mul(TSimd.Splat(4f), e), TSimd.Mul(sum, sum));
        var half = TSimd.Sub(TSimd.Sub(TSimd.Splat(Ln2), size), Log(sum));
        return TSimd.Add(half, half);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Clamp(V x) => TSimd.Min(TSimd.Splat(20f), TSimd.Max(TSimd.Splat(-87f), x));

    /// <summary>
    /// ln of a positive normal number, absolute error 2e-7 where the result is below 1, else relative.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log(V x)
    {
        // Split off the power of two that leaves a mantissa in [√½, √2).
        var exponent = TSimd.ShiftRight(TSimd.SubBits(x, TSimd.SplatBits(0x3f3504f3)), 23);
        var mantissa = TSimd.SubBits(x, TSimd.ShiftLeft(exponent, 23));
        var f = TSimd.Sub(mantissa, TSimd.Splat(1f));
        var p = TSimd.Splat(-0.0785959830131f);
        p = TSimd.Fma(p, f, TSimd.Splat(0.128816347374f));
        p = TSimd.Fma(p, f, TSimd.Splat(-0.131287537385f));
        p = TSimd.Fma(p, f, TSimd.Splat(0.141811937835f));
        p = TSimd.Fma(p, f, TSimd.Splat(-0.166245543772f));
        p = TSimd.Fma(p, f, TSimd.Splat(0.200022862019f));
        p = TSimd.Fma(p, f, TSimd.Splat(-0.250008103931f));
        p = TSimd.Fma(p, f, TSimd.Splat(0.333333167266f));
        var square = TSimd.Mul(f, f);
        var tail = TSimd.Fma(p, f, TSimd.Splat(-0.5f));
        var log = TSimd.Fma(tail, square, f);
        return TSimd.Fma(TSimd.IntToFloat(exponent), TSimd.Splat(Ln2), log);
    }

    /// <summary>sin and cos of 2πu for u in [0, 1), absolute error 2e-7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SinCosTurns(V u, out V sin, out V cos)
    {
        var shifted = TSimd.Fma(u, TSimd.Splat(4f), TSimd.Splat(RoundingShift));
        var quarter = TSimd.Sub(shifted, TSimd.Splat(RoundingShift));
        var f = TSimd.Fma(u, TSimd.Splat(4f), TSimd.Sub(TSimd.Splat(0f), quarter));
        var square = TSimd.Mul(f, f);
        var s = TSimd.Splat(-0.00460217698109f);
        s = TSimd.Fma(s, square, TSimd.Splat(0.0796802280623f));
        s = TSimd.Fma(s, square, TSimd.Splat(-0.645963478641f));
        s = TSimd.Fma(s, square, TSimd.Splat(1.57079632197f));
        s = TSimd.Mul(s, f);
        var c = TSimd.Splat(0.000906743538542f);
        c = TSimd.Fma(c, square, TSimd.Splat(-0.0208615297074f));
        c = TSimd.Fma(c, square, TSimd.Splat(0.253669410485f));
        c = TSimd.Fma(c, square, TSimd.Splat(-1.23370054938f));
        c = TSimd.Fma(c, square, TSimd.Splat(1f));

        // Quarter turns 1 and 3 swap the two; 2 and 3 negate the sine, 1 and 2 the cosine.
        var odd = TSimd.ShiftRight(TSimd.ShiftLeft(shifted, 31), 31);
        var sinSign = TSimd.And(TSimd.ShiftLeft(shifted, 30), TSimd.SplatBits(int.MinValue));
        var cosSign = TSimd.Xor(sinSign, TSimd.ShiftLeft(shifted, 31));
        sin = TSimd.Xor(TSimd.Or(TSimd.And(c, odd), TSimd.AndNot(s, odd)), sinSign);
        cos = TSimd.Xor(TSimd.Or(TSimd.And(s, odd), TSimd.AndNot(c, odd)), cosSign);
    }
}
