using System;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>A source of random numbers with a state of its own.</summary>
    public sealed unsafe class Generator : IDisposable
    {
        private static Generator? shared;
        private nint handle;

        /// <param name="device">null: the CPU.</param>
        /// <exception cref="System.Runtime.InteropServices.ExternalException">The device is not there.</exception>
        public Generator(ulong seed = 0, Device? device = null) : this(InitializeDevice(device), fresh: true)
        {
            manual_seed((long)seed);
        }

        /// <summary>The generator that operators use on a device when none is given.</summary>
        internal Generator(Device device) : this(device, fresh: false) { }

        private Generator(Device device, bool fresh)
        {
            this.device = device;
            Handle = Door.sdac_generator((long)device.type, device.index, fresh ? 1 : 0);
            if (handle == 0) throw Door.Error();
        }

        /// <summary>The CPU's own generator, which operators use when they are given none.</summary>
        public static Generator Default => shared ??= new(torch.CPU);

        public Device device { get; private set; }

        public IntPtr Handle
        {
            get => handle != 0 ? handle : throw new ObjectDisposedException(nameof(Generator));
            private set => handle = value;
        }

        public Generator manual_seed(long seed)
        {
            Door.Check(Door.sdac_generator_set_seed(Handle, seed));
            return this;
        }

        /// <summary>Draws a new seed from the machine's entropy, sets and returns it.</summary>
        public long seed() => Seed(drawANewOne: true);

        public long initial_seed() => Seed(drawANewOne: false);

        public Tensor get_state() => Tensor.Own((nint)Door.Check(Door.sdac_generator_state(Handle)));

        public void set_state(Tensor value)
        {
            Door.Check(Door.sdac_generator_set_state(Handle, value.Handle));
            GC.KeepAlive(value);
        }

        public void Dispose()
        {
            Free();
            GC.SuppressFinalize(this);
        }

        ~Generator() => Free();

        private long Seed(bool drawANewOne)
        {
            long seed;
            Door.Check(Door.sdac_generator_seed(Handle, drawANewOne ? 1 : 0, &seed));
            return seed;
        }

        private void Free()
        {
            if (handle != 0) Door.sdac_generator_free(handle);
            handle = 0;
        }
    }

    public static class random
    {
        /// <summary>Seeds the default generators of all devices.</summary>
        public static Generator manual_seed(long seed)
        {
            Door.Check(Door.sdac_manual_seed(seed));
            return Generator.Default;
        }

        public static long seed() => Generator.Default.seed();

        public static long initial_seed() => Generator.Default.initial_seed();

        public static Tensor get_rng_state() => Generator.Default.get_state();

        public static void set_rng_state(Tensor new_state) => Generator.Default.set_state(new_state);
    }

    public static Generator manual_seed(long seed) => random.manual_seed(seed);

    public static long seed() => random.seed();

    public static long initial_seed() => random.initial_seed();

    public static Tensor get_rng_state() => random.get_rng_state();

    public static void set_rng_state(Tensor new_state) => random.set_rng_state(new_state);
}
