// Results that are made a few rows at a time, and loops over a few rows: what epilogues are made of.
#include "../support/random_tensor.hpp"
#include "../support/restore_threads.hpp"
#include "../support/simd_targets.hpp"

#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <vector>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

using namespace tapestry;
using kernels::GemmShape;
using test::random_values;

namespace {

/// Made of rows_of_part() rows at a time, and at once: the same bits?
template <class T>
bool equals_whole(const GemmShape& s, std::size_t bytes) {
  const std::vector<T> a = random_values<T>(s.m * s.k, 1), b = random_values<T>(s.k * s.n, 2);
  std::vector<T> whole(std::size_t(s.m * s.n)), parts(whole.size(), std::numeric_limits<T>::quiet_NaN());
  kernels::gemm(s, a.data(), b.data(), whole.data());
  const std::int64_t rows =
      kernels::rows_of_part(s, bytes, std::is_same_v<T, float> ? DType::f32 : DType::f64);
  BOOST_TEST_REQUIRE(rows > 1);
  for (std::int64_t first = 0; first < s.m; first += rows) {
    const std::int64_t count = std::min(rows, s.m - first);
    BOOST_TEST(count > 1);
    kernels::gemm_rows(s, first, count, a.data(), b.data(), parts.data() + first * s.n);
  }
  return std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(T)) == 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(parts, test::RestoreThreads)

BOOST_DATA_TEST_CASE(rows_of_products_have_the_bits_of_the_whole,
                     boost::unit_test::data::make(targets_of_products()), target) {
  const SimdTargets only(target);
  for (const auto& [m, n, k] :
       {std::tuple(2, 3, 4), {5, 70, 9}, {113, 40, 300}, {451, 1, 33}, {1009, 65, 100}}) {
    for (const int layout : {0, 1, 2, 3}) {
      const GemmShape shape{
          .m = m, .n = n, .k = k, .transpose_a = (layout & 1) != 0, .transpose_b = (layout & 2) != 0};
      set_thread_count(2);
      BOOST_TEST(equals_whole<float>(shape, 0));
      BOOST_TEST(equals_whole<double>(shape, 0));
      set_thread_count(1);
      if (m > 112) BOOST_TEST(equals_whole<float>(shape, 1000));
      set_thread_count(3);
      if (m > 336) BOOST_TEST(equals_whole<double>(shape, 100'000));
    }
  }
}

BOOST_AUTO_TEST_CASE(how_many_rows) {
  const auto rows = [](const GemmShape& s, std::size_t bytes) {
    return kernels::rows_of_part(s, bytes, DType::f32);
  };
  set_thread_count(2);
  constexpr std::size_t kMega = std::size_t{1} << 20;
  BOOST_TEST(rows({.m = 100, .n = 500, .k = 3072}, kMega) == 0);  // too few for two threads
  BOOST_TEST(rows({.m = 1, .n = 500, .k = 3072}, 0) == 0);
  BOOST_TEST(rows({.m = 3072, .n = 0, .k = 100}, 0) == 0);
  BOOST_TEST(rows({.m = 3072, .n = 500, .k = 0}, 0) == 0);
  BOOST_TEST(rows({.m = 300, .n = 5, .k = 7, .batch = 2, .stride_a = 2100, .stride_b = 35}, 0) == 0);
  const bool ours = kernels::has_kernels();
  BOOST_TEST(rows({.m = 100, .n = 500, .k = 3072}, 0) == (ours ? 2 : 0));
  BOOST_TEST(rows({.m = 7, .n = 500, .k = 3072}, 0) ==
             (ours ? 4 : 0));  // of 2 or 3 a single one would be left
  BOOST_TEST(rows({.m = 3072, .n = 500, .k = 100}, kMega) == (ours ? 384 : 0));    // four parts of a thread
  BOOST_TEST(rows({.m = 30'720, .n = 500, .k = 100}, kMega) == (ours ? 524 : 0));  // of a megabyte
  BOOST_TEST(rows({.m = 30'720, .n = 50'000, .k = 100}, kMega) == (ours ? 56 : 0));
}

BOOST_AUTO_TEST_CASE(rows_of_loops_have_the_bits_of_the_whole) {
  using kernels::Code;
  using kernels::Operand;
  constexpr std::int64_t m = 37;
  for (const std::int64_t n : {1, 5, 100}) {
    // (x + row) * column + uniform, where x is above a position's number; x * 2 as bf16
    const kernels::Loop loop{
        .extents = {m, n},
        .inputs = {{DType::f32, {n, 1}}, {DType::f32, {0, 1}}, {DType::f32, {1, 0}}, {DType::i64, {0, 0}}},
        .code = {{Code::add, Operand::input(0), Operand::input(1)},
                 {Code::uniform, Operand::input(3)},
                 {Code::mul_add, Operand::result(0), Operand::input(2), Operand::result(1)},
                 {.code = Code::index, .dim = 0},
                 {Code::gt, Operand::input(0), Operand::result(3)},
                 {Code::select, Operand::result(2), Operand::constant(-1.0), Operand::result(4)},
                 {Code::mul, Operand::input(0), Operand::constant(2.0)}},
        .outputs = {{Operand::result(5), DType::f32, kernels::Reduce::none, {n, 1}},
                    {Operand::result(6), DType::bf16, kernels::Reduce::none, {n, 1}}}};
    std::vector<float> x = random_values<float>(m * n, 1);
    for (float& value : x) value *= 40;
    const std::vector<float> row = random_values<float>(n, 2), column = random_values<float>(m, 3);
    const std::int64_t key[] = {7, 3};
    const kernels::CompiledLoop compiled(loop);
    std::vector<float> whole(x.size()), parts(x.size());
    std::vector<std::uint16_t> whole_twice(x.size()), parts_twice(x.size());
    BOOST_REQUIRE(compiled.scratch_bytes() == 0U);
    const void* inputs[] = {x.data(), row.data(), column.data(), key};
    compiled.run(inputs, std::vector<void*>{whole.data(), whole_twice.data()}, nullptr);
    BOOST_TEST(std::ranges::count(whole, -1.0f) > 0);
    for (const std::int64_t each : {1, 2, 10, 36, 37}) {
      inputs[0] = nullptr;
      for (std::int64_t first = 0; first < m; first += each) {
        const std::int64_t last = std::min(first + each, m);
        const std::vector<float> part(x.begin() + first * n, x.begin() + last * n);
        compiled.run_rows({first, last}, {0, part.data()}, inputs,
                          std::vector<void*>{parts.data(), parts_twice.data()});
      }
      BOOST_TEST(parts == whole);
      BOOST_TEST(parts_twice == whole_twice);
      std::ranges::fill(parts, 0.0f);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
