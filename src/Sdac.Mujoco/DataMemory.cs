namespace Sdac.Mujoco;

/// <summary>An mjData, which keeps its model from being freed.</summary>
internal sealed unsafe class DataMemory : NativeMemory
{
    private readonly ModelMemory model;
    private readonly bool holds;

    public DataMemory(nint native, string name, ModelMemory model)
        : base(native, $"Simulation of {name}", Native.sdac_data_buffer_size(native))
    {
        Native.sdac_move_data(native, First);
        this.model = model;
        model.DangerousAddRef(ref holds);
    }

    protected override bool ReleaseHandle()
    {
        Native.sdac_free_data(handle);
        if (holds)
            model.DangerousRelease();
        return true;
    }
}
