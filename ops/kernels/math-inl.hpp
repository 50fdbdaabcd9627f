// Elementary functions on vectors of f32 and f64: reduce the argument, evaluate a polynomial, put together
// again. The coefficients come from tools/fit_polynomials.py; what errors to expect is asserted in
// tests/ops/loop_math.cpp. Where there are no vectors the C library does it all. Compiled once for each
// instruction set (Highway's include guard).
#include <tapestry/ops/kernels/math_tables.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <hwy/highway.h>

#if defined(TAPESTRY_KERNELS_MATH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_MATH_INL
#undef TAPESTRY_KERNELS_MATH_INL
#else
#define TAPESTRY_KERNELS_MATH_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE::math {
namespace hn = hwy::HWY_NAMESPACE;

/// f, lane by lane.
template <class D, class F, class V = hn::Vec<D>>
HWY_INLINE V each(D d, F f, V x, V y) {
  using T = hn::TFromD<D>;
  HWY_ALIGN T a[HWY_MAX_BYTES / sizeof(T)], b[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(x, d, a);
  hn::Store(y, d, b);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) a[i] = f(a[i], b[i]);
  return hn::Load(d, a);
}

/// P(N <= x) + x p(x) for a standard normal N of density p, in f64 where there are no vectors of it.
inline double gelu_slope(double x) {
  if (std::isinf(x)) return x > 0;
  constexpr double kDensity = 0.3989422804014327;
  return std::erfc(x * -0.7071067811865476) / 2 + x * (std::exp(x * x / -2) * kDensity);
}

#define TAPESTRY_EACH(NAME, D, X) \
  each(                           \
      D, [](hn::TFromD<decltype(D)> a, hn::TFromD<decltype(D)>) { return std::NAME(a); }, X, X)

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

#define TAPESTRY_SCALAR(NAME)                     \
  template <class D>                              \
  HWY_INLINE hn::Vec<D> NAME(D d, hn::Vec<D> x) { \
    return TAPESTRY_EACH(NAME, d, x);             \
  }
TAPESTRY_SCALAR(exp)
TAPESTRY_SCALAR(expm1)
TAPESTRY_SCALAR(log)
TAPESTRY_SCALAR(log1p)
TAPESTRY_SCALAR(sin)
TAPESTRY_SCALAR(cos)
TAPESTRY_SCALAR(tanh)
TAPESTRY_SCALAR(erf)
#undef TAPESTRY_SCALAR

template <class D>
HWY_INLINE hn::Vec<D> gelu_slope(D d, hn::Vec<D> x) {
  using T = hn::TFromD<D>;
  return each(
      d, [](T a, T) { return T(gelu_slope(double(a))); }, x, x);
}

template <class D>
HWY_INLINE hn::Vec<D> pow(D d, hn::Vec<D> x, hn::Vec<D> y) {
  using T = hn::TFromD<D>;
  return each(
      d, [](T a, T b) { return std::pow(a, b); }, x, y);
}

#else

/// c[0] + c[1] x + c[2] x^2 + ...
template <class D, class V, class... C>
HWY_INLINE V polynomial(D d, V x, double first, C... rest) {
  const V c = hn::Set(d, hn::TFromD<D>(first));
  if constexpr (sizeof...(rest) == 0) {
    return c;
  } else {
    return hn::MulAdd(polynomial(d, x, rest...), x, c);
  }
}

template <class D>
constexpr bool kIsF32 = std::is_same_v<hn::TFromD<D>, float>;
template <class D>
constexpr int kFraction = std::numeric_limits<hn::TFromD<D>>::digits - 1;
template <class D>
using Int = hn::RebindToSigned<D>;

/// x rounded to an integer by adding a number so large that its unit is 1: as a float, and as an int.
template <class D, class V>
struct Rounded {
  V value;
  hn::Vec<Int<D>> integer;

  HWY_INLINE Rounded(D d, V x, V scale) {
    using T = hn::TFromD<D>;
    const V large = hn::Set(d, T(1.5) * T(std::int64_t{1} << kFraction<D>));
    const V sum = hn::MulAdd(x, scale, large);
    value = hn::Sub(sum, large);
    integer = hn::Sub(hn::BitCast(Int<D>(), sum), hn::BitCast(Int<D>(), large));
  }
};

template <class D, class VI>
HWY_INLINE hn::Vec<D> power_of_two(D d, VI n) {
  const VI bias = hn::Set(Int<D>(), std::numeric_limits<hn::TFromD<D>>::max_exponent - 1);
  return hn::BitCast(d, hn::ShiftLeft<kFraction<D>>(hn::Add(n, bias)));
}

/// y 2^n, n a float of an integer (also given as one). What is or becomes subnormal or infinite takes two
/// steps, but AVX-512 has an instruction.
template <class D, class V, class VI>
HWY_INLINE V scale(D, V y, V n, VI integer) {
#if HWY_TARGET == HWY_AVX3
  (void)integer;
  if constexpr (kIsF32<D>) {
    return V{_mm512_scalef_ps(y.raw, n.raw)};
  } else {
    return V{_mm512_scalef_pd(y.raw, n.raw)};
  }
#else
  (void)n;
  const D d;
  const VI half = hn::ShiftRight<1>(integer);
  return hn::Mul(hn::Mul(y, power_of_two(d, half)), power_of_two(d, hn::Sub(integer, half)));
#endif
}

/// x between low and high. NaN comes through: x86's minimum and maximum are then the second operand, ARM's
/// NaN.
template <class D, class V>
HWY_INLINE V clamp(D d, V x, double low, double high) {
  using T = hn::TFromD<D>;
  return hn::Min(hn::Set(d, T(high)), hn::Max(hn::Set(d, T(low)), x));
}

/// x = n ln 2 + r with |r| <= ln 2 / 2. For x between low and high.
template <class D, class V>
struct ExpParts {
  Rounded<D, V> n;
  V r;

  HWY_INLINE ExpParts(D d, V x, double low, double high) : ExpParts(d, clamp(d, x, low, high)) {}

  /// (e^r - 1 - r) / r^2
  HWY_INLINE V rest(D d) const {
    if constexpr (kIsF32<D>) {
      return polynomial(d, r, 0.500000001, 0.166666667, 0.0416664627, 0.00833331067, 0.00139339001,
                        0.000198912685);
    } else {
      return polynomial(d, r, 0.5, 0.166666666666666711, 0.0416666666666666696, 0.00833333333332597311,
                        0.00138888888888837605, 0.000198412698753854795, 0.0000248015873257091134,
                        2.75572546857288025e-6, 2.75572733332115408e-7, 2.51055135418470849e-8,
                        2.09148384312006597e-9);
    }
  }

 private:
  HWY_INLINE ExpParts(D d, V x) : n(d, x, hn::Set(d, hn::TFromD<D>(1.4426950408889634))) {
    using T = hn::TFromD<D>;
    r = hn::NegMulAdd(n.value, hn::Set(d, T(kIsF32<D> ? tables::kLn2High : 0x1.62e42ffp-1)), x);
    r = hn::NegMulAdd(n.value, hn::Set(d, T(kIsF32<D> ? tables::kLn2Low : -0x1.718432a1b0e26p-35)), r);
  }
};

/// table[k] for k of at least 4 bits, of which the lowest 4 count.
template <class D, class VI>
HWY_INLINE hn::Vec<D> look_up(D d, const float (&table)[16], VI k) {
#if HWY_TARGET == HWY_AVX3
  return hn::TableLookupLanes(hn::Load(d, table), hn::Indices512<float>{k.raw});
#elif HWY_TARGET == HWY_AVX2
  const hn::Vec<D> low{_mm256_permutevar8x32_ps(hn::Load(d, table).raw, k.raw)};
  const hn::Vec<D> high{_mm256_permutevar8x32_ps(hn::Load(d, table + 8).raw, k.raw)};
  // Its sign decides: bit 3 of k.
  return hn::Vec<D>{_mm256_blendv_ps(low.raw, high.raw, hn::BitCast(d, hn::ShiftLeft<28>(k)).raw)};
#else
  return hn::GatherIndex(d, table, hn::And(k, hn::Set(Int<D>(), 15)));
#endif
}

/// Within 1 ulp.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp(D d, V x) {
  if constexpr (kIsF32<D>) {
    const V clamped = clamp(d, x, tables::kExpLow, tables::kExpHigh);
    const V rounder = hn::Set(d, tables::kExpRounder);
    const V sum = hn::MulAdd(clamped, hn::Set(d, tables::kLog2E), rounder), n = hn::Sub(sum, rounder);
    const auto sixteenths = hn::BitCast(Int<D>(), sum);
    V r = hn::NegMulAdd(n, hn::Set(d, tables::kLn2High), clamped);
    r = hn::NegMulAdd(n, hn::Set(d, tables::kLn2Low), r);
    const V rest = hn::MulAdd(hn::Set(d, tables::kExp[1]), r, hn::Set(d, tables::kExp[0]));
    const V power = look_up(d, tables::kExpPowers, sixteenths);
    const V y = hn::MulAdd(hn::MulAdd(rest, hn::Mul(r, r), r), power, power);
    const auto from_zero = hn::Sub(sixteenths, hn::BitCast(Int<D>(), rounder));
    return scale(d, y, n, hn::ShiftRight<4>(from_zero));
  } else {
    // Beyond these it is 0 or infinite.
    const ExpParts<D, V> parts(d, x, -746, 710);
    const V r = parts.r, y = hn::Add(hn::MulAdd(hn::Mul(r, r), parts.rest(d), r), hn::Set(d, 1));
    return scale(d, y, parts.n.value, parts.n.integer);
  }
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V expm1(D d, V x) {
  const ExpParts<D, V> parts(d, x, kIsF32<D> ? -20 : -40, kIsF32<D> ? 89 : 710);
  // 2^n (e^r - 1 + 1 - 2^-n)
  const auto least = hn::Set(Int<D>(), std::numeric_limits<hn::TFromD<D>>::min_exponent - 1);
  const V one = hn::Sub(hn::Set(d, 1), power_of_two(d, hn::Max(hn::Neg(parts.n.integer), least)));
  const V r = parts.r, rest = hn::MulAdd(hn::Mul(r, r), parts.rest(d), r);
  return scale(d, hn::Add(rest, one), parts.n.value, parts.n.integer);
}

/// log(u) + correction, for finite u > 0. With u = 2^k (1 + f), s = f / (2 + f): log(1 + f) = 2 s + s^3
/// p(s^2), summed from f - f^2 / 2 downwards as in Sun's fdlibm (1993).
template <class D, class V>
HWY_INLINE V log_finite(D d, V u, V correction) {
  using T = hn::TFromD<D>;
  const Int<D> di;
  const auto tiny = hn::Lt(u, hn::Set(d, std::numeric_limits<T>::min()));
  u = hn::IfThenElse(tiny, hn::Mul(u, hn::Set(d, T(std::int64_t{1} << (kFraction<D> + 1)))), u);
  // k such that 1 + f lies in [sqrt 1/2, sqrt 2).
  const auto bits = hn::BitCast(di, u);
  const auto from_low = hn::Sub(bits, hn::BitCast(di, hn::Set(d, T(0.70710678118654752))));
  const auto exponent = hn::ShiftRight<kFraction<D>>(from_low);
  const V f = hn::Sub(hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<kFraction<D>>(exponent))), hn::Set(d, 1));
  V k = hn::ConvertTo(d, exponent);
  k = hn::Sub(k, hn::IfThenElseZero(tiny, hn::Set(d, T(kFraction<D> + 1))));

  const V s = hn::Div(f, hn::Add(hn::Set(d, 2), f));
  const V z = hn::Mul(s, s);
  V p;
  if constexpr (kIsF32<D>) {
    p = polynomial(d, z, 0.666666665, 0.400001256, 0.28550397, 0.233419434);
  } else {
    p = polynomial(d, z, 0.666666666666666991, 0.399999999998932218, 0.285714286288109956,
                   0.222222106742385152, 0.181829225135159416, 0.153306173067433049, 0.146300313641228605);
  }
  const V half_square = hn::Mul(hn::Mul(hn::Set(d, T(0.5)), f), f);
  const V ln2_high = hn::Set(d, T(kIsF32<D> ? tables::kLn2High : 0x1.62e42ffp-1));
  const V ln2_low = hn::Set(d, T(kIsF32<D> ? tables::kLn2Low : -0x1.718432a1b0e26p-35));
  const V low = hn::MulAdd(s, hn::MulAdd(z, p, half_square), hn::MulAdd(k, ln2_low, correction));
  return hn::MulSub(k, ln2_high, hn::Sub(hn::Sub(half_square, low), f));
}

/// y where x > low; -infinity at low, NaN below, infinity at infinity.
template <class D, class V>
HWY_INLINE V log_edges(D d, V x, V y, V low) {
  using Limits = std::numeric_limits<hn::TFromD<D>>;
  const V infinity = hn::Set(d, Limits::infinity());
  const V edge = hn::IfThenElse(hn::Eq(x, low), hn::Neg(infinity), hn::Set(d, Limits::quiet_NaN()));
  return hn::IfThenElse(hn::Gt(x, low), hn::IfThenElse(hn::Eq(x, infinity), x, y), edge);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V log(D d, V x) {
  return log_edges(d, x, log_finite(d, x, hn::Zero(d)), hn::Zero(d));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V log1p(D d, V x) {
  const V one = hn::Set(d, 1);
  const V u = hn::Add(one, x);
  // What rounding u lost, to first order.
  const V lost = hn::IfThenElse(hn::Ge(x, one), hn::Sub(one, hn::Sub(u, x)), hn::Sub(x, hn::Sub(u, one)));
  return log_edges(d, x, log_finite(d, u, hn::Div(lost, u)), hn::Neg(one));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh(D d, V x) {
  const V a = hn::Abs(x), one = hn::Set(d, 1), two = hn::Set(d, 2);
  if constexpr (kIsF32<D>) {
    const V z = hn::Mul(x, x);
    const V p = polynomial(d, z, -0.333333289, 0.133327697, -0.0538509096, 0.020997179, -0.00609671417);
    const V small = hn::MulAdd(hn::Mul(x, z), p, x);
    const V large = hn::Sub(one, hn::Div(two, hn::Add(exp(d, hn::Add(a, a)), one)));
    return hn::CopySign(hn::IfThenElse(hn::Lt(a, hn::Set(d, 0.625f)), small, large), x);
  } else {
    const V e = expm1(d, hn::Min(hn::Add(a, a), hn::Set(d, 44)));  // from there on it is 1
    const V y = hn::CopySign(hn::Div(e, hn::Add(e, two)), x);
    return hn::IfThenElse(hn::IsNaN(x), x, y);
  }
}

/// f32: within 1.25 ulp, without branches.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V erf(D d, V x) {
  if constexpr (kIsF32<D>) {
    // Not above; NaN comes through.
    const V a = hn::Min(hn::Set(d, tables::kErfOne), hn::Abs(x));
    const V rounder = hn::Set(d, tables::kErfRounder), sum = hn::Add(a, rounder);
    const auto k = hn::BitCast(Int<D>(), sum);
    const V t = hn::Sub(a, hn::Sub(sum, rounder));
    V p = look_up(d, tables::kErf[5], k);
    for (int j = 4; j > 0; --j) p = hn::MulAdd(p, t, look_up(d, tables::kErf[j], k));
    const auto later = hn::Gt(a, hn::Set(d, tables::kErfFirst));
    const V first = hn::IfThenElse(later, look_up(d, tables::kErf[0], k), t);
    return hn::CopySign(hn::MulAdd(p, t, first), x);
  } else {
    return TAPESTRY_EACH(erf, d, x);
  }
}

/// The derivative of GELU. f32: within 1.3e-7, without branches.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_slope(D d, V x) {
  if constexpr (kIsF32<D>) {
    const V a = hn::Min(hn::Set(d, tables::kGeluSlopeOne), hn::Abs(x));  // NaN comes through
    const V rounder = hn::Set(d, tables::kGeluSlopeRounder);
    const V sum = hn::MulAdd(a, hn::Set(d, tables::kGeluSlopeParts), rounder);
    const auto k = hn::BitCast(Int<D>(), sum);
    const V t = hn::NegMulAdd(hn::Sub(sum, rounder), hn::Set(d, tables::kGeluSlopeWidth), a);
    V p = look_up(d, tables::kGeluSlope[5], k);
    for (int j = 4; j >= 0; --j) p = hn::MulAdd(p, t, look_up(d, tables::kGeluSlope[j], k));
    return hn::Add(hn::CopySign(p, x), hn::Set(d, 0.5f));
  } else {
    return each(
        d, [](double v, double) { return gelu_slope(v); }, x, x);
  }
}

/// f, a function of f64 vectors, for f32.
template <class D, class F, class... V>
HWY_INLINE hn::Vec<D> through_f64(D d, F f, V... x) {
  const hn::Half<D> half;
  const hn::Rebind<double, decltype(half)> wide;
  const auto low = f(wide, hn::PromoteTo(wide, hn::LowerHalf(half, x))...);
  const auto high = f(wide, hn::PromoteTo(wide, hn::UpperHalf(half, x))...);
  return hn::Combine(d, hn::DemoteTo(half, high), hn::DemoteTo(half, low));
}

/// sin(x), or cos(x), of f64 with |x| < 2^20: n pi / 2 is taken off in three parts.
template <bool cosine, class D, class V>
HWY_INLINE V sine(D d, V x) {
  const Int<D> di;
  const Rounded<D, V> n(d, x, hn::Set(d, 0x1.45f306dc9c883p-1));
  V r = hn::NegMulAdd(n.value, hn::Set(d, 0x1.921fb54442d18p+0), x);
  r = hn::NegMulAdd(n.value, hn::Set(d, 0x1.1a62633145c07p-54), r);
  r = hn::NegMulAdd(n.value, hn::Set(d, -0x1.f1976b7ed8fbcp-110), r);
  const V z = hn::Mul(r, r), one = hn::Set(d, 1), half = hn::Mul(hn::Set(d, 0.5), z);
  const V s = polynomial(d, z, -0.166666666666666646, 0.00833333333333092456, -0.000198412698367224178,
                         2.75573160838163586e-6, -2.50511279440141876e-8, 1.5917848524808261e-10);
  const V c = polynomial(d, z, 0.0416666666666666654, -0.00138888888888873823, 0.0000248015872987430693,
                         -2.75573172600088382e-7, 2.08761438279931325e-9, -1.13824567780613058e-11);
  const V sin_r = hn::MulAdd(hn::Mul(r, z), s, r);
  const V w = hn::Sub(one, half);
  const V cos_r = hn::Add(w, hn::MulAdd(hn::Mul(z, z), c, hn::Sub(hn::Sub(one, w), half)));
  // The quarters of the circle.
  const auto quarter = cosine ? hn::Add(n.integer, hn::Set(di, 1)) : n.integer;
  const auto odd = hn::MaskFromVec(hn::BitCast(d, hn::Neg(hn::And(quarter, hn::Set(di, 1)))));
  const V sign = hn::BitCast(d, hn::ShiftLeft<62>(hn::And(quarter, hn::Set(di, 2))));
  const V y = hn::Xor(hn::IfThenElse(odd, cos_r, sin_r), sign);
  return cosine ? y : hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y);  // -0
}

template <class D, class V>
HWY_INLINE bool is_far(D d, V x) {
  return !hn::AllFalse(d, hn::Gt(hn::Abs(x), hn::Set(d, 0x1p20f)));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V sin(D d, V x) {
  if (HWY_UNLIKELY(is_far(d, x))) return TAPESTRY_EACH(sin, d, x);
  if constexpr (kIsF32<D>) {
    return through_f64(
        d, [](auto wide, auto v) HWY_ATTR { return sine<false>(wide, v); }, x);
  } else {
    return sine<false>(d, x);
  }
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V cos(D d, V x) {
  if (HWY_UNLIKELY(is_far(d, x))) return TAPESTRY_EACH(cos, d, x);
  if constexpr (kIsF32<D>) {
    return through_f64(
        d, [](auto wide, auto v) HWY_ATTR { return sine<true>(wide, v); }, x);
  } else {
    return sine<true>(d, x);
  }
}

/// x^y of f64 to the precision of f32, with the special cases of IEEE 754.
template <class D, class V>
HWY_INLINE V pow_wide(D d, V x, V y) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1), half = hn::Mul(hn::Set(d, 0.5), y), a = hn::Abs(x);
  V r = exp(d, hn::Mul(y, log(d, a)));
  const auto whole = hn::Eq(hn::Floor(y), y), even = hn::Eq(hn::Floor(half), half);
  const auto finite_negative = hn::And(hn::Lt(x, zero), hn::IsFinite(x));
  // 1^y, (-1)^infinity
  r = hn::IfThenElse(hn::And(hn::Eq(a, one), hn::Or(hn::Not(hn::IsNaN(y)), hn::Eq(x, one))), one, r);
  r = hn::IfThenElse(hn::AndNot(even, whole), hn::CopySign(r, x), r);
  r = hn::IfThenElse(hn::AndNot(whole, finite_negative), hn::Set(d, std::numeric_limits<double>::quiet_NaN()),
                     r);
  return hn::IfThenElse(hn::Eq(y, zero), one, r);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V pow(D d, V x, V y) {
  if constexpr (kIsF32<D>) {
    return through_f64(
        d, [](auto wide, auto a, auto b) HWY_ATTR { return pow_wide(wide, a, b); }, x, y);
  } else {
    return each(
        d, [](double a, double b) { return std::pow(a, b); }, x, y);
  }
}

#endif
#undef TAPESTRY_EACH

}  // namespace tapestry::kernels::HWY_NAMESPACE::math
HWY_AFTER_NAMESPACE();

#endif
