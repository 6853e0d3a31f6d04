using System.IO;

namespace Sdac.Mujoco;

/// <summary>The MJCF files of the library's tasks, embedded in it.</summary>
public static class Models
{
    /// <summary>The MJCF text of a model, such as "half_cheetah".</summary>
    public static string Text(string name)
    {
        using var stream = typeof(Models).Assembly.GetManifestResourceStream(name + ".xml")
            ?? throw new MujocoException($"There is no embedded model {name}.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    internal static Model Load(string name) => Model.FromXml(name + ".xml", Text(name));
}
