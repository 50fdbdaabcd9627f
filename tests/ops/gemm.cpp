#include "../support/random_tensor.hpp"
#include "../support/restore_threads.hpp"
#include "../support/simd_targets.hpp"

#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

using namespace tapestry;
using kernels::GemmShape;
using test::random_values;

namespace {

template <class T>
struct Problem {
  explicit Problem(const GemmShape& s)
      : shape(s),
        a(random_values<T>((s.batch - 1) * s.stride_a + s.m * s.k, 1)),
        b(random_values<T>((s.batch - 1) * s.stride_b + s.k * s.n, 2)) {}

  std::vector<T> product() const {
    // What was there before must not matter.
    std::vector<T> c(std::size_t(shape.batch * shape.m * shape.n), std::numeric_limits<T>::quiet_NaN());
    kernels::gemm(shape, a.data(), b.data(), c.data());
    return c;
  }
  std::vector<double> by_the_book() const {
    const auto& s = shape;
    std::vector<double> c;
    for (std::int64_t item = 0; item < s.batch; ++item) {
      const T *x = a.data() + item * s.stride_a, *y = b.data() + item * s.stride_b;
      for (std::int64_t i = 0; i < s.m; ++i) {
        for (std::int64_t j = 0; j < s.n; ++j) {
          double sum = 0;
          for (std::int64_t p = 0; p < s.k; ++p) {
            sum += double(s.transpose_a ? x[p * s.m + i] : x[i * s.k + p]) *
                   double(s.transpose_b ? y[j * s.k + p] : y[p * s.n + j]);
          }
          c.push_back(sum);
        }
      }
    }
    return c;
  }

  GemmShape shape;
  std::vector<T> a, b;
};

template <class T>
double worst_error(const GemmShape& shape) {
  const Problem<T> problem(shape);
  const std::vector<T> c = problem.product();
  const std::vector<double> expected = problem.by_the_book();
  BOOST_TEST_REQUIRE(c.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < c.size(); ++i) {
    const double error = std::abs(double(c[i]) - expected[i]);
    worst = error > worst || std::isnan(error) ? error : worst;
    if (std::isnan(error)) break;
  }
  return worst;
}

// Errors of a sum of k products of numbers below 1, to first order and with a margin.
template <class T>
double bound(std::int64_t k) {
  return double(k + 1) * std::numeric_limits<T>::epsilon();
}

/// Both types, either operand transposed or not.
void check_layouts(std::int64_t m, std::int64_t n, std::int64_t k) {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      const GemmShape shape{.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb};
      BOOST_TEST_CONTEXT(m << " " << n << " " << k << " " << ta << tb) {
        BOOST_TEST_REQUIRE(worst_error<float>(shape) <= bound<float>(k));
        BOOST_TEST_REQUIRE(worst_error<double>(shape) <= bound<double>(k));
      }
    }
  }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(gemm, test::RestoreThreads)

// Around the sizes of vectors and register blocks.
constexpr std::array kEdges{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33};

// Besides, one that they are not compiled for, where OpenBLAS multiplies.
const std::vector<std::int64_t> kOurs = targets_of_products();
const std::vector<std::int64_t> kTargets = [] {
  std::vector<std::int64_t> targets = kOurs;
  targets.push_back(HWY_SCALAR);
  return targets;
}();

BOOST_DATA_TEST_CASE(every_small_shape_in_every_layout, boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  for (const std::int64_t m : kEdges) {
    for (const std::int64_t n : kEdges) {
      for (const std::int64_t k : kEdges) check_layouts(m, n, k);
    }
  }
}

// Few rows or columns, and just too many for the ways made for few; sums longer than a block of terms.
BOOST_DATA_TEST_CASE(thin_products, boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  for (const auto& [m, n] : {std::pair{1, 1100},
                             {2, 500},
                             {16, 300},
                             {17, 300},
                             {1100, 1},
                             {300, 2},
                             {300, 16},
                             {300, 17},
                             {29, 48}}) {
    for (const std::int64_t k : {255, 256, 257, 1030}) check_layouts(m, n, k);
  }
}

/// The product of a problem made tile by tile, cut at these rows and columns.
template <class T>
std::vector<T> tiled(const Problem<T>& problem, const std::vector<std::int64_t>& rows,
                     const std::vector<std::int64_t>& columns) {
  const GemmShape& s = problem.shape;
  const std::int64_t lda = s.transpose_a ? s.m : s.k, ldb = s.transpose_b ? s.k : s.n;
  std::vector<T> c(std::size_t(s.m * s.n), T(7));
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    for (std::size_t j = 0; j + 1 < columns.size(); ++j) {
      kernels::gemm_tile<T>({.m = rows[i + 1] - rows[i],
                             .n = columns[j + 1] - columns[j],
                             .k = s.k,
                             .transpose_a = s.transpose_a,
                             .transpose_b = s.transpose_b,
                             .lda = lda,
                             .ldb = ldb,
                             .ldc = s.n},
                            problem.a.data() + rows[i] * (s.transpose_a ? 1 : lda),
                            problem.b.data() + columns[j] * (s.transpose_b ? ldb : 1),
                            c.data() + rows[i] * s.n + columns[j]);
    }
  }
  return c;
}

BOOST_DATA_TEST_CASE(where_a_product_is_cut_changes_no_bit, boost::unit_test::data::make(kOurs), target) {
  const SimdTargets only(target);
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const std::int64_t k : {90, 700}) {
        const GemmShape shape{.m = 330, .n = 530, .k = k, .transpose_a = ta, .transpose_b = tb};
        BOOST_TEST_CONTEXT(k << " " << ta << tb) {
          const Problem<float> single(shape);
          const std::vector<float> whole = tiled(single, {0, 330}, {0, 530});
          BOOST_TEST(single.product() == whole);
          BOOST_TEST(tiled(single, {0, 2, 9, 100, 301, 330}, {0, 530}) == whole);
          BOOST_TEST(tiled(single, {0, 330}, {0, 1, 17, 64, 200, 529, 530}) == whole);
          BOOST_TEST(tiled(single, {0, 16, 150, 330}, {0, 16, 33, 270, 530}) == whole);
          const Problem<double> dual(shape);
          BOOST_TEST(tiled(dual, {0, 5, 120, 330}, {0, 7, 300, 530}) == tiled(dual, {0, 330}, {0, 530}));
        }
      }
    }
  }
}

BOOST_DATA_TEST_CASE(products_that_are_cut_into_tiles, boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const auto& [m, n, k] :
           {std::array{100, 700, 400}, {700, 100, 400}, {333, 517, 129}, {260, 500, 300}}) {
        const GemmShape shape{.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb};
        BOOST_TEST_CONTEXT(m << " " << n << " " << k << " " << ta << tb) {
          BOOST_TEST(worst_error<float>(shape) <= bound<float>(k));
          BOOST_TEST(worst_error<double>(shape) <= bound<double>(k));
        }
      }
    }
  }
}

BOOST_DATA_TEST_CASE(products_with_long_vectors, boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  for (const bool t : {false, true}) {
    BOOST_TEST(worst_error<float>({.m = 1, .n = 1500, .k = 800, .transpose_b = t}) <= bound<float>(800));
    BOOST_TEST(worst_error<float>({.m = 1500, .n = 1, .k = 800, .transpose_a = t}) <= bound<float>(800));
    BOOST_TEST(worst_error<double>({.m = 1, .n = 1500, .k = 800, .transpose_a = true, .transpose_b = t}) <=
               bound<double>(800));
    BOOST_TEST(worst_error<double>({.m = 1500, .n = 1, .k = 800, .transpose_a = t, .transpose_b = true}) <=
               bound<double>(800));
  }
}

BOOST_DATA_TEST_CASE(batches, boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const auto& [stride_a, stride_b] :
           {std::array{12 * 20, 20 * 7}, {0, 20 * 7}, {12 * 20, 0}, {0, 0}, {300, 0}}) {
        const GemmShape shape{.m = 12,
                              .n = 7,
                              .k = 20,
                              .transpose_a = ta,
                              .transpose_b = tb,
                              .batch = 2500,
                              .stride_a = stride_a,
                              .stride_b = stride_b};
        BOOST_TEST_CONTEXT(stride_a << " " << stride_b << " " << ta << tb) {
          BOOST_TEST(worst_error<float>(shape) <= bound<float>(20));
        }
      }
    }
  }
  // A batch of products that are cut themselves.
  BOOST_TEST(worst_error<float>(
                 {.m = 200, .n = 300, .k = 500, .batch = 2, .stride_a = 100000, .stride_b = 150000}) <=
             bound<float>(500));
  BOOST_TEST(worst_error<float>({.m = 3, .n = 4, .k = 5, .batch = 1}) <= bound<float>(5));
  BOOST_CHECK(Problem<float>({.m = 3, .n = 4, .k = 0, .batch = 2}).product() == std::vector<float>(24, 0.0f));
}

BOOST_DATA_TEST_CASE(the_number_of_threads_changes_no_bit, boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  for (const GemmShape& shape :
       {GemmShape{.m = 100, .n = 500, .k = 3072}, GemmShape{.m = 500, .n = 500, .k = 100},
        GemmShape{.m = 1, .n = 3072, .k = 500, .transpose_b = true},
        GemmShape{.m = 3072, .n = 500, .k = 100, .transpose_a = true},
        // A left operand that is packed for all threads, with fewer columns than tiles, and with a ragged
        // last one.
        GemmShape{.m = 200, .n = 33, .k = 700, .transpose_a = true},
        GemmShape{.m = 17, .n = 531, .k = 300, .transpose_b = true},
        GemmShape{.m = 20, .n = 20, .k = 20, .batch = 3000, .stride_a = 400, .stride_b = 400}}) {
    const Problem<float> problem(shape);
    set_thread_count(1);
    const std::vector<float> one = problem.product();
    for (const int threads : {2, 3, 5, 8}) {
      set_thread_count(threads);
      for (int round = 0; round < 3; ++round) BOOST_TEST(problem.product() == one);
    }
  }
}

// Each has a packed left operand of its own.
BOOST_AUTO_TEST_CASE(products_at_once_have_the_same_bits) {
  set_thread_count(2);
  const Problem<float> problem({.m = 100, .n = 500, .k = 600});
  const std::vector<float> expected = problem.product();
  std::vector<std::vector<float>> results(4);
  {
    std::vector<std::jthread> threads;
    for (std::vector<float>& result : results) {
      threads.emplace_back([&] {
        for (int round = 0; round < 20; ++round) {
          result = problem.product();
          if (result != expected) return;
        }
      });
    }
  }
  for (const std::vector<float>& result : results) BOOST_TEST((result == expected));
}

// 273 rows in 17 tiles would be sixteen of 17 rows and one of a single row, which is summed in another order.
BOOST_DATA_TEST_CASE(no_tile_of_a_larger_product_is_a_single_row, boost::unit_test::data::make(kTargets),
                     target) {
  const SimdTargets only(target);
  for (const std::int64_t n : {1, 32}) {
    const Problem<float> problem({.m = 273, .n = n, .k = 4096, .transpose_b = true});
    set_thread_count(1);
    const std::vector<float> one = problem.product();
    set_thread_count(17);
    BOOST_TEST(problem.product() == one);
  }
}

BOOST_DATA_TEST_CASE(nan_and_infinity_spread_as_the_sums_say, boost::unit_test::data::make(kTargets),
                     target) {
  const SimdTargets only(target);
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<float> a{nan, 0, 1, 2}, b{0, 1, inf, 3};
  std::vector<float> c(4);
  kernels::gemm<float>({.m = 2, .n = 2, .k = 2}, a.data(), b.data(), c.data());
  BOOST_TEST(std::isnan(c[0]));
  BOOST_TEST(std::isnan(c[1]));
  BOOST_TEST(c[2] == inf);
  BOOST_TEST(c[3] == 7);
}

BOOST_DATA_TEST_CASE(a_tile_adds_to_what_is_there_and_honours_leading_dimensions,
                     boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  // The right half of a 2 x 4 matrix gets its product; the left stays.
  const std::vector<double> a{1, 2, -1, 3, 4, -1}, b{1, 0, 0, 1};
  std::vector<double> c{9, 9, 1, 1, 9, 9, 1, 1};
  const kernels::GemmTile tile{.m = 2, .n = 2, .k = 2, .accumulate = true, .lda = 3, .ldb = 2, .ldc = 4};
  kernels::gemm_tile(tile, a.data(), b.data(), c.data() + 2);
  BOOST_TEST(c == (std::vector<double>{9, 9, 2, 3, 9, 9, 4, 5}));
  kernels::GemmTile empty = tile;
  empty.k = 0;
  kernels::gemm_tile(empty, a.data(), b.data(), c.data() + 2);
  BOOST_TEST(c[2] == 2);
  empty.accumulate = false;
  kernels::gemm_tile(empty, a.data(), b.data(), c.data() + 2);
  BOOST_TEST(c == (std::vector<double>{9, 9, 0, 0, 9, 9, 0, 0}));
}

/// A product within larger matrices, of whole numbers so that sums are exact; what is around the result
/// stays.
template <class T>
bool fits_in(kernels::GemmTile t) {
  t.lda = (t.transpose_a ? t.m : t.k) + 3;
  t.ldb = (t.transpose_b ? t.k : t.n) + 5;
  t.ldc = t.n + 40;
  const auto whole = [](std::int64_t count, std::uint64_t stream) {
    std::vector<T> values = random_values<T>(count, stream);
    for (T& value : values) value = std::floor(value * 4);
    return values;
  };
  const std::vector<T> a = whole((t.transpose_a ? t.k : t.m) * t.lda, 3);
  const std::vector<T> b = whole((t.transpose_b ? t.n : t.k) * t.ldb, 4);
  std::vector<T> c = whole((t.m + 1) * t.ldc, 5), expected = c;
  for (std::int64_t i = 0; i < t.m; ++i) {
    for (std::int64_t j = 0; j < t.n; ++j) {
      T& sum = expected[std::size_t(i * t.ldc + j)];
      if (!t.accumulate) sum = 0;
      for (std::int64_t p = 0; p < t.k; ++p) {
        sum += a[std::size_t(t.transpose_a ? p * t.lda + i : i * t.lda + p)] *
               b[std::size_t(t.transpose_b ? j * t.ldb + p : p * t.ldb + j)];
      }
    }
  }
  kernels::gemm_tile(t, a.data(), b.data(), c.data());
  return c == expected;
}

BOOST_DATA_TEST_CASE(tiles_of_larger_matrices, boost::unit_test::data::make(kTargets), target) {
  const SimdTargets only(target);
  for (const std::int64_t m : {1, 5, 17, 60}) {
    for (const std::int64_t n : {1, 5, 17, 33, 60, 71}) {
      for (const std::int64_t k : {1, 5, 60, 300}) {
        for (const int flags : {0, 1, 2, 3, 4, 5, 6, 7}) {
          const kernels::GemmTile tile{.m = m,
                                       .n = n,
                                       .k = k,
                                       .transpose_a = (flags & 1) != 0,
                                       .transpose_b = (flags & 2) != 0,
                                       .accumulate = (flags & 4) != 0};
          BOOST_TEST_CONTEXT(m << " " << n << " " << k << " " << flags) {
            BOOST_TEST(fits_in<float>(tile));
            BOOST_TEST(fits_in<double>(tile));
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_openblas_cannot_count_is_refused) {
  const SimdTargets only(HWY_SCALAR);
  float x = 0;
  BOOST_CHECK_THROW(kernels::gemm<float>({.m = 1, .n = 1, .k = std::int64_t{1} << 31}, &x, &x, &x), Error);
}

BOOST_AUTO_TEST_SUITE_END()
