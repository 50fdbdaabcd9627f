// Pools of bf16 images as a small convolutional net has them. Bytes a second count each operand and result
// once.
#include <tapestry/ops/kernels/pool.hpp>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include <benchmark/benchmark.h>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

PoolShape shape(const benchmark::State& state) {
  const std::int64_t side = state.range(1), k = state.range(3);
  return {.n = state.range(0),
          .h = side,
          .w = side,
          .c = state.range(2),
          .oh = side / k,
          .ow = side / k,
          .kh = k,
          .kw = k,
          .stride_h = k,
          .stride_w = k,
          .lo_h = 0,
          .lo_w = 0,
          .dilation_h = 1,
          .dilation_w = 1};
}

Tensor images(const PoolShape& s) {
  Tensor x(DType::bf16, {s.n, s.h, s.w, s.c});
  std::uint32_t random = 1;
  for (bf16& v : x.mutable_values<bf16>()) {
    random = random * 1664525 + 1013904223;
    v = bf16(float(random >> 8) / float(1 << 24) - 0.5f);
  }
  return x;
}
Tensor results(const PoolShape& s, DType dtype) { return Tensor(dtype, {s.n, s.oh, s.ow, s.c}); }

template <class Run>
void measure(benchmark::State& state, std::size_t bytes, const Run& run) {
  for (auto _ : state) run();
  state.SetBytesProcessed(state.iterations() * std::int64_t(bytes));
}

void max_pool(benchmark::State& state) {
  const PoolShape s = shape(state);
  const Tensor x = images(s);
  Tensor y = results(s, DType::bf16);
  measure(state, x.bytes() + y.bytes(), [&] { kernels::max_pool(s, x.view(), y.mutable_view()); });
}
void max_pool_index(benchmark::State& state) {
  const PoolShape s = shape(state);
  const Tensor x = images(s);
  Tensor index = results(s, DType::u8);
  measure(state, x.bytes() + index.bytes(),
          [&] { kernels::max_pool_index(s, x.view(), index.mutable_view()); });
}
void pool_pick(benchmark::State& state) {
  const PoolShape s = shape(state);
  const Tensor x = images(s);
  Tensor index = results(s, DType::u8), y = results(s, DType::bf16);
  kernels::max_pool_index(s, x.view(), index.mutable_view());
  measure(state, x.bytes() + index.bytes() + y.bytes(),
          [&] { kernels::pool_pick(s, x.view(), index.view(), y.mutable_view()); });
}
void pool_put(benchmark::State& state) {
  const PoolShape s = shape(state);
  Tensor x = images(s), index = results(s, DType::u8), y = results(s, DType::bf16);
  kernels::max_pool_index(s, x.view(), index.mutable_view());
  measure(state, x.bytes() + index.bytes() + y.bytes(),
          [&] { kernels::pool_put(s, y.view(), index.view(), x.mutable_view()); });
}

// Images, side, channels, side of the window.
void shapes(benchmark::internal::Benchmark* b) {
  b->Args({1000, 31, 64, 2})->Args({1000, 15, 256, 2})->Args({1000, 3, 256, 3})->Args({1000, 31, 24, 2});
  b->Args({8, 31, 64, 2})->UseRealTime();
}
BENCHMARK(max_pool)->Apply(shapes);
BENCHMARK(max_pool_index)->Apply(shapes);
BENCHMARK(pool_pick)->Apply(shapes);
BENCHMARK(pool_put)->Apply(shapes);

}  // namespace
