namespace Sdac.Kernels; internal static class Placeholder { }
