using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <content>The choice of a tile's height at run time.</content>
internal static unsafe partial class Tile<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>The same for any number of rows up to <see cref="ISimd{V}.TileRows"/>.</summary>
    public static void Multiply<TVectors, TLeft>(
        int rows, int blocks, int depth, float* left, nint leftBlock, float* right, float* bias, float* c, nint stride)
        where TVectors : struct, ICount
        where TLeft : struct, ILeft
    {
        switch (rows)
        {
            case 1:
                Multiply<Count.One, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 2:
                Multiply<Count.Two, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 3:
                Multiply<Count.Three, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 4:
                Multiply<Count.Four, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 5:
                Multiply<Count.Five, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 6:
                Multiply<Count.Six, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 7:
                Multiply<Count.Seven, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 8:
                Multiply<Count.Eight, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 9:
                Multiply<Count.Nine, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 10:
                Multiply<Count.Ten, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 11:
                Multiply<Count.Eleven, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 12:
                Multiply<Count.Twelve, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
        }
    }
}
