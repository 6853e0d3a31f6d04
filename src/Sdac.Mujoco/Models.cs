using System.Collections.Generic;
using System.Globalization;
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

    /// <summary>A model; where MuJoCo's compiler moves last bits of what was recorded, with those put back.</summary>
    internal static Model Load(string name)
    {
        var model = Model.FromXml(name + ".xml", Text(name));
        foreach (var (field, index, number) in Replaced(name))
            model.Replace(field, index, number);
        return model;
    }

    /// <summary>The numbers that are put back into a model: an array's name, the place in it, the number.</summary>
    internal static IEnumerable<(string Field, int Index, double Number)> Replaced(string name)
    {
        using var stream = typeof(Models).Assembly.GetManifestResourceStream(name + ".bits");
        if (stream is null)
            yield break;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            var words = line.Split(' ');
            var (index, number) = (int.Parse(words[1], CultureInfo.InvariantCulture), double.Parse(words[2], CultureInfo.InvariantCulture));
            yield return (words[0], index, number);
        }
    }
}
