#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/kernels/machine_limits.hpp>

#include <algorithm>
#include <chrono>
#include <vector>

namespace tapestry::kernels {
namespace {

/// The shortest of the passes that fit into `seconds`, three at least: the first one wakes threads and
/// touches memory.
template <class Pass>
double best_time(double seconds, const Pass& pass) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  const auto start = Clock::now();
  for (int i = 0;; ++i) {
    const auto begin = Clock::now();
    if (i >= 3 && std::chrono::duration<double>(begin - start).count() > seconds) return best;
    pass();
    const double taken = std::chrono::duration<double>(Clock::now() - begin).count();
    if (i == 0 || taken < best) best = taken;
  }
}

double measure_flops(int threads, double seconds) {
  // Large enough for the best rate that there is (measured: 95 % of it from 512 on), small enough for several
  // passes. All threads read the same operands.
  constexpr std::int64_t m = 384, n = 768, k = 768;
  const std::vector<float> a(m * k, 0.5f), b(k * n, 0.25f);
  std::vector<float> c(std::size_t(threads) * m * n);
  const GemmTile tile{.m = m, .n = n, .k = k, .lda = k, .ldb = n, .ldc = n};
  const double best = best_time(seconds, [&] {
    parallel_for(threads, [&](std::int64_t i) { gemm_tile(tile, a.data(), b.data(), c.data() + i * m * n); });
  });
  return 2.0 * double(m * n * k) * threads / best;
}

double measure_bytes(double seconds, std::size_t bytes) {
  const auto size = std::int64_t(bytes / (3 * sizeof(float)));
  std::vector<float> a(std::size_t(size), 1.0f), b(std::size_t(size), 1.0f);
  constexpr std::int64_t chunk = 64 * 1024;
  const double best = best_time(seconds, [&] {
    parallel_ranges(size, chunk, [&](std::int64_t begin, std::int64_t end) {
      float* x = a.data();
      const float* y = b.data();
      for (std::int64_t i = begin; i < end; ++i) x[i] = 0.5f * x[i] + 0.5f * y[i];
    });
  });
  return double(size) * 3 * sizeof(float) / best;
}

}  // namespace

MachineLimits measure_machine(const CalibrationOptions& options) {
  require(options.bytes >= 1000, "measuring the machine takes at least 1000 bytes to move, not ",
          options.bytes);
  MachineLimits limits{.threads = thread_count()};
  limits.flops_per_second = measure_flops(limits.threads, options.seconds);
  limits.bytes_per_second = measure_bytes(options.seconds, options.bytes);
  return limits;
}

}  // namespace tapestry::kernels
