using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

// Compiled by MSBuild when it runs, from this one file.
namespace Sdac.LibTorch.Build
{
    /// <summary>The build step: writes <see cref="Library"/> with one version requirement marked weak to <see cref="Marked"/>.</summary>
    public sealed class MarkWeakVersion : Task
    {
        [Required]
        public string Library { get; set; }

        [Required]
        public string Version { get; set; }

        [Required]
        public string Marked { get; set; }

        public override bool Execute()
        {
            try
            {
                // Projects build side by side: the file appears whole, by a rename, whoever is first.
                var temporary = Marked + "." + Guid.NewGuid().ToString("N");
                File.WriteAllBytes(temporary, WeakVersions.Mark(File.ReadAllBytes(Library), Version));
                File.Copy(temporary, Marked, true);
                File.Delete(temporary);
                return true;
            }
            catch (Exception e) when (e is IOException || e is InvalidDataException || e is UnauthorizedAccessException)
            {
                Log.LogError("{0} cannot be prepared for this system's C++ library: {1}", Library, e.Message);
                return false;
            }
        }
    }

    /// <summary>
    /// Marks one version requirement of a 64-bit little-endian ELF library as weak, so that the loader accepts a system
    /// library that lacks it. Right only where no symbol in use needs the version.
    /// </summary>
    /// <remarks>
    /// TorchSharp's libLibTorchSharp.so (0.107.0) asks for GLIBCXX_3.4.32 of GCC 13 for _ZSt21ios_base_library_initv alone,
    /// which nothing in it refers to: Debian 12 and Ubuntu 22.04 have everything else. (System V ABI, "Symbol versioning":
    /// section SHT_GNU_verneed, Elfxx_Verneed and Elfxx_Vernaux.)
    /// </remarks>
    internal static class WeakVersions
    {
        private const uint VerneedSection = 0x6ffffffe;
        private const ushort Weak = 2;

        /// <summary>The library with that requirement marked weak, or the same bytes where it does not ask for it.</summary>
        /// <exception cref="InvalidDataException">No 64-bit little-endian ELF file, or a damaged one, or the name twice.</exception>
        internal static byte[] Mark(byte[] library, string version)
        {
            var found = Find(library, version);
            if (found < 0)
                return library;
            var marked = (byte[])library.Clone();
            var flags = (ushort)(BitConverter.ToUInt16(marked, found) | Weak);
            BitConverter.GetBytes(flags).CopyTo(marked, found);
            return marked;
        }

        // The place of vna_flags in the entry for `version`, or -1.
        private static int Find(byte[] file, string version)
        {
            if (file.Length < 64 || file[0] != 0x7f || file[1] != 'E' || file[2] != 'L' || file[3] != 'F' || file[4] != 2 || file[5] != 1)
                throw new InvalidDataException("not a 64-bit little-endian ELF file");
            try
            {
                int sections = checked((int)BitConverter.ToUInt64(file, 0x28)), size = BitConverter.ToUInt16(file, 0x3a);
                var count = BitConverter.ToUInt16(file, 0x3c);
                var found = -1;
                for (var i = 0; i < count; i++)
                {
                    var header = sections + i * size;
                    if (BitConverter.ToUInt32(file, header + 4) != VerneedSection)
                        continue;
                    var strings = sections + BitConverter.ToInt32(file, header + 0x28) * size;
                    var names = checked((int)BitConverter.ToUInt64(file, strings + 0x18));
                    var need = checked((int)BitConverter.ToUInt64(file, header + 0x18));
                    for (var left = BitConverter.ToInt32(file, header + 0x2c); left > 0; left--)
                    {
                        var entry = need + BitConverter.ToInt32(file, need + 8);
                        for (int rest = BitConverter.ToUInt16(file, need + 2); rest > 0; rest--)
                        {
                            if (BitConverter.ToUInt32(file, entry) == Hash(version)
                                && Name(file, names + BitConverter.ToInt32(file, entry + 8)) == version)
                            {
                                if (found >= 0)
                                    throw new InvalidDataException("asks for " + version + " of two libraries");
                                found = entry + 4;
                            }
                            entry += BitConverter.ToInt32(file, entry + 12);
                        }
                        need += BitConverter.ToInt32(file, need + 12);
                    }
                }
                return found;
            }
            catch (Exception e) when (e is ArgumentException || e is IndexOutOfRangeException || e is OverflowException)
            {
                throw new InvalidDataException("a damaged ELF file: " + e.Message, e);
            }
        }

        // The System V ABI's hash of names.
        private static uint Hash(string name)
        {
            uint hash = 0;
            foreach (var c in name)
            {
                hash = (hash << 4) + c;
                var top = hash & 0xf0000000;
                hash = (hash ^ (top >> 24)) & ~top;
            }
            return hash;
        }

        private static string Name(byte[] file, int start)
        {
            var end = Array.IndexOf(file, (byte)0, start);
            return Encoding.ASCII.GetString(file, start, end - start);
        }
    }
}
