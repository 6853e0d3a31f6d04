using System;
using static System.FormattableString;

namespace Sdac.Environments;

/// <summary>A function of a task of the user's own has failed: which, in which environment, at which step.</summary>
public sealed class TaskFunctionException : InvalidOperationException
{
    private readonly string sentence;

    /// <summary>A sentence that names the task, the function and what it failed with; the place is not known yet.</summary>
    public TaskFunctionException(string sentence, Exception? cause = null)
        : this(sentence, null, cause)
    {
    }

    private TaskFunctionException(string sentence, (int Environment, int Step)? place, Exception? cause)
        : base(place is var (environment, step) ? Invariant($"{sentence} (environment {environment}, step {step} of its episode)") : sentence, cause)
    {
        this.sentence = sentence;
        Place = place;
    }

    /// <summary>
    /// The environment's index in its batch, from 0, and the step of its episode, from 1 (0 is the reset); null where no batch was stepped.
    /// </summary>
    public (int Environment, int Step)? Place { get; }

    /// <summary>The sentence, then what the function failed with, whole: its stack leads to the line in the function.</summary>
    public override string ToString() => InnerException is null ? Message : $"{Message}\n{InnerException}";

    /// <summary>The same failure with its place.</summary>
    internal TaskFunctionException At(int environment, int step) => new(sentence, (environment, step), InnerException);
}
