namespace Sdac.Mujoco;

/// <summary>An mjModel.</summary>
internal sealed unsafe class ModelMemory : NativeMemory
{
    public ModelMemory(nint native, string name)
        : base(native, $"Model {name}", Native.sdac_model_buffer_size(native))
    {
        Native.sdac_move_model(native, First);
    }

    /// <summary>The address; its holder must hold this too.</summary>
    public nint Address => handle;

    protected override bool ReleaseHandle()
    {
        Native.sdac_free_model(handle);
        return true;
    }
}
