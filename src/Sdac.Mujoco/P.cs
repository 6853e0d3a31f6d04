namespace Sdac.Mujoco; internal static class Placeholder { }
