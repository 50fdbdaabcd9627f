// Products pack their operands into memory that is made once for each thread: when a program is compiled. A
// process of its own, for other tests' products would have made it before.
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/tests/support/allocations.hpp>
#include <tapestry/tests/support/simd_targets.hpp>

#include <barrier>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

struct Threads {
  explicit Threads(int count) { set_thread_count(count); }
  int before = thread_count();
  ~Threads() { set_thread_count(before); }
};

constexpr std::size_t kPiece = (256 + 32) << 10;

[[maybe_unused]] bool is_ours() { return (hwy::SupportedTargets() & (HWY_AVX2 | HWY_AVX3)) != 0; }

}  // namespace

BOOST_AUTO_TEST_SUITE(gemm_memory)

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

// More tiles in progress than there are threads, as with several programs at work: those without memory do
// without. The bits are the same.
BOOST_AUTO_TEST_CASE(products_at_once_do_not_allocate) {
  const Threads one(1);
  constexpr std::int64_t size = 300;
  const std::vector<float> a(size * size, 0.1f), b(size * size, 0.3f);
  const kernels::GemmTile tile{.m = size, .n = size, .k = size, .lda = size, .ldb = size, .ldc = size};
  std::vector<float> expected(size * size);
  kernels::gemm_tile(tile, a.data(), b.data(), expected.data());

  constexpr int kMany = 6;
  std::vector<std::vector<float>> results(kMany, std::vector<float>(size * size));
  std::size_t before = 0, after = 0;
  std::barrier begin(kMany, [&]() noexcept { before = allocations(); });
  std::barrier end(kMany, [&]() noexcept { after = allocations(); });
  {
    std::vector<std::jthread> threads;
    for (auto& result : results) {
      threads.emplace_back([&] {
        begin.arrive_and_wait();
        for (int i = 0; i < 30; ++i) kernels::gemm_tile(tile, a.data(), b.data(), result.data());
        end.arrive_and_wait();
      });
    }
  }
  BOOST_TEST(after - before == 0u);
  for (const auto& result : results) BOOST_TEST((result == expected));
}

BOOST_AUTO_TEST_CASE(compiling_makes_the_memory) {
  const Threads several(7);
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {400, 500}});
  const Var y = matmul(x, x, {.transpose_b = true});
  const auto compiled = [&] {
    const BlockWatch watch;
    Program result = compile(y);
    BOOST_TEST(watch.find(kPiece).has_value() == is_ours());
    return result;
  };
  Program program = compiled();
  const ProgramSummary& summary = program.summary();
  // All of the left operand besides, packed for all threads: 29 panels of 14 rows that take 16 in AVX-512, 67
  // of 6 that take 8 in AVX2.
  const std::size_t rows = (hwy::SupportedTargets() & HWY_AVX3) != 0 ? 29 * 16 : 67 * 8;
  BOOST_TEST(summary.kernel_bytes == (is_ours() ? 7 * kPiece + rows * 500 * sizeof(float) : 0));
  BOOST_TEST(summary.peak_bytes() >= summary.output_bytes + summary.kernel_bytes);

  const Tensor arguments[] = {Tensor::full<float>({400, 500}, 0.5f)};
  const BlockWatch watch;
  program.run(arguments);
  BOOST_TEST(!watch.find(kPiece).has_value());
  BOOST_TEST(program.output().at(0) == 125);
}

#endif

BOOST_AUTO_TEST_CASE(small_and_thin_products_need_none) {
  for (const kernels::GemmShape& shape : {kernels::GemmShape{.m = 1, .n = 4000, .k = 4000},
                                          {.m = 4000, .n = 16, .k = 4000},
                                          {.m = 40, .n = 40, .k = 40}}) {
    BOOST_TEST(kernels::reserve_for_gemm(shape, DType::f32) == 0u);
  }
  const SimdTargets baseline(HWY_SCALAR);  // OpenBLAS has memory of its own
  BOOST_TEST(kernels::reserve_for_gemm({.m = 500, .n = 500, .k = 500}, DType::f32) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
