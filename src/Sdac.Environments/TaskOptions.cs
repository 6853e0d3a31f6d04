using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Text.Json;

namespace Sdac.Environments;

/// <summary>
/// Typed options by Gymnasium's names: property HealthyZRange is "healthy_z_range", a choice NewBest "new_best".
/// </summary>
public static class TaskOptions
{
    /// <summary>The names of an options type, in order.</summary>
    public static IReadOnlyList<string> Names(Type options) => Properties(options).Select(p => Snake(p.Name)).ToArray();

    /// <summary>The values by name: bool, double, Interval, or a choice's name.</summary>
    public static IReadOnlyDictionary<string, object> Values(object options) =>
        Properties(options.GetType()).ToDictionary(
            p => Snake(p.Name), p => p.GetValue(options) is Enum choice ? Snake(choice.ToString()) : p.GetValue(options)!);

    /// <summary>
    /// The values by name, refused where one cannot be: a number that is not finite, an empty interval.
    /// </summary>
    internal static IReadOnlyDictionary<string, object> Checked(string task, object options)
    {
        ArgumentNullException.ThrowIfNull(options);
        foreach (var property in Properties(options.GetType()))
        {
            if (property.GetValue(options) is Enum choice && !Enum.IsDefined(choice.GetType(), choice))
                throw new RefusedArgumentException(
                    $"{task}: the option {Snake(property.Name)} must be {Choices(choice.GetType())}, not {choice}.");
        }

        var values = Values(options);
        foreach (var (name, value) in values)
        {
            var wanted = value switch
            {
                double number when !double.IsFinite(number) => "a finite number",
                Interval interval when !(interval.Low <= interval.High) => "a pair [low, high], low <= high",
                _ => null,
            };
            if (wanted is not null)
                throw new RefusedArgumentException($"{task}: the option {name} must be {wanted}, not {Shown(value)}.");
        }

        return values;
    }

    /// <summary>The default options with some set by name.</summary>
    /// <param name="task">The task's name, for error messages.</param>
    /// <param name="values">
    /// bool, any number, Interval, a pair of numbers (sequence), a choice's name, or one of these as JSON, be it a JsonElement or text
    /// (infinities as "Infinity", "-Infinity").
    /// </param>
    /// <exception cref="ArgumentException">
    /// An unknown name (the nearest is named), or a value of the wrong kind.
    /// </exception>
    public static T Parse<T>(string task, IReadOnlyDictionary<string, object?> values)
        where T : new() => Parse<T>(task, values, []);

    /// <summary>The same where some other options are heeded elsewhere: their names are named among the valid ones.</summary>
    internal static T Parse<T>(
        string task, IReadOnlyDictionary<string, object?> values, IReadOnlyCollection<string> others)
        where T : new()
    {
        var options = new T();
        var properties = Properties(typeof(T)).ToDictionary(p => Snake(p.Name));
        foreach (var (name, value) in values)
        {
            if (!properties.TryGetValue(name, out var property))
                throw new RefusedArgumentException(Unknown(task, name, [.. properties.Keys, .. others]));
            property.SetValue(options, Convert(task, name, property.PropertyType, value));
        }

        return options;
    }

    private static string Unknown(string task, string name, IReadOnlyCollection<string> own)
    {
        var known = own.Union(Wrappers.Names).ToArray();
        var nearest = Nearest.Near(name, known) is { } near ? $"; the nearest is {near}" : "";
        return $"{task} has no option {name}{nearest} (all: {string.Join(", ", known)}).";
    }

    private static object Convert(string task, string name, Type type, object? value)
    {
        var plain = value switch
        {
            JsonElement json => Plain(json),
            string text => FromText(text),
            _ => value,
        };
        if (type == typeof(bool) && plain is bool flag)
            return flag;
        if (type == typeof(double) && Number(plain) is { } number)
            return number;
        if (type == typeof(Interval) && Pair(plain) is { } interval)
            return interval;
        if (type.IsEnum && Choice(type, plain) is { } choice)
            return choice;
        var wanted = type == typeof(bool) ? "true or false"
            : type.IsEnum ? Choices(type)
            : type == typeof(double) ? "a number"
            : "a pair [low, high], low <= high";
        throw new RefusedArgumentException($"{task}: the option {name} must be {wanted}, not {Shown(value)}.");
    }

    private static object? FromText(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return Plain(document.RootElement);
        }
        catch (JsonException)
        {
            return text;
        }
    }

    private static double? Number(object? value) =>
        value switch
        {
            double d when !double.IsNaN(d) => d,
            float or int or long or short or byte or decimal =>
                System.Convert.ToDouble(value, CultureInfo.InvariantCulture) is var d && !double.IsNaN(d) ? d : null,
            "Infinity" => double.PositiveInfinity,
            "-Infinity" => double.NegativeInfinity,
            _ => null,
        };

    private static string Choices(Type type) => $"one of {string.Join(", ", Enum.GetNames(type).Select(Snake))}";

    private static object? Choice(Type type, object? value) =>
        value is string name && Enum.GetNames(type).FirstOrDefault(n => Snake(n) == name) is { } found
            ? Enum.Parse(type, found)
            : null;

    private static Interval? Pair(object? value)
    {
        if (value is Interval interval)
            return interval.Low <= interval.High ? interval : null;
        if (value is string || value is not System.Collections.IEnumerable sequence)
            return null;
        var ends = sequence.Cast<object?>().Select(Number).ToArray();
        return ends is [{ } low, { } high] && low <= high ? new Interval(low, high) : null;
    }

    private static object? Plain(JsonElement json) =>
        json.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Number => json.GetDouble(),
            JsonValueKind.String => json.GetString(),
            JsonValueKind.Array => json.EnumerateArray().Select(Plain).ToArray(),
            _ => null,
        };

    private static string Shown(object? value) =>
        value switch
        {
            null => "null",
            JsonElement json => json.GetRawText(),
            _ => string.Create(CultureInfo.InvariantCulture, $"{value}"),
        };

    private static PropertyInfo[] Properties(Type type) =>
        type.GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(p => p.CanWrite)
            .OrderBy(p => p.MetadataToken)
            .ToArray();

    internal static string Snake(string name)
    {
        var text = new StringBuilder();
        foreach (var letter in name)
        {
            if (char.IsUpper(letter) && text.Length > 0)
                text.Append('_');
            text.Append(char.ToLowerInvariant(letter));
        }

        return text.ToString();
    }
}
