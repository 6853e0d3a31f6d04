using System.Runtime.InteropServices;

namespace TorchSharp.Native;

/// <summary>What <c>sdac_describe</c> writes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TensorDescription
{
    public long ScalarType;
    public long DeviceType;
    public long DeviceIndex;
    public long Rank;
    public long NumberOfElements;
    public long IsContiguous;
}
