// How far the elementary functions of fused loops are from the truth, in units of the last place (ulp).
#include "../support/naive_loop.hpp"
#include "../support/simd_targets.hpp"
#include "../support/special_numbers.hpp"

#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::kernels;
using test::kNan;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
std::vector<T> apply(Code code, const std::vector<T>& a, const std::vector<T>& b) {
  const auto n = std::int64_t(a.size());
  const Lane lane = std::is_same_v<T, float> ? Lane::f32 : Lane::f64;
  const CompiledLoop compiled({.extents = {n},
                               .lane = lane,
                               .inputs = {{dtype_of<T>, {1}}, {dtype_of<T>, {1}}},
                               .code = {{code, Operand::input(0), Operand::input(1)}},
                               .outputs = {{Operand::result(0), dtype_of<T>, Reduce::none, {1}}}});
  std::vector<T> out(a.size());
  const void* inputs[] = {a.data(), b.data()};
  void* outputs[] = {out.data()};
  compiled.run(inputs, outputs, nullptr);
  return out;
}

/// |got - want| over the distance between neighbours at `want`; 0 if both are NaN.
template <class T>
double ulps(T got, long double want) {
  const T rounded = T(want);
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : kInfinity;
  if (got == rounded) return 0;
  if (std::isinf(got) || std::isinf(rounded)) {
    // One of them is the largest finite number.
    const T other = std::isinf(got) ? rounded : got;
    return std::abs(other) == std::numeric_limits<T>::max() && (got > 0) == (rounded > 0) ? 1 : kInfinity;
  }
  const T a = std::max(std::abs(rounded), std::numeric_limits<T>::min());
  const long double unit = (long double)(a) - (long double)(std::nextafter(a, T(0)));
  return double(std::abs((long double)(got)-want) /
                (a == std::exp2(std::floor(std::log2(a))) ? 2 * unit : unit));
}

template <class T>
std::vector<T> magnitudes(std::mt19937& random, int count, double low, double high, bool negative) {
  // Half even, half even in the logarithm, down to subnormal numbers.
  std::vector<T> values;
  std::uniform_real_distribution<double> even(low, high), sign(-1, 1);
  std::uniform_real_distribution<double> exponent(std::numeric_limits<T>::min_exponent - 20, std::log2(high));
  for (int i = 0; i < count; ++i) {
    T value = i % 2 ? T(even(random)) : T(std::exp2(exponent(random)));
    if (negative && sign(random) < 0) value = -value;
    values.push_back(value);
  }
  return values;
}

template <class T>
std::vector<T> edges() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values{T(0),
                        T(-0.0),
                        T(1),
                        T(-1),
                        T(0.5),
                        T(2),
                        T(-2),
                        T(3),
                        T(-3),
                        T(2.5),
                        T(kInfinity),
                        T(-kInfinity),
                        T(kNan),
                        Limits::max(),
                        Limits::lowest(),
                        Limits::min(),
                        -Limits::min(),
                        T(88.72),
                        T(88.73),
                        T(709.78),
                        T(709.79),
                        T(-103.97),
                        T(-104),
                        T(-745),
                        T(-746),
                        T(0.625),
                        T(1.5707963267948966),
                        Limits::denorm_min(),
                        -Limits::denorm_min(),
                        T(1e6),
                        T(1e10),
                        T(4),
                        T(20)};
  for (const T v : {T(1), T(-1), T(0.625), T(2), T(4)}) {
    values.push_back(std::nextafter(v, T(100)));
    values.push_back(std::nextafter(v, T(-100)));
  }
  return values;
}

struct Function {
  Code code;
  double low, high;  ///< where arguments are drawn from
  double bound32, bound64;
};

const Function kFunctions[] = {
    {Code::exp, 0, 110, 1, 1},    {Code::exp, 0, 750, 1, 1},       {Code::expm1, 0, 100, 2, 2},
    {Code::expm1, 0, 2, 2, 2},    {Code::log, 0, 1e30, 1, 1},      {Code::log, 0.4, 2.5, 1, 1},
    {Code::log1p, 0, 1e30, 2, 2}, {Code::log1p, 0, 1, 2, 2},       {Code::sin, 0, 10, 1, 2},
    {Code::sin, 0, 2e6, 1, 2},    {Code::cos, 0, 10, 1, 2},        {Code::cos, 0, 2e6, 1, 2},
    {Code::tanh, 0, 12, 2, 4},    {Code::tanh, 0, 1, 2, 4},        {Code::erf, 0, 6, 2, 1},
    {Code::erf, 0, 1, 2, 1},      {Code::sqrt, 0, 1e30, 0.5, 0.5},
};

template <class T>
void check(const Function& function, double bound) {
  std::mt19937 random(7);
  const bool signed_too = function.code != Code::log && function.code != Code::sqrt;
  std::vector<T> x = magnitudes<T>(random, 40000, function.low, function.high, signed_too);
  for (const T value : edges<T>()) x.push_back(value);
  const std::vector<T> y = apply(function.code, x, x);
  double worst = 0;
  T where = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double want = evaluate_naively<long double>(function.code, x[i], 0, 0);
    const double error = ulps(y[i], want);
    if (error > worst) worst = error, where = x[i];
  }
  BOOST_TEST_MESSAGE(name_of(function.code) << " to " << function.high << ": " << worst << " at " << where);
  BOOST_TEST(worst <= bound, name_of(function.code) << "(" << where << ") is off by " << worst << " ulp in "
                                                    << name_of(dtype_of<T>));
}

template <class T>
void check_pow(double bound) {
  std::mt19937 random(8);
  std::vector<T> x = magnitudes<T>(random, 20000, 0, 10, true), y = magnitudes<T>(random, 20000, 0, 20, true);
  for (std::size_t i = 0; i < y.size(); i += 3) y[i] = std::floor(y[i]);
  for (const T a : edges<T>()) {
    for (const T b : edges<T>()) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  const std::vector<T> z = apply(Code::pow, x, y);
  double worst = 0;
  std::string where;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(z[i], std::pow((long double)(x[i]), (long double)(y[i])));
    if (error > worst) worst = error, where = text("pow(", x[i], ", ", y[i], ") = ", z[i]);
  }
  BOOST_TEST_MESSAGE("pow: " << worst << " at " << where);
  BOOST_TEST(worst <= bound, where << " is off by " << worst << " ulp");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loop_math)

BOOST_AUTO_TEST_CASE(functions_are_accurate_for_every_instruction_set) {
  for (const std::int64_t target : {std::int64_t{0}, std::int64_t{HWY_AVX2}, std::int64_t{HWY_SCALAR}}) {
    const SimdTargets only(target);
    for (const Function& function : kFunctions) {
      check<float>(function, function.bound32);
      check<double>(function, function.bound64);
    }
    check_pow<float>(1);
    check_pow<double>(1);
  }
}

// What training spends its time on, in f32: over all floats erf is within 1.24 ulp, exp 0.96, tanh 1.38,
// expm1 1.44, and no less accurate with AVX2. Here every 61st.
BOOST_AUTO_TEST_CASE(floats_in_sequence_are_accurate) {
  struct Range {
    Code code;
    float low, high;
    double bound;
  };
  for (const std::int64_t target : {std::int64_t{0}, std::int64_t{HWY_AVX2}}) {
    const SimdTargets only(target);
    for (const auto& [code, low, high, bound] :
         {Range{Code::erf, 0x1p-8f, 5, 1.25}, Range{Code::exp, 0x1p-12f, 89, 1},
          Range{Code::exp, -0x1p-12f, -88, 1}, Range{Code::tanh, 0x1p-4f, 10, 1.5},
          Range{Code::expm1, 0x1p-4f, 89, 1.5}}) {
      std::vector<float> x;
      const auto last = std::bit_cast<std::uint32_t>(high);
      for (auto bits = std::bit_cast<std::uint32_t>(low); bits < last; bits += 61) {
        x.push_back(std::bit_cast<float>(bits));
      }
      const std::vector<float> y = apply(code, x, x);
      double worst = 0;
      float where = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        // f64 is precise enough to tell.
        const double want = evaluate_naively<double>(code, x[i], 0, 0);
        const double error =
            std::abs(y[i] - want) / std::ldexp(1.0, std::max(std::ilogb(float(want)), -126) - 23);
        if (error > worst) worst = error, where = x[i];
      }
      BOOST_TEST(worst <= bound, name_of(code) << "(" << where << ") is off by " << worst << " ulp");
    }
  }
}

// Over all floats within 1.27e-7, as 1/2 is added. Here every 61st.
BOOST_AUTO_TEST_CASE(the_derivative_of_gelu_is_accurate) {
  std::vector<float> x;
  for (auto bits = std::bit_cast<std::uint32_t>(0x1p-30f); bits < std::bit_cast<std::uint32_t>(40.0f);
       bits += 61) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> ends{0, -0.0f, 6.1f, -6.1f, inf, -inf, nan};
  for (const std::int64_t target : {std::int64_t{0}, std::int64_t{HWY_AVX2}, std::int64_t{HWY_SCALAR}}) {
    const SimdTargets only(target);
    const std::vector<float> y = apply(Code::gelu_slope, x, x);
    double worst = 0;
    float where = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = std::abs(y[i] - evaluate_naively<double>(Code::gelu_slope, x[i], 0, 0));
      if (error > worst) worst = error, where = x[i];
    }
    BOOST_TEST(worst <= 1.3e-7, "of " << where << " it is off by " << worst);
    const std::vector<float> limits = apply(Code::gelu_slope, ends, ends);
    BOOST_TEST((limits[0] == 0.5f && limits[1] == 0.5f && limits[4] == 1 && limits[5] == 0));
    BOOST_TEST((std::abs(limits[2] - 1) < 3e-8 && std::abs(limits[3]) < 3e-8));
    BOOST_TEST(std::isnan(limits[6]));
    const std::vector<double> exact{-3, 0, 0.5, 40, -1000};
    const std::vector<double> z = apply(Code::gelu_slope, exact, exact);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      BOOST_TEST(std::abs(z[i] - double(evaluate_naively<long double>(Code::gelu_slope, exact[i], 0, 0))) <
                 3e-16);
    }
  }
}

BOOST_AUTO_TEST_CASE(erf_becomes_one) {
  for (const std::int64_t target : {std::int64_t{0}, std::int64_t{HWY_AVX2}}) {
    const SimdTargets only(target);
    for (const float x : {3.925f, 3.93f, 4.0f, 1e30f, std::numeric_limits<float>::infinity()}) {
      BOOST_TEST(apply<float>(Code::erf, {x}, {0})[0] == 1);
      BOOST_TEST(apply<float>(Code::erf, {-x}, {0})[0] == -1);
    }
  }
}

BOOST_AUTO_TEST_CASE(zero_keeps_its_sign) {
  for (const Code code : {Code::sin, Code::tanh, Code::erf, Code::sqrt}) {
    BOOST_TEST(std::signbit(apply<float>(code, {-0.0f}, {0.0f})[0]));
    BOOST_TEST(std::signbit(apply<double>(code, {-0.0}, {0.0})[0]));
  }
}

BOOST_AUTO_TEST_SUITE_END()
