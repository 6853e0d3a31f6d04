using System;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>The entries of native/mujoco_layout.c.</summary>
internal static unsafe class Native
{
    private const string Library = "sdac_mujoco";

    static Native()
    {
        NativeLibrary.SetDllImportResolver(typeof(Native).Assembly, Resolve);
    }

    [DllImport(Library)]
    public static extern int sdac_open(byte* path);

    [DllImport(Library)]
    public static extern byte* sdac_message();

    [DllImport(Library)]
    public static extern int sdac_header_version();

    [DllImport(Library)]
    public static extern int sdac_library_version();

    [DllImport(Library)]
    public static extern nint sdac_load_file(byte* path, byte* error, int size);

    [DllImport(Library)]
    public static extern nint sdac_load_text(byte* text, int length, byte* error, int size);

    [DllImport(Library)]
    public static extern void sdac_free_model(nint model);

    [DllImport(Library)]
    public static extern long sdac_model_buffer_size(nint model);

    [DllImport(Library)]
    public static extern void sdac_move_model(nint model, byte* to);

    [DllImport(Library)]
    public static extern int sdac_name_to_id(ModelMemory model, byte* kind, byte* name);

    [DllImport(Library)]
    public static extern byte* sdac_id_to_name(ModelMemory model, byte* kind, int id);

    [DllImport(Library)]
    public static extern int sdac_sensor_noise(ModelMemory model);

    [DllImport(Library)]
    public static extern int sdac_model_fields(ModelMemory model, NativeField* fields, int capacity);

    [DllImport(Library)]
    public static extern int sdac_data_fields(ModelMemory model, DataMemory data, NativeField* fields, int capacity);

    [DllImport(Library)]
    public static extern nint sdac_make_data(ModelMemory model);

    [DllImport(Library)]
    public static extern long sdac_data_buffer_size(nint data);

    [DllImport(Library)]
    public static extern void sdac_move_data(nint data, byte* to);

    [DllImport(Library)]
    public static extern void sdac_free_data(nint data);

    [DllImport(Library)]
    public static extern int sdac_state_size(ModelMemory model);

    // The data hold their model, so its plain address will do: counting its users would tie the threads together.
    [DllImport(Library)]
    public static extern int sdac_reset(nint model, DataMemory data, double* qpos, double* qvel, double* state);

    [DllImport(Library)]
    public static extern int sdac_step(
        nint model, DataMemory data, int frameSkip, int contactForces, double* ctrl, double* state, double* next);

    [DllImport(Library)]
    public static extern int sdac_suite_clear(nint model, DataMemory data);

    [DllImport(Library)]
    public static extern int sdac_suite_settle(nint model, DataMemory data, double* state);

    [DllImport(Library)]
    public static extern int sdac_suite_drift(nint model, DataMemory data, int count, double* state);

    [DllImport(Library)]
    public static extern int sdac_suite_step(
        nint model, DataMemory data, int count, int there, double* ctrl, double* state, double* next);

    [DllImport(Library)]
    public static extern int sdac_pose(nint model, DataMemory data, double* qpos);

    /// <summary>What the last failing or warning entry said on this thread.</summary>
    public static string Message() => Marshal.PtrToStringUTF8((nint)sdac_message()) ?? "";

    // The door comes with this assembly, also where the application's folder is another one (dotnet fsi).
    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? search)
    {
        if (name != Library)
            return 0;
        var path = NativeFiles.Find(assembly, "libsdac_mujoco.so") ?? throw new MujocoException(
            $"libsdac_mujoco.so is not beside {assembly.GetName().Name}.dll: run `./build.sh build`.");
        if (NativeFiles.OtherProcessor(path) is { } reason)
            throw new MujocoException($"{path} cannot be loaded: {reason}; build Sdac for this processor.");
        return NativeLibrary.Load(path);
    }
}
