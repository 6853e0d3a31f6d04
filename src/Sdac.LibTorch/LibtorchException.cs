using System;
using System.Runtime.InteropServices;

namespace Sdac.LibTorch;

/// <summary>libtorch refused an operation. The message is its own first sentence, without the C++ stack behind it.</summary>
public sealed class LibtorchException : Exception
{
    private const string StackBegins = "Exception raised from";

    private LibtorchException(string message, Exception inner)
        : base(message, inner)
    {
    }

    /// <summary>True for what TorchSharp throws when libtorch refuses an operation.</summary>
    public static bool IsRefusal(Exception error) => error is ExternalException and not SEHException;

    /// <summary>The refusal in one sentence; the original, with its C++ stack, is the inner exception.</summary>
    public static LibtorchException From(Exception refusal) => new(Sentence(refusal.Message), refusal);

    /// <summary>The sentence: an interactive session prints no stack behind it.</summary>
    public override string ToString() => Message;

    /// <summary>libtorch's message on one line, cut where the C++ stack begins.</summary>
    public static string Sentence(string message)
    {
        var end = message.IndexOf(StackBegins, StringComparison.Ordinal);
        var text = end < 0 ? message : message[..end];
        return string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }
}
