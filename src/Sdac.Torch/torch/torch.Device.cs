using System;
using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public static readonly Device CPU = new(DeviceType.CPU, -1);
    public static readonly Device META = new(DeviceType.META, -1);

    /// <summary>Where a tensor lives: a kind of device and its number (-1: the current one).</summary>
    public sealed class Device
    {
        public DeviceType type { get; private set; }

        public int index { get; private set; }

        public Device(DeviceType deviceType, int index)
        {
            type = deviceType;
            this.index = index;
        }

        public Device(int index) : this(DeviceType.CUDA, index) { }

        public Device(string deviceType, int index) : this(ParseType(deviceType, deviceType), index) { }

        /// <param name="description">"cpu", "cuda", "cuda:1"...</param>
        /// <exception cref="ArgumentException">Not the name of a device.</exception>
        public Device(string description)
        {
            var colon = description.IndexOf(':', StringComparison.Ordinal);
            type = ParseType(colon < 0 ? description : description[..colon], description);
            index = -1;
            if (colon < 0) return;
            var number = description.AsSpan(colon + 1);
            if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var i))
                throw NotADevice(description);
            index = i;
        }

        public static implicit operator Device(string description) => new(description);

        public override string ToString()
        {
            var name = type.ToString().ToLowerInvariant();
            return index < 0 ? name : $"{name}:{index.ToString(CultureInfo.InvariantCulture)}";
        }

        private static DeviceType ParseType(string name, string description) => name switch
        {
            "cpu" => DeviceType.CPU,
            "cuda" => DeviceType.CUDA,
            "meta" => DeviceType.META,
            _ => throw NotADevice(description),
        };

        private static ArgumentException NotADevice(string description) =>
            new($"'{description}' is not a device: use \"cpu\", \"cuda\" or \"cuda:N\".", nameof(description));
    }

    public static Device device(string description) => new(description);

    public static Device device(string deviceType, int index = -1) => new(deviceType, index);

    public static Device device(DeviceType deviceType, int index = -1) => new(deviceType, index);

    public static Device device(int index) => new(index);

    /// <summary>Makes a device ready for use.</summary>
    /// <exception cref="ExternalException">The device is not there.</exception>
    public static Device InitializeDevice(Device? device)
    {
        device ??= CPU;
        InitializeDeviceType(device.type);
        if (device.type == DeviceType.CUDA && device.index >= cuda.device_count())
            throw new ExternalException(
                $"Device {device} was asked for, but this machine has {cuda.device_count()} CUDA device(s).");
        return device;
    }

    /// <inheritdoc cref="InitializeDevice"/>
    public static void InitializeDeviceType(DeviceType deviceType)
    {
        if (deviceType != DeviceType.CUDA) return;
        if (!cuda.is_available())
            throw new ExternalException(
                "CUDA was asked for, but this libtorch or this machine has none: use the device \"cpu\", or build with "
                + "LIBTORCH naming a CUDA libtorch on a machine with an NVIDIA GPU and driver.");
        Door.Check(Door.sdac_init_cuda());
    }

    public static bool TryInitializeDeviceType(DeviceType deviceType)
    {
        if (deviceType == DeviceType.CUDA && !cuda.is_available()) return false;
        InitializeDeviceType(deviceType);
        return true;
    }

    public static bool cuda_is_available() => cuda.is_available();

    public static class cuda
    {
        public static bool is_available() => device_count() > 0;

        public static int device_count() => Math.Max(0, Door.sdac_cuda_devices());

        public static bool is_cudnn_available() => is_available() && Door.sdac_has_cudnn() == 1;

        /// <summary>
        /// Seeds the current CUDA device's generator; as in PyTorch, nothing happens where there is no CUDA.
        /// </summary>
        public static void manual_seed(long seed)
        {
            if (is_available()) new Generator(new Device(DeviceType.CUDA, -1)).manual_seed(seed);
        }

        /// <summary>Seeds the generators of all CUDA devices.</summary>
        public static void manual_seed_all(long seed)
        {
            for (var i = 0; i < device_count(); i++) new Generator(new Device(DeviceType.CUDA, i)).manual_seed(seed);
        }
    }
}
