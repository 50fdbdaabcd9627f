// 3x3 convolutions by Winograd's minimal filtering, against loops in f64.
#include "../support/allocations.hpp"
#include "../support/naive_conv.hpp"
#include "../support/simd_targets.hpp"
#include "../support/use_winograd.hpp"
#include "../support/winograd_bound.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
using kernels::Convolution;
using kernels::ConvPart;
using kernels::ConvShape;
using kernels::Winograd;

namespace {

std::vector<double> values_of(const Tensor& t) {
  const Tensor wide = t.to(DType::f64);
  const auto values = wide.values<double>();
  return {values.begin(), values.end()};
}

void check(const Convolution& c) {
  const ConvShape& s = c.shape;
  Operands o = operands(c);
  kernels::convolve(c, o.a.data(), o.b.data(), o.to.mutable_data());
  const Expected e = expected(c.part, s, o.a, o.b);
  const std::vector<double> sizes = winograd_sizes(c, values_of(o.a), values_of(o.b));
  const double part = winograd_part(c);
  const double rounding = c.to == DType::bf16 ? 0x1p-8 : 0;
  for (std::size_t i = 0; i < e.values.size(); ++i) {
    const double value = o.to.at(std::int64_t(i));
    const double bound = part * sizes[i] * (1 + rounding) + rounding * std::abs(e.values[i]);
    if (!(std::abs(value - e.values[i]) <= bound)) {
      BOOST_ERROR(name(c) << ": element " << i << " is " << value << ", not " << e.values[i] << " within "
                          << bound);
      return;
    }
  }
}

ConvShape shape(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t cin, std::int64_t cout,
                std::array<std::int64_t, 4> padding) {  // above, below, left, right
  ConvShape s{.n = n, .h = h, .w = w, .cin = cin, .kh = 3, .kw = 3, .cout = cout, .oh = 0, .ow = 0};
  s.lo_h = padding[0];
  s.lo_w = padding[2];
  return with_results(s, padding[1], padding[3]);
}

std::vector<ConvShape> shapes() {
  constexpr std::int64_t channels[] = {1, 3, 16, 24, 33, 64}, batches[] = {1, 3, 2};
  std::vector<ConvShape> all;
  std::size_t count = 0;
  for (std::int64_t h = 1; h <= 9; ++h) {
    for (std::int64_t pad = 0; pad <= 2; ++pad, ++count) {
      const std::int64_t w = 1 + (h + 3 * pad) % 9;
      if (h + 2 * pad < 3 || w + 2 * pad < 3) continue;
      all.push_back(shape(batches[count % 3], h, w, channels[count % 6], channels[count / 2 % 6],
                          {pad, pad, pad, pad}));
    }
  }
  all.push_back(shape(1, 31, 31, 24, 64, {1, 1, 1, 1}));
  all.push_back(shape(37, 7, 7, 33, 24, {1, 1, 1, 1}));  // several tiles at a time, several slices
  all.push_back(shape(2, 8, 5, 16, 17, {2, 0, 0, 1}));
  all.push_back(shape(2, 5, 6, 3, 40, {0, 2, 1, 0}));
  all.push_back(shape(2, 4, 4, 5, 6, {3, 4, 5, 3}));  // windows that are outside of the images
  all.push_back(shape(1, 5, 5, 300, 20, {1, 1, 1, 1}));
  all.push_back(shape(1, 5, 5, 20, 300, {1, 1, 1, 1}));
  return all;
}

std::vector<Convolution> convolutions() {
  std::vector<Convolution> all;
  for (const ConvShape& s : shapes()) {
    for (const ConvPart part : kParts) {
      all.push_back({part, s, DType::f32, DType::f32});
      all.push_back({part, s, DType::bf16, DType::f32});
      all.push_back({part, s, DType::bf16, DType::bf16});
    }
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(winograd)

BOOST_AUTO_TEST_CASE(they_equal_loops) {
  const UseWinograd always(Winograd::wherever_possible);
  for (const Convolution& c : convolutions()) check(c);
}

BOOST_AUTO_TEST_CASE(they_equal_loops_with_smaller_vectors) {
  const UseWinograd always(Winograd::wherever_possible);
  const std::int64_t there = hwy::SupportedTargets();
  for (const std::int64_t target : {std::int64_t(HWY_AVX2), std::int64_t(HWY_SCALAR)}) {
    if (target == HWY_AVX2 && !(there & target)) continue;
    const SimdTargets use(target);
    for (const Convolution& c : convolutions()) {
      if (c.shape.h > 5) continue;
      check(c);
    }
  }
}

BOOST_AUTO_TEST_CASE(threads_change_no_bit) {
  const UseWinograd always(Winograd::wherever_possible);
  check_that_threads_change_no_bit(convolutions());
}

BOOST_AUTO_TEST_CASE(nothing_and_sums_of_nothing) {
  const UseWinograd always(Winograd::wherever_possible);
  for (const ConvPart part : kParts) check({part, shape(0, 5, 5, 16, 16, {1, 1, 1, 1})});
}

// What isn't finite may come to the other results of its tile, but no further.
BOOST_AUTO_TEST_CASE(nan_stays_in_its_tiles) {
  const UseWinograd always(Winograd::wherever_possible);
  const ConvShape s = shape(1, 9, 9, 4, 3, {1, 1, 1, 1});
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const DType from : {DType::f32, DType::bf16}) {
      const Convolution c{ConvPart::results, s, from, DType::f32};
      const Operands o = operands(c);
      Tensor clean(DType::f32, {s.results()}), dirty(DType::f32, {s.results()});
      Tensor a = o.a.to(DType::f32);
      a.mutable_values<float>()[(4 * 9 + 5) * 4 + 1] = bad;  // in the tiles 1 and 2 down, 2 and 3 across
      a = a.to(from);
      kernels::convolve(c, o.a.data(), o.b.data(), clean.mutable_data());
      kernels::convolve(c, a.data(), o.b.data(), dirty.mutable_data());
      for (std::int64_t i = 0; i < s.results(); ++i) {
        const std::int64_t y = i / 3 / 9, x = i / 3 % 9;
        const bool in_window = std::abs(y - 4) <= 1 && std::abs(x - 5) <= 1;
        const bool in_tile = (y / 2 == 1 || y / 2 == 2) && (x / 2 == 2 || x / 2 == 3);
        if (in_window) BOOST_TEST(!std::isfinite(dirty.at(i)));
        if (!in_tile) BOOST_TEST(dirty.at(i) == clean.at(i));
      }
    }
  }
}

// With more channels than any other here, for memory that is there stays.
BOOST_AUTO_TEST_CASE(once_reserved_nothing_is_allocated) {
  const UseWinograd always(Winograd::wherever_possible);
  check({ConvPart::results, shape(2, 9, 9, 16, 16, {1, 1, 1, 1}), DType::f32, DType::f32});  // wakes threads
  for (const ConvPart part : kParts) {
    const ConvShape s = part == ConvPart::results  ? shape(1, 7, 7, 4096, 24, {1, 1, 1, 1})
                        : part == ConvPart::images ? shape(1, 7, 7, 24, 4096, {1, 1, 1, 1})
                                                   : shape(1, 7, 7, 4096, 40, {1, 1, 1, 1});
    for (const DType from : {DType::bf16, DType::f32}) {
      const Convolution c{part, s, from, from};
      Operands o = operands(c);
      BOOST_TEST(kernels::reserve_for_convolution(c) > 0u);
      const std::size_t before = allocations();
      kernels::convolve(c, o.a.data(), o.b.data(), o.to.mutable_data());
      BOOST_TEST(allocations() == before);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
