using System;
using System.Runtime.InteropServices;
using System.Threading;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>
    /// An n-dimensional array of libtorch's. It belongs to the dispose scope that was innermost at its creation;
    /// outside of scopes, to whoever made it, and the finalizer frees it when all else forgot.
    /// </summary>
    public sealed partial class Tensor : IDisposable
    {
        private static long totalCount;
        private static long peakCount;

        private nint handle;

        private Tensor(nint handle)
        {
            this.handle = handle;
            var scopes = DisposeScopeManager.Current;
            OwningScope = scopes.Innermost;
            OwningScope?.Add(this);
            scopes.Counts.Created();
            CountOneMore();
        }

        internal DisposeScope? OwningScope { get; set; }

        /// <summary>libtorch's own pointer (TensorImpl*).</summary>
        /// <exception cref="ObjectDisposedException">The tensor was disposed, by hand or with its scope.</exception>
        public IntPtr Handle => handle != 0
            ? handle
            : throw new ObjectDisposedException(nameof(Tensor),
                "The tensor is disposed: it was disposed by hand or its dispose scope has ended.");

        public bool IsInvalid => handle == 0;

        /// <summary>Tensors alive in this process.</summary>
        public static long TotalCount => Interlocked.Read(ref totalCount);

        /// <summary>The most tensors that were ever alive at one time.</summary>
        public static long PeakCount => Interlocked.Read(ref peakCount);

        /// <summary>Takes a native result over.</summary>
        internal static Tensor Own(in NativeValue result) => Own((nint)result.Bits);

        internal static Tensor Own(nint handle) => handle != 0
            ? new(handle)
            : throw new ExternalException("libtorch returned an undefined tensor.");

        public static Tensor UnsafeCreateTensor(IntPtr handle) => Own(handle);

        /// <summary>
        /// Gives the native tensor away: this object is as if disposed, and the caller owns the pointer.
        /// </summary>
        public IntPtr DecoupleFromNativeHandle()
        {
            var given = Handle;
            handle = 0;
            Forget();
            return given;
        }

        public void Dispose()
        {
            Release();
            GC.SuppressFinalize(this);
        }

        ~Tensor() => Release();

        public Tensor MoveToOuterDisposeScope()
        {
            OwningScope?.MoveToOuter<Tensor>(this);
            return this;
        }

        public Tensor DetachFromDisposeScope()
        {
            OwningScope?.Detach<Tensor>(this);
            return this;
        }

        private void Release()
        {
            if (handle == 0) return;
            Door.sdac_release(handle);
            handle = 0;
            Forget();
        }

        private void Forget()
        {
            OwningScope?.MarkAsDisposed(this);
            OwningScope = null;
            DisposeScopeManager.Current.Counts.Disposed();
            Interlocked.Decrement(ref totalCount);
        }

        private static void CountOneMore()
        {
            var now = Interlocked.Increment(ref totalCount);
            while (true)
            {
                var peak = Interlocked.Read(ref peakCount);
                if (now <= peak || Interlocked.CompareExchange(ref peakCount, now, peak) == peak) return;
            }
        }
    }
}
