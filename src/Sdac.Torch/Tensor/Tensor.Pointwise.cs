using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    public sealed partial class Tensor
    {
        public Tensor abs() => Ops.abs.Call(this);

        public Tensor abs_() => Self(Ops.abs_);

        public Tensor absolute() => abs();

        public Tensor absolute_() => abs_();

        public Tensor neg() => Ops.neg.Call(this);

        public Tensor neg_() => Self(Ops.neg_);

        public Tensor negative() => neg();

        public Tensor sign() => Ops.sign.Call(this);

        public Tensor sign_() => Self(Ops.sign_);

        public Tensor sgn() => Ops.sgn.Call(this);

        public Tensor sgn_() => Self(Ops.sgn_);

        public Tensor exp() => Ops.exp.Call(this);

        public Tensor exp_() => Self(Ops.exp_);

        public Tensor expm1() => Ops.expm1.Call(this);

        public Tensor expm1_() => Self(Ops.expm1_);

        public Tensor exp2() => Ops.exp2.Call(this);

        public Tensor log() => Ops.log.Call(this);

        public Tensor log_() => Self(Ops.log_);

        public Tensor log2() => Ops.log2.Call(this);

        public Tensor log2_() => Self(Ops.log2_);

        public Tensor log10() => Ops.log10.Call(this);

        public Tensor log10_() => Self(Ops.log10_);

        public Tensor log1p() => Ops.log1p.Call(this);

        public Tensor log1p_() => Self(Ops.log1p_);

        public Tensor sqrt() => Ops.sqrt.Call(this);

        public Tensor sqrt_() => Self(Ops.sqrt_);

        public Tensor rsqrt() => Ops.rsqrt.Call(this);

        public Tensor rsqrt_() => Self(Ops.rsqrt_);

        public Tensor square() => Ops.square.Call(this);

        public Tensor reciprocal() => Ops.reciprocal.Call(this);

        public Tensor reciprocal_() => Self(Ops.reciprocal_);

        public Tensor sin() => Ops.sin.Call(this);

        public Tensor sin_() => Self(Ops.sin_);

        public Tensor cos() => Ops.cos.Call(this);

        public Tensor cos_() => Self(Ops.cos_);

        public Tensor tan() => Ops.tan.Call(this);

        public Tensor tan_() => Self(Ops.tan_);

        public Tensor asin() => Ops.asin.Call(this);

        public Tensor asin_() => Self(Ops.asin_);

        public Tensor arcsin() => asin();

        public Tensor arcsin_() => asin_();

        public Tensor acos() => Ops.acos.Call(this);

        public Tensor acos_() => Self(Ops.acos_);

        public Tensor arccos() => acos();

        public Tensor arccos_() => acos_();

        public Tensor atan() => Ops.atan.Call(this);

        public Tensor atan_() => Self(Ops.atan_);

        public Tensor arctan() => atan();

        public Tensor arctan_() => atan_();

        public Tensor sinh() => Ops.sinh.Call(this);

        public Tensor sinh_() => Self(Ops.sinh_);

        public Tensor cosh() => Ops.cosh.Call(this);

        public Tensor cosh_() => Self(Ops.cosh_);

        public Tensor tanh() => Ops.tanh.Call(this);

        public Tensor tanh_() => Self(Ops.tanh_);

        public Tensor asinh() => Ops.asinh.Call(this);

        public Tensor asinh_() => Self(Ops.asinh_);

        public Tensor arcsinh() => asinh();

        public Tensor arcsinh_() => asinh_();

        public Tensor acosh() => Ops.acosh.Call(this);

        public Tensor acosh_() => Self(Ops.acosh_);

        public Tensor arccosh() => acosh();

        public Tensor arccosh_() => acosh_();

        public Tensor atanh() => Ops.atanh.Call(this);

        public Tensor atanh_() => Self(Ops.atanh_);

        public Tensor arctanh() => atanh();

        public Tensor arctanh_() => atanh_();

        public Tensor sigmoid() => Ops.sigmoid.Call(this);

        public Tensor sigmoid_() => Self(Ops.sigmoid_);

        public Tensor relu() => Ops.relu.Call(this);

        public Tensor relu_() => Self(Ops.relu_);

        public Tensor relu6() => Ops.relu6.Call(this);

        public Tensor relu6_() => Self(Ops.relu6_);

        public Tensor silu() => Ops.silu.Call(this);

        public Tensor silu_() => Self(Ops.silu_);

        public Tensor selu() => Ops.selu.Call(this);

        public Tensor selu_() => Self(Ops.selu_);

        public Tensor celu() => Ops.celu.Call(this);

        public Tensor celu_() => Self(Ops.celu_);

        public Tensor hardsigmoid() => Ops.hardsigmoid.Call(this);

        public Tensor hardsigmoid_() => Self(Ops.hardsigmoid_);

        public Tensor hardswish() => Ops.hardswish.Call(this);

        public Tensor hardswish_() => Self(Ops.hardswish_);

        public Tensor gelu() => Ops.gelu.Call(this);

        public Tensor floor() => Ops.floor.Call(this);

        public Tensor floor_() => Self(Ops.floor_);

        public Tensor ceil() => Ops.ceil.Call(this);

        public Tensor ceil_() => Self(Ops.ceil_);

        public Tensor trunc() => Ops.trunc.Call(this);

        public Tensor trunc_() => Self(Ops.trunc_);

        public Tensor fix() => trunc();

        public Tensor fix_() => trunc_();

        public Tensor frac() => Ops.frac.Call(this);

        public Tensor frac_() => Self(Ops.frac_);

        public Tensor erf() => Ops.erf.Call(this);

        public Tensor erf_() => Self(Ops.erf_);

        public Tensor erfc() => Ops.erfc.Call(this);

        public Tensor erfc_() => Self(Ops.erfc_);

        public Tensor erfinv() => Ops.erfinv.Call(this);

        public Tensor erfinv_() => Self(Ops.erfinv_);

        public Tensor lgamma() => Ops.lgamma.Call(this);

        public Tensor lgamma_() => Self(Ops.lgamma_);

        public Tensor digamma() => Ops.digamma.Call(this);

        public Tensor digamma_() => Self(Ops.digamma_);

        public Tensor deg2rad() => Ops.deg2rad.Call(this);

        public Tensor rad2deg() => Ops.rad2deg.Call(this);

        public Tensor sinc() => Ops.sinc.Call(this);

        public Tensor sinc_() => Self(Ops.sinc_);

        public Tensor log_sigmoid() => Ops.log_sigmoid.Call(this);

        public Tensor isnan() => Ops.isnan.Call(this);

        public Tensor isinf() => Ops.isinf.Call(this);

        public Tensor isfinite() => Ops.isfinite.Call(this);

        public Tensor isposinf() => Ops.isposinf.Call(this);

        public Tensor isneginf() => Ops.isneginf.Call(this);

        public Tensor isreal() => Ops.isreal.Call(this);

        public Tensor signbit() => Ops.signbit.Call(this);

        public Tensor positive() => Ops.positive.Call(this);

        public Tensor round(long decimals = 0) => Ops.round_decimals.Call(this, decimals);

        public Tensor round_(long decimals = 0) => Self(Ops.round__decimals, decimals);

        public Tensor elu(Scalar alpha, Scalar scale, Scalar input_scale) =>
            Ops.elu.Call(this, alpha, scale, input_scale);

        public Tensor elu_(Scalar alpha, Scalar scale, Scalar input_scale) => Self(Ops.elu_, alpha, scale, input_scale);

        public Tensor leaky_relu(Scalar negative_slope) => Ops.leaky_relu.Call(this, negative_slope);

        public Tensor leaky_relu_(Scalar negative_slope) => Self(Ops.leaky_relu_, negative_slope);

        public Tensor hardtanh(Scalar min, Scalar max) => Ops.hardtanh.Call(this, min, max);

        public Tensor hardtanh_(Scalar min, Scalar max) => Self(Ops.hardtanh_, min, max);

        public Tensor logit(double? eps = null) => Ops.logit.Call(this, eps);

        public Tensor polygamma(long p) => Ops.polygamma.Call(p, this);

        public Tensor nan_to_num(double nan = 0, double? posinf = null, double? neginf = null) =>
            Ops.nan_to_num.Call(this, nan, posinf, neginf);
    }
}
