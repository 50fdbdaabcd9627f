// 3x3 convolutions of the speedrun's net and of ResNet-20: direct (oneDNN's, where it is in use), by
// Winograd's minimal filtering, and in bf16 by AMX where the CPU has it, one after the other in each
// iteration. GFLOP/s are of the direct count of multiplications, from medians; the time is that of the way
// that convolve() takes.
#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/conv.hpp>
#include <tapestry/ops/kernels/winograd.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include <benchmark/benchmark.h>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

struct Buffer {
  Buffer(std::int64_t elements, DType dtype)
      : data(::operator new (std::size_t(elements) * size_of(dtype), std::align_val_t{64})) {
    std::uint32_t bits = 1;
    for (std::int64_t i = 0; i < elements; ++i) {
      bits = bits * 1664525u + 1013904223u;
      const float value = float(bits >> 8) / float(1 << 23) - 1;
      if (dtype == DType::bf16) {
        static_cast<bf16*>(data)[i] = bf16(value);
      } else {
        static_cast<float*>(data)[i] = value;
      }
    }
  }
  ~Buffer() { ::operator delete (data, std::align_val_t{64}); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data;
};

struct Way {
  const char* name;
  Winograd winograd;
  Amx amx;
  std::vector<double> seconds{};
  void use() const {
    use_winograd(winograd);
    use_amx(amx);
  }
};

double run(const Convolution& c, const Way& way, const Buffer& a, const Buffer& b, Buffer& to) {
  way.use();
  const auto start = std::chrono::steady_clock::now();
  convolve(c, a.data, b.data, to.data);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double>& seconds) {
  const auto middle = seconds.begin() + std::ptrdiff_t(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

/// [batch, extent, extent, cin] x [3, 3, cin, cout], 'same'.
template <ConvPart part, DType from>
void convolution(benchmark::State& state) {
  const std::int64_t extent = state.range(1);
  ConvShape s{.n = state.range(0),
              .h = extent,
              .w = extent,
              .cin = state.range(2),
              .kh = 3,
              .kw = 3,
              .cout = state.range(3),
              .oh = extent,
              .ow = extent};
  s.lo_h = s.lo_w = 1;
  const DType to = part == ConvPart::filters ? DType::f32 : from;
  const Convolution c{part, s, from, to};
  const Buffer a(part == ConvPart::images ? s.results() : s.images(), from);
  const Buffer b(part == ConvPart::filters ? s.results() : s.filters(), from);
  Buffer result(part == ConvPart::results  ? s.results()
                : part == ConvPart::images ? s.images()
                                           : s.filters(),
                to);
  std::vector<Way> ways = {{"direct", Winograd::never, Amx::never},
                           {"winograd", Winograd::wherever_possible, Amx::never}};
  if (has_amx() && from == DType::bf16) ways.push_back({"amx", Winograd::never, Amx::where_it_is});
  const Way chosen{"", Winograd::where_it_pays, has_amx() ? Amx::where_it_is : Amx::never};
  for (const Way& way : ways) {
    way.use();
    reserve_for_convolution(c);
    run(c, way, a, b, result);
  }
  for (auto _ : state) {
    for (Way& way : ways) way.seconds.push_back(run(c, way, a, b, result));
    state.SetIterationTime(run(c, chosen, a, b, result));
  }
  const double work = 2.0 * double(s.results()) * 9 * double(s.cin) / 1e9;
  for (Way& way : ways) state.counters[way.name] = work / median(way.seconds);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "extent", "cin", "cout"})->UseManualTime()->Unit(benchmark::kMillisecond);
  b->Args({2000, 31, 24, 64})->Args({2000, 15, 64, 64})->Args({2000, 15, 64, 256});
  b->Args({2000, 7, 256, 256})->Args({2000, 3, 256, 256});
  b->Args({128, 32, 16, 16})->Args({128, 16, 32, 32})->Args({128, 8, 64, 64});
}
BENCHMARK(convolution<ConvPart::results, DType::bf16>)->Apply(shapes);
BENCHMARK(convolution<ConvPart::images, DType::bf16>)->Apply(shapes);
BENCHMARK(convolution<ConvPart::filters, DType::bf16>)->Apply(shapes);
BENCHMARK(convolution<ConvPart::results, DType::f32>)->Apply(shapes);
BENCHMARK(convolution<ConvPart::images, DType::f32>)->Apply(shapes);
BENCHMARK(convolution<ConvPart::filters, DType::f32>)->Apply(shapes);

}  // namespace
