using System;
using System.Globalization;
using System.Linq;
using System.Text;

namespace TorchSharp;

public static partial class torch
{
    public sealed partial class Tensor
    {
        private const int ShownElements = 64;

        /// <summary>Size, type and device; the values too where they are few and at hand.</summary>
        public override string ToString()
        {
            if (IsInvalid) return "a disposed tensor";
            var sizes = shape;
            var text = new StringBuilder()
                .Append('[').AppendJoin('x', sizes)
                .Append("], type = ").Append(dtype)
                .Append(", device = ").Append(device);
            if (is_cpu() && NumberOfElements is > 0 and <= ShownElements && !is_complex())
            {
                using var scope = NewDisposeScope();
                var values = detach().reshape(-1).type(ScalarType.Float64).data<double>().ToArray();
                AppendValues(text.Append(", value = "), sizes, values);
            }
            return text.ToString();
        }

        private static void AppendValues(StringBuilder text, ReadOnlySpan<long> sizes, ReadOnlySpan<double> values)
        {
            if (sizes.Length == 0)
            {
                text.Append(values[0].ToString("G6", CultureInfo.InvariantCulture));
                return;
            }
            var step = values.Length / (int)sizes[0];
            text.Append('[');
            for (var i = 0; i < (int)sizes[0]; i++)
            {
                if (i > 0) text.Append(", ");
                AppendValues(text, sizes[1..], values.Slice(i * step, step));
            }
            text.Append(']');
        }
    }
}
