using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using Sdac.Environments;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>A Gym task on an MJCF file of the user's own: the option xml_file.</summary>
internal static class ModelFile
{
    /// <summary>The option's name.</summary>
    public const string Option = "xml_file";

    /// <summary>The task that the other options make, on the file where the option names one.</summary>
    /// <exception cref="ArgumentException">No text, or a model of other sizes than the task's own.</exception>
    /// <exception cref="MujocoException">No such file, or none that MuJoCo compiles.</exception>
    public static TaskDefinition Around(
        string name, IReadOnlyDictionary<string, object?> options, Func<IReadOnlyDictionary<string, object?>, TaskDefinition> make)
    {
        var task = make(options.Where(option => option.Key != Option).ToDictionary());
        if (!options.TryGetValue(Option, out var given))
            return task;
        var text = given is JsonElement { ValueKind: JsonValueKind.String } json ? json.GetString() : given as string;
        if (string.IsNullOrWhiteSpace(text))
            throw new RefusedArgumentException($"{name}: the option {Option} must be the path of an MJCF file.");
        // on the command line it may stand in quotes, as JSON has it
        var path = text.Trim('"');
        using (var own = task.LoadModel())
        using (var model = Model.FromFile(path))
            CheckSizes(name, path, own, model);
        return task with
        {
            LoadModel = () => Model.FromFile(path),
            Options = task.Options.Append(new(Option, path)).ToDictionary(),
        };
    }

    // Its rules name joints and bodies by their places.
    private static void CheckSizes(string name, string path, Model own, Model model)
    {
        Same("numbers in qpos", own.Nq, model.Nq);
        Same("numbers in qvel", own.Nv, model.Nv);
        Same("actuators", own.Nu, model.Nu);
        Same("bodies, the world's included", own.NBody, model.NBody);

        void Same(string what, int wanted, int found)
        {
            if (wanted != found)
                throw new RefusedArgumentException(
                    Invariant($"{name}: {path} has {found} {what}, but the task's own model has {wanted}: ")
                    + "give a model of the same joints, actuators and bodies, or make a task of your own of it.");
        }
    }
}
