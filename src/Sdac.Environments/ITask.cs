using System.Collections.Generic;

namespace Sdac.Environments;

/// <summary>A task as a value, whatever engine simulates it.</summary>
public interface ITask
{
    /// <summary>The name, such as "HalfCheetah-v4".</summary>
    string Name { get; }

    /// <summary>The options that the task was made with; a record of a run writes them down.</summary>
    IReadOnlyDictionary<string, object> Options { get; }

    /// <summary>An engine that simulates the task, a new one at each call: who asked for it disposes of it.</summary>
    /// <exception cref="System.ArgumentException">A setting of the task that cannot be.</exception>
    /// <exception cref="EngineException">The engine is missing, or cannot simulate the task.</exception>
    IEngine Open();
}
