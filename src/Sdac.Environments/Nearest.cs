using System;
using System.Collections.Generic;
using System.Linq;

namespace Sdac.Environments;

/// <summary>The nearest valid name to a mistyped one, for error messages.</summary>
internal static class Nearest
{
    /// <summary>The candidate with the smallest edit distance, upper and lower case being equal.</summary>
    public static string To(string name, IEnumerable<string> candidates) =>
        candidates.MinBy(candidate => Distance(name.ToLowerInvariant(), candidate.ToLowerInvariant())) ?? "";

    /// <summary>The same where it can be meant: a longer name may be misspelt by three edits, a short one by one. Else null.</summary>
    public static string? Near(string name, IEnumerable<string> candidates)
    {
        var allowed = name.Length <= 3 ? 1 : name.Length <= 8 ? 2 : 3;
        var nearest = To(name, candidates);
        return Distance(name.ToLowerInvariant(), nearest.ToLowerInvariant()) <= Math.Min(allowed, nearest.Length - 1) ? nearest : null;
    }

    // Levenshtein's distance, one row of the table at a time.
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var substitution = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substitution, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
