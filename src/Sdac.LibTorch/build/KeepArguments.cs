using System;
using System.IO;
using System.Linq;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

// Compiled by MSBuild when it runs, from this one file.
namespace Sdac.LibTorch.Build
{
    /// <summary>The build step: writes <see cref="Assembly"/> to <see cref="Kept"/>, marked to be compiled without optimisation.</summary>
    /// <remarks>
    /// TorchSharp 0.107 hands libtorch the native address of a scalar or a tensor and does not keep the object alive for the
    /// length of the call (no SafeHandle, no GC.KeepAlive): in optimised code a garbage collection in that moment finalises it,
    /// and libtorch reads freed memory. In code compiled without optimisation arguments and variables live until their method
    /// returns, and with them what they own. The mark is the assembly's own DebuggableAttribute: its modes become
    /// Default | IgnoreSymbolStoreSequencePoints | DisableOptimizations (the runtime heeds the last with the first alone).
    /// </remarks>
    public sealed class KeepArguments : Task
    {
        // A blob of 8 bytes: prolog 1, one 32-bit argument, no named ones (ECMA-335 II.23.3).
        private static readonly byte[] Optimised = { 8, 1, 0, 2, 0, 0, 0, 0, 0 };
        private static readonly byte[] Unoptimised = { 8, 1, 0, 3, 1, 0, 0, 0, 0 };

        [Required]
        public string Assembly { get; set; }

        [Required]
        public string Kept { get; set; }

        public override bool Execute()
        {
            try
            {
                var assembly = File.ReadAllBytes(Assembly);
                var at = Find(assembly, 0);
                if (at < 0 || Find(assembly, at + 1) >= 0)
                    throw new InvalidDataException("its DebuggableAttribute was not found exactly once");
                Unoptimised.CopyTo(assembly, at);
                // Projects build side by side: the file appears whole, by a copy of a finished one, whoever is first.
                var temporary = Kept + "." + Guid.NewGuid().ToString("N");
                File.WriteAllBytes(temporary, assembly);
                File.Copy(temporary, Kept, true);
                File.Delete(temporary);
                return true;
            }
            catch (Exception e) when (e is IOException || e is InvalidDataException || e is UnauthorizedAccessException)
            {
                Log.LogError("{0} cannot be prepared to keep what it gives libtorch alive: {1}", Assembly, e.Message);
                return false;
            }
        }

        private static int Find(byte[] assembly, int from)
        {
            for (var at = Array.IndexOf(assembly, Optimised[0], from); at >= 0; at = Array.IndexOf(assembly, Optimised[0], at + 1))
            {
                if (assembly.Skip(at).Take(Optimised.Length).SequenceEqual(Optimised))
                    return at;
            }
            return -1;
        }
    }
}
