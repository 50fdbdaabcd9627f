// The kernels of pools against plain loops, bit by bit: every dtype, instruction set and kind of window, with
// NaN, ties and both zeros among the elements.
#include "../support/simd_targets.hpp"

#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/pool.hpp>
#include <tapestry/tests/support/restore_threads.hpp>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using kernels::PoolShape;

namespace {

struct Axis {
  std::int64_t extent, size, stride, lo = 0, hi = 0, dilation = 1;
  std::int64_t results() const { return (extent + lo + hi - (size - 1) * dilation - 1) / stride + 1; }
};

PoolShape shape_of(std::int64_t n, std::int64_t c, const Axis& h, const Axis& w) {
  return {.n = n,
          .h = h.extent,
          .w = w.extent,
          .c = c,
          .oh = h.results(),
          .ow = w.results(),
          .kh = h.size,
          .kw = w.size,
          .stride_h = h.stride,
          .stride_w = w.stride,
          .lo_h = h.lo,
          .lo_w = w.lo,
          .dilation_h = h.dilation,
          .dilation_w = w.dilation};
}

// Where vectors end, and within them.
const std::vector<std::int64_t> kChannels = {1, 3, 24, 33, 64, 70};

std::vector<PoolShape> shapes() {
  std::vector<PoolShape> all;
  for (const std::int64_t c : kChannels) {
    all.push_back(shape_of(2, c, {4, 2, 2}, {6, 2, 2}));
    all.push_back(shape_of(2, c, {5, 2, 2}, {7, 2, 2}));              // a row and a column in no window
    all.push_back(shape_of(2, c, {8, 3, 3}, {11, 3, 3}));             // two of them
    all.push_back(shape_of(1, c, {7, 2, 3}, {5, 1, 2}));              // apart, with gaps
    all.push_back(shape_of(1, c, {5, 2, 2, 1, 1}, {4, 2, 2, 1, 1}));  // apart, over the edge
    all.push_back(shape_of(2, c, {6, 3, 2, 1, 1}, {5, 3, 2, 1, 1}));  // overlapping
    all.push_back(shape_of(1, c, {6, 2, 1, 0, 0, 2}, {7, 3, 1, 2, 2, 2}));
  }
  all.push_back(shape_of(1, 5, {40, 17, 17}, {20, 17, 17}));  // more than 256 elements
  all.push_back(shape_of(1, 5, {20, 17, 2}, {20, 17, 1}));
  all.push_back(shape_of(0, 5, {4, 2, 2}, {4, 2, 2}));
  all.push_back(shape_of(2, 0, {4, 2, 2}, {4, 2, 2}));
  return all;
}

std::string text_of(const PoolShape& s) {
  return text(s.n, "x", s.h, "x", s.w, "x", s.c, ", windows ", s.kh, "x", s.kw, ", stride ", s.stride_h, "x",
              s.stride_w);
}

/// Few different numbers, so that there are many ties.
template <class T>
Tensor elements(const Shape& shape, unsigned seed) {
  constexpr double kSpecial[] = {0.0, -0.0, 1, -1, HUGE_VAL, -HUGE_VAL, 1.5, -3};
  std::minstd_rand random(seed);
  Tensor t(dtype_of<T>, shape);
  for (T& v : t.mutable_values<T>()) {
    const auto r = random() % 40;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    v = T(float(r == 39 ? nan : r == 38 ? -nan : kSpecial[r % 8]));
  }
  return t;
}

/// f(result, number, element of the image) in row-major order, of what is inside of the image.
void visit(const PoolShape& s, const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& f) {
  for (std::int64_t result = 0; result < s.n * s.oh * s.ow * s.c; ++result) {
    const std::int64_t c = result % s.c, x = result / s.c % s.ow, y = result / s.c / s.ow % s.oh;
    const std::int64_t n = result / s.c / s.ow / s.oh;
    for (std::int64_t k = 0; k < s.kh * s.kw; ++k) {
      const std::int64_t row = y * s.stride_h - s.lo_h + k / s.kw * s.dilation_h;
      const std::int64_t column = x * s.stride_w - s.lo_w + k % s.kw * s.dilation_w;
      if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
      f(result, k, ((n * s.h + row) * s.w + column) * s.c + c);
    }
  }
}

/// Which of two NaNs their sum takes after is up to the compiler: all of them become one.
template <class T>
Tensor one_nan(Tensor t) {
  for (T& v : t.mutable_values<T>()) {
    if (v != v) v = T(std::numeric_limits<float>::quiet_NaN());
  }
  return t;
}

/// Equal to the last bit, the sign of zeros included.
void check_same(const Tensor& got, const Tensor& expected, std::string_view what) {
  BOOST_REQUIRE(got.type() == expected.type());
  BOOST_TEST(std::memcmp(got.data(), expected.data(), got.bytes()) == 0, what);
}

template <class T, class Index>
void check(const PoolShape& s) {
  const Shape images = {s.n, s.h, s.w, s.c}, results = {s.n, s.oh, s.ow, s.c};
  const Tensor x = elements<T>(images, 1), g = elements<T>(results, 2);
  const auto in = x.values<T>(), cotangents = g.values<T>();
  using S = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
  const auto first_larger = [](T a, T best) {
    return S(a) > S(best) || (std::isnan(S(a)) && !std::isnan(S(best)));
  };
  Tensor y(dtype_of<T>, results), index(dtype_of<Index>, results), dx(dtype_of<T>, images);
  const auto numbers = index.mutable_values<Index>();
  std::vector<std::int64_t> best(std::size_t(results.elements()), -1);
  visit(s, [&](std::int64_t result, std::int64_t number, std::int64_t at) {
    auto& b = best[std::size_t(result)];
    if (b >= 0 && !first_larger(in[std::size_t(at)], in[std::size_t(b)])) return;
    b = at;
    numbers[std::size_t(result)] = Index(number);
    y.mutable_values<T>()[std::size_t(result)] = in[std::size_t(at)];
  });
  const bool apart = s.stride_h >= s.kh && s.stride_w >= s.kw && s.dilation_h == 1 && s.dilation_w == 1;
  visit(s, [&](std::int64_t result, std::int64_t, std::int64_t at) {
    T& to = dx.mutable_values<T>()[std::size_t(at)];
    const T from = cotangents[std::size_t(result)];
    const bool chosen = best[std::size_t(result)] == at;
    if (apart) {
      if (chosen) to = from;
    } else {
      to = T(S(to) + (chosen ? S(from) : S(0)));
    }
  });

  const std::string what = text(name_of(dtype_of<T>), ' ', text_of(s));
  // What is in the results before doesn't matter.
  Tensor got = elements<T>(results, 3), got_index(dtype_of<Index>, results), got_dx = elements<T>(images, 4);
  std::memset(got_index.mutable_data(), 0x55, got_index.bytes());
  kernels::max_pool(s, x.view(), got.mutable_view());
  check_same(got, y, "max_pool, " + what);
  kernels::max_pool_index(s, x.view(), got_index.mutable_view());
  check_same(got_index, index, "max_pool_index, " + what);
  got = elements<T>(results, 3);
  kernels::pool_pick(s, x.view(), index.view(), got.mutable_view());
  check_same(got, y, "pool_pick, " + what);
  kernels::pool_put(s, g.view(), index.view(), got_dx.mutable_view());
  check_same(apart ? got_dx : one_nan<T>(got_dx), apart ? dx : one_nan<T>(dx), "pool_put, " + what);
}

void check_all() {
  for (const PoolShape& s : shapes()) {
    if (s.kh * s.kw <= 256) {
      check<float, std::uint8_t>(s);
      check<double, std::uint8_t>(s);
      check<bf16, std::uint8_t>(s);
    } else {
      check<float, std::int32_t>(s);
      check<double, std::int32_t>(s);
      check<bf16, std::int32_t>(s);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pool)

BOOST_AUTO_TEST_CASE(the_largest_and_their_adjoint_are_those_of_plain_loops) { check_all(); }

// What every CPU of the platform has: the last of the targets.
BOOST_AUTO_TEST_CASE(so_they_are_under_every_instruction_set) {
  for (const std::int64_t target : {std::int64_t{HWY_AVX2}, std::int64_t{HWY_STATIC_TARGET}}) {
    if (!(hwy::SupportedTargets() & target)) continue;
    const SimdTargets only(target);
    BOOST_TEST_CONTEXT(hwy::TargetName(target)) { check_all(); }
  }
}

// Their results are written past the caches.
BOOST_AUTO_TEST_CASE(large_ones_are_those_of_plain_loops_with_any_number_of_threads) {
  const test::RestoreThreads restore{};
  const PoolShape s = shape_of(300, 64, {31, 2, 2}, {31, 2, 2});
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    check<bf16, std::uint8_t>(s);
  }
  check<float, std::uint8_t>(shape_of(300, 32, {31, 2, 2}, {31, 2, 2}));
}

// 1 / 3 of 16 bits, to the nearest: what the mean of a float is.
BOOST_AUTO_TEST_CASE(means_of_bf16_are_summed_in_f32_and_rounded_once) {
  for (const std::int64_t c : kChannels) {
    for (const PoolShape& s :
         {shape_of(2, c, {5, 2, 2}, {7, 2, 2}), shape_of(2, c, {6, 3, 2, 1, 1}, {5, 3, 2, 1, 1})}) {
      for (const bool inside : {false, true}) {
        std::minstd_rand random(5);
        Tensor x(DType::bf16, {s.n, s.h, s.w, s.c}), y(DType::bf16, {s.n, s.oh, s.ow, s.c});
        for (bf16& v : x.mutable_values<bf16>()) v = bf16(float(random() % 2001) / 1000 - 1);
        std::vector<float> sums(std::size_t(y.elements())), counts(sums.size());
        visit(s, [&](std::int64_t result, std::int64_t, std::int64_t at) {
          sums[std::size_t(result)] += float(x.values<bf16>()[std::size_t(at)]);
          ++counts[std::size_t(result)];
        });
        for (std::size_t i = 0; i < sums.size(); ++i) {
          y.mutable_values<bf16>()[i] = bf16(sums[i] * (1 / (inside ? counts[i] : float(s.kh * s.kw))));
        }
        Tensor got(DType::bf16, y.shape());
        kernels::mean_pool(s, inside, x.view(), got.mutable_view());
        check_same(got, y, text_of(s));
        // Its adjoint: each addition is rounded, as bf16 in memory is.
        Tensor dx(DType::bf16, x.shape()), got_dx(DType::bf16, x.shape());
        visit(s, [&](std::int64_t result, std::int64_t, std::int64_t at) {
          const float scale = 1 / (inside ? counts[std::size_t(result)] : float(s.kh * s.kw));
          bf16& to = dx.mutable_values<bf16>()[std::size_t(at)];
          to = bf16(float(to) + float(y.values<bf16>()[std::size_t(result)]) * scale);
        });
        kernels::mean_pool_images(s, inside, y.view(), got_dx.mutable_view());
        check_same(got_dx, dx, text_of(s));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
