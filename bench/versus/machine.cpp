// The machine's limits beside those of ops/kernels/machine_limits.hpp: products of the shapes of the
// notebook's step, one tile a thread on its own rows or columns, and memory in other
// ways.
#include "cases.hpp"

#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/tensor.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <cstdlib>
#include <memory>

#include <sys/mman.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace versus {
namespace {

using namespace tapestry;

/// C [m, n] = A [m, k] B [k, n], or with B [n, k] transposed, or with A [k, m] transposed, cut over the
/// longer side.
Run product(std::int64_t m, std::int64_t n, std::int64_t k, bool transpose_a = false,
            bool transpose_b = false) {
  const auto a = std::make_shared<Tensor>(Tensor::full({m * k}, 0.5f));
  const auto b = std::make_shared<Tensor>(Tensor::full({k * n}, 0.25f));
  const auto c = std::make_shared<Tensor>(DType::f32, Shape{m * n});
  float* out = c->mutable_values<float>().data();
  return [=] {
    const float *x = a->values<float>().data(), *y = b->values<float>().data();
    const bool rows = m >= n;
    const Chunks chunks(rows ? m : n, ((rows ? m : n) + thread_count() - 1) / thread_count());
    parallel_for(chunks.count(), [&](std::int64_t i) {
      const std::int64_t first = chunks.begin(i), size = chunks.end(i) - first;
      kernels::GemmTile tile{.m = rows ? size : m, .n = rows ? n : size, .k = k};
      tile.transpose_a = transpose_a;
      tile.transpose_b = transpose_b;
      tile.lda = transpose_a ? m : k;
      tile.ldb = transpose_b ? k : n;
      tile.ldc = n;
      const float* from_a = rows ? x + (transpose_a ? first : first * k) : x;
      const float* from_b = rows ? y : y + (transpose_b ? first * k : first);
      kernels::gemm_tile(tile, from_a, from_b, rows ? out + first * n : out + first);
      static_cast<void>(c);
    });
  };
}

/// a = s a + t b. The variants are chosen among when the program starts.
#if defined(__x86_64__) && defined(__gnu_linux__)
__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#endif
void combine(float* a, const float* b, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) a[i] = 0.5f * a[i] + 0.5f * b[i];
}

/// c = a + b with stores that don't read c first, where the CPU has them. All at multiples of 64 bytes.
void add_streaming(const float* a, const float* b, float* c, std::int64_t n) {
#if defined(__x86_64__)
  for (std::int64_t i = 0; i < n; i += 4)
    _mm_stream_ps(c + i, _mm_add_ps(_mm_load_ps(a + i), _mm_load_ps(b + i)));
  _mm_sfence();
#else
  for (std::int64_t i = 0; i < n; ++i) c[i] = a[i] + b[i];
#endif
}

/// Memory in huge pages where the system gives them.
std::shared_ptr<float[]> array(std::int64_t size) {
  constexpr std::size_t huge = 2 << 20;
  const std::size_t bytes = (std::size_t(size) * sizeof(float) + huge - 1) / huge * huge;
  void* memory = std::aligned_alloc(huge, bytes);
  require(memory != nullptr, "no memory for ", bytes, " bytes");
  madvise(memory, bytes, MADV_HUGEPAGE);
  // Pages of one content could be one page to the system below us.
  for (std::int64_t i = 0; i < size; ++i) static_cast<float*>(memory)[i] = float(i % 8191);
  return {static_cast<float*>(memory), [](float* p) { std::free(p); }};
}

/// Each thread works on its own part of arrays of `bytes`, `times` times over.
Run streams(std::int64_t bytes, bool streaming, int times = 1) {
  const std::int64_t size = bytes / std::int64_t(sizeof(float));
  return [=, a = array(size), b = array(size), c = array(streaming ? size : 1)] {
    const Chunks chunks(size, (size + thread_count() - 1) / thread_count(), 16);
    parallel_for(chunks.count(), [&](std::int64_t i) {
      const std::int64_t first = chunks.begin(i), count = chunks.end(i) - first;
      for (int k = 0; k < times; ++k) {
        if (streaming) {
          add_streaming(a.get() + first, b.get() + first, c.get() + first, count);
        } else {
          combine(a.get() + first, b.get() + first, count);
        }
      }
    });
  };
}

}  // namespace

std::vector<Case> machine_cases() {
  return {
      {"machine/sgemm_forward", [] { return product(100, 500, 3072); }},
      {"machine/sgemm_weights", [] { return product(3072, 500, 100, true); }},
      {"machine/sgemm_hidden", [] { return product(100, 500, 500); }},
      {"machine/memory_huge", [] { return streams(64 << 20, false); }},
      {"machine/memory_streaming", [] { return streams(64 << 20, true); }},
      {"machine/l2", [] { return streams(512 << 10, false, 32); }},
  };
}

}  // namespace versus
