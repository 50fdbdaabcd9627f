// Matrix products of a training step's shapes, f32, on all threads. "cached" repeats one product; "fresh"
// goes through as many copies of the operands as the caches don't hold, as a step does. Like a step's, they
// lie in large pages.
#include <tapestry/core/memory.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <algorithm>

#include <benchmark/benchmark.h>

using namespace tapestry;

namespace {

class Values {
 public:
  Values(std::int64_t count, std::uint64_t stream)
      : lines_(allocate_lines(std::size_t(count) * sizeof(float))) {
    Random random(1, stream);
    constexpr std::int64_t kDrawn = 1 << 20;  // the rest repeats them
    for (std::int64_t i = 0; i < count; ++i)
      data()[i] = i < kDrawn ? float(random.uniform() * 2 - 1) : data()[i - kDrawn];
  }
  float* data() const { return reinterpret_cast<float*>(lines_.get()); }

 private:
  Lines lines_;
};

void product(benchmark::State& state, const kernels::GemmShape& s, bool fresh) {
  constexpr std::int64_t kBytes = std::int64_t{128} << 20;
  const std::int64_t a = s.m * s.k, b = s.k * s.n, c = s.m * s.n;
  const std::int64_t copies = fresh ? std::max<std::int64_t>(kBytes / (4 * (a + b + c)), 1) : 1;
  const Values left(copies * a, 1), right(copies * b, 2), results(copies * c, 3);
  std::int64_t copy = 0;
  for (auto _ : state) {
    kernels::gemm(s, left.data() + copy * a, right.data() + copy * b, results.data() + copy * c);
    copy = (copy + 1) % copies;
  }
  const double flops = 2.0 * double(s.m) * double(s.n) * double(s.k) * double(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(flops / 1e9, benchmark::Counter::kIsRate);
}

void register_products() {
  const struct {
    const char* name;
    kernels::GemmShape shape;
  } products[] = {
      {"100 x 500 x 3072 NN", {.m = 100, .n = 500, .k = 3072}},
      {"3072 x 500 x 100 TN", {.m = 3072, .n = 500, .k = 100, .transpose_a = true}},
      {"100 x 500 x 500 NN", {.m = 100, .n = 500, .k = 500}},
      {"500 x 500 x 100 TN", {.m = 500, .n = 500, .k = 100, .transpose_a = true}},
      {"100 x 500 x 500 NT", {.m = 100, .n = 500, .k = 500, .transpose_b = true}},
      {"1000 x 500 x 3072 NN", {.m = 1000, .n = 500, .k = 3072}},
      {"3072 x 500 x 1000 TN", {.m = 3072, .n = 500, .k = 1000, .transpose_a = true}},
      {"1000 x 500 x 500 NN", {.m = 1000, .n = 500, .k = 500}},
      {"500 x 500 x 1000 TN", {.m = 500, .n = 500, .k = 1000, .transpose_a = true}},
      {"1000 x 500 x 500 NT", {.m = 1000, .n = 500, .k = 500, .transpose_b = true}},
      {"100 x 2048 x 2048 NN", {.m = 100, .n = 2048, .k = 2048}},
      {"2048 x 2048 x 100 TN", {.m = 2048, .n = 2048, .k = 100, .transpose_a = true}},
      {"100 x 2048 x 2048 NT", {.m = 100, .n = 2048, .k = 2048, .transpose_b = true}},
      {"2048 x 2048 x 2048 NN", {.m = 2048, .n = 2048, .k = 2048}},
  };
  for (const auto& [name, shape] : products) {
    for (const bool fresh : {false, true}) {
      benchmark::RegisterBenchmark((std::string(name) + (fresh ? " fresh" : " cached")).c_str(), product,
                                   shape, fresh)
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

const bool registered = (register_products(), true);

}  // namespace
