using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public sealed partial class Tensor
    {
        public Tensor normal_(double mean = 0, double std = 1, Generator? generator = null) =>
            Self(Ops.normal_, mean, std, generator);

        public Tensor uniform_(double from, double to, Generator? generator = null) =>
            Self(Ops.uniform_, from, to, generator);

        /// <summary>Whole numbers from <paramref name="from"/> to below <paramref name="to"/>.</summary>
        public Tensor random_(double from, double to, Generator? generator = null) =>
            Self(Ops.random__from, (long)from, (long)to, generator);

        public Tensor exponential_(double lambda = 1, Generator? generator = null) =>
            Self(Ops.exponential_, lambda, generator);

        public Tensor bernoulli(Generator? generator = null) => Ops.bernoulli.Call(this, generator);

        public Tensor bernoulli_(double p = 0.5, Generator? generator = null) =>
            Self(Ops.bernoulli__float, p, generator);

        public Tensor bernoulli_(Tensor p, Generator? generator = null) => Self(Ops.bernoulli__Tensor, p, generator);

        public Tensor multinomial(long num_samples, bool replacement = false, Generator? generator = null) =>
            Ops.multinomial.Call(this, num_samples, replacement, generator);

        public Tensor poisson(Generator? generator = null) => Ops.poisson.Call(this, generator);
    }
}
