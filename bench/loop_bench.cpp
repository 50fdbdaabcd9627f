// Fused loops. Bytes a second count what a perfect loop would move.
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <memory>
#include <new>
#include <vector>

#include <benchmark/benchmark.h>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

const auto in = [](std::size_t i) { return Operand::input(i); };
const auto res = [](std::size_t i) { return Operand::result(i); };

struct Buffer {
  explicit Buffer(std::size_t bytes)
      : data(static_cast<float*>(::operator new (bytes + 64, std::align_val_t{64}))) {
    for (std::size_t i = 0; i < bytes / 4; ++i) data[i] = 0.5f + float(i % 97) / 97;
  }
  ~Buffer() { ::operator delete (data, std::align_val_t{64}); }
  Buffer(const Buffer&) = delete;
  float* data;
};

/// `shared[o]`: the input in whose memory output o is, or -1.
void measure(benchmark::State& state, const Loop& loop, std::vector<int> shared = {}) {
  shared.resize(loop.outputs.size(), -1);
  const CompiledLoop compiled(loop);
  std::vector<std::unique_ptr<Buffer>> memory;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  std::size_t bytes = 0;
  const auto size = [&](const Shape& strides, DType dtype) {
    std::int64_t last = 0;
    for (int d = 0; d < strides.rank(); ++d) last += strides[d] * (loop.extents[d] - 1);
    bytes += std::size_t(last + 1) * size_of(dtype);
    return std::size_t(last + 1) * size_of(dtype);
  };
  for (const LoopInput& input : loop.inputs) {
    memory.push_back(std::make_unique<Buffer>(size(input.strides, input.dtype)));
    inputs.push_back(memory.back()->data);
  }
  for (std::size_t o = 0; o < loop.outputs.size(); ++o) {
    const std::size_t wanted = size(loop.outputs[o].strides, loop.outputs[o].dtype);
    if (shared[o] >= 0) {
      outputs.push_back(const_cast<void*>(inputs[std::size_t(shared[o])]));
    } else {
      memory.push_back(std::make_unique<Buffer>(wanted));
      outputs.push_back(memory.back()->data);
    }
  }
  const Buffer scratch(compiled.scratch_bytes());
  for (auto _ : state) compiled.run(inputs, outputs, scratch.data);
  state.SetBytesProcessed(state.iterations() * std::int64_t(bytes));
  state.SetItemsProcessed(state.iterations() * loop.extents.elements());
}

Loop pointwise(std::int64_t n, std::size_t inputs, std::vector<Instruction> code) {
  Loop loop{.extents = {n}, .inputs = {}, .code = std::move(code)};
  loop.inputs.assign(inputs, {DType::f32, {1}});
  loop.outputs = {{res(loop.code.size() - 1), DType::f32, Reduce::none, {1}}};
  return loop;
}

void add(benchmark::State& state) {
  measure(state, pointwise(state.range(0), 2, {{Code::add, in(0), in(1)}}));
}
BENCHMARK(add)->Arg(1000)->Arg(50'000)->Arg(2'000'000)->Arg(16'000'000)->UseRealTime();

void divide(benchmark::State& state) { measure(state, pointwise(20'000, 2, {{Code::div, in(0), in(1)}})); }
BENCHMARK(divide)->UseRealTime();

template <Code code>
void unary(benchmark::State& state) {
  measure(state, pointwise(state.range(0), 1, {{code, in(0)}}));
}
BENCHMARK(unary<Code::sqrt>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::exp>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::expm1>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::log>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::log1p>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::sin>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::cos>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::tanh>)->Arg(50'000)->UseRealTime();
BENCHMARK(unary<Code::erf>)->Arg(50'000)->UseRealTime();
void power(benchmark::State& state) { measure(state, pointwise(50'000, 2, {{Code::pow, in(0), in(1)}})); }
BENCHMARK(power)->UseRealTime();

// Adam for n weights, as optim/adaptive.cpp writes it: weights, gradient and both moments in full, two
// scalars.
void adam(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  Loop loop{.extents = {n}};
  for (int i = 0; i < 4; ++i) loop.inputs.push_back({DType::f32, {1}});
  for (int i = 0; i < 2; ++i) loop.inputs.push_back({DType::f32, {0}});
  const auto w = in(0), g = in(1), v = in(2), a = in(3), rate = in(4), scale = in(5);
  loop.code = {{Code::mul, Operand::constant(0.9), v},
               {Code::mul, Operand::constant(0.1), g},
               {Code::add, res(0), res(1)},  // 2: the new v
               {Code::mul, Operand::constant(0.999), a},
               {Code::mul, g, g},
               {Code::mul, Operand::constant(0.001), res(4)},
               {Code::add, res(3), res(5)},  // 6: the new a
               {Code::mul, rate, res(2)},
               {Code::mul, res(6), scale},
               {Code::sqrt, res(8)},
               {Code::add, res(9), Operand::constant(1e-8)},
               {Code::div, res(7), res(10)},
               {Code::sub, w, res(11)}};
  for (const std::size_t value : {12, 2, 6}) {
    loop.outputs.push_back({res(value), DType::f32, Reduce::none, {1}});
  }
  measure(state, loop, {0, 2, 3});
}
BENCHMARK(adam)->Arg(500)->Arg(20'000)->Arg(250'000)->Arg(2'040'000)->UseRealTime();

// x + row for [rows, columns].
void add_row(benchmark::State& state) {
  const std::int64_t rows = state.range(0), columns = state.range(1);
  measure(state, {.extents = {rows, columns},
                  .inputs = {{DType::f32, {columns, 1}}, {DType::f32, {0, 1}}},
                  .code = {{Code::add, in(0), in(1)}},
                  .outputs = {{res(0), DType::f32, Reduce::none, {columns, 1}}}});
}
BENCHMARK(add_row)->Args({100, 500})->Args({100, 10})->Args({100'000, 16})->UseRealTime();

// x - column for [rows, columns].
void subtract_column(benchmark::State& state) {
  const std::int64_t rows = state.range(0), columns = state.range(1);
  measure(state, {.extents = {rows, columns},
                  .inputs = {{DType::f32, {columns, 1}}, {DType::f32, {1, 0}}},
                  .code = {{Code::sub, in(0), in(1)}},
                  .outputs = {{res(0), DType::f32, Reduce::none, {columns, 1}}}});
}
BENCHMARK(subtract_column)->Args({100, 500})->Args({100, 10})->Args({10'000, 10})->UseRealTime();

void reduce(benchmark::State& state, const Shape& kept) {
  const std::int64_t rows = state.range(0), columns = state.range(1);
  measure(state, {.extents = {rows, columns},
                  .inputs = {{DType::f32, {columns, 1}}},
                  .outputs = {{in(0), DType::f32, Reduce::sum, kept}}});
}
void sum_columns(benchmark::State& state) { reduce(state, {0, 1}); }
BENCHMARK(sum_columns)
    ->Args({100, 500})
    ->Args({100, 10})
    ->Args({100'000, 16})
    ->Args({2000, 5000})
    ->Args({32768, 512})
    ->UseRealTime();
// What batch norm needs of x.
void moments_of_columns(benchmark::State& state) {
  const std::int64_t rows = state.range(0), columns = state.range(1);
  measure(state, {.extents = {rows, columns},
                  .inputs = {{DType::f32, {columns, 1}}},
                  .outputs = {{in(0), DType::f32, Reduce::sum, {0, 1}},
                              {in(0), DType::f32, Reduce::squared_deviations, {0, 1}}}});
}
BENCHMARK(moments_of_columns)
    ->Args({100, 500})
    ->Args({100, 10})
    ->Args({256, 512})
    ->Args({100'000, 16})
    ->Args({2000, 5000})
    ->Args({32768, 512})
    ->UseRealTime();
// The same of a product and its bias.
void moments_with_bias(benchmark::State& state) {
  const std::int64_t rows = state.range(0), columns = state.range(1);
  measure(state, {.extents = {rows, columns},
                  .inputs = {{DType::f32, {columns, 1}}, {DType::f32, {0, 1}}},
                  .code = {{Code::add, in(0), in(1)}},
                  .outputs = {{res(0), DType::f32, Reduce::sum, {0, 1}},
                              {res(0), DType::f32, Reduce::squared_deviations, {0, 1}}}});
}
BENCHMARK(moments_with_bias)->Args({100, 500})->Args({2000, 5000})->Args({32768, 512})->UseRealTime();
// The squares of what such a loop would read again.
void deviations_with_bias(benchmark::State& state) {
  const std::int64_t rows = state.range(0), columns = state.range(1);
  measure(state,
          {.extents = {rows, columns},
           .inputs = {{DType::f32, {columns, 1}}, {DType::f32, {0, 1}}, {DType::f32, {0, 1}}},
           .code = {{Code::add, in(0), in(1)}, {Code::sub, res(0), in(2)}, {Code::mul, res(1), res(1)}},
           .outputs = {{res(2), DType::f32, Reduce::sum, {0, 1}}}});
}
BENCHMARK(deviations_with_bias)->Args({100, 500})->Args({2000, 5000})->Args({32768, 512})->UseRealTime();
void sum_rows(benchmark::State& state) { reduce(state, {1, 0}); }
BENCHMARK(sum_rows)
    ->Args({100, 500})
    ->Args({100, 10})
    ->Args({100'000, 16})
    ->Args({2000, 5000})
    ->UseRealTime();
void sum_all(benchmark::State& state) { reduce(state, {0, 0}); }
BENCHMARK(sum_all)->Args({100, 500})->Args({2000, 5000})->UseRealTime();

// Normalise, scale and shift [rows, channels] given a mean and a variance for each channel.
void normalize(benchmark::State& state) {
  const std::int64_t rows = state.range(0), channels = state.range(1);
  Loop loop{.extents = {rows, channels}, .inputs = {{DType::f32, {channels, 1}}}};
  for (int i = 0; i < 4; ++i) loop.inputs.push_back({DType::f32, {0, 1}});
  loop.code = {{Code::sub, in(0), in(1)},
               {Code::add, in(2), Operand::constant(1e-5)},
               {Code::sqrt, res(1)},
               {Code::div, in(3), res(2)},
               {Code::mul, res(0), res(3)},
               {Code::add, res(4), in(4)},
               {Code::max, res(5), Operand::constant(0)}};
  loop.outputs = {{res(6), DType::f32, Reduce::none, {channels, 1}}};
  measure(state, loop);
}
BENCHMARK(normalize)->Args({100, 500})->Args({100'000, 16})->Args({32768, 512})->UseRealTime();

// Dropout: x * (uniform < keep) / keep.
void dropout(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  measure(state, {.extents = {n},
                  .inputs = {{DType::f32, {1}}, {DType::i64, {0}}},
                  .code = {{Code::uniform, in(1)},
                           {Code::lt, res(0), Operand::constant(0.8)},
                           {Code::mul, in(0), res(1)},
                           {Code::mul, res(2), Operand::constant(1.25)}},
                  .outputs = {{res(3), DType::f32, Reduce::none, {1}}}});
}
BENCHMARK(dropout)->Arg(50'000)->UseRealTime();

void to_bf16(benchmark::State& state) {
  measure(state, {.extents = {1'000'000},
                  .inputs = {{DType::f32, {1}}},
                  .outputs = {{in(0), DType::bf16, Reduce::none, {1}}}});
}
BENCHMARK(to_bf16)->UseRealTime();
void from_bf16(benchmark::State& state) {
  measure(state, {.extents = {1'000'000},
                  .inputs = {{DType::bf16, {1}}},
                  .outputs = {{in(0), DType::f32, Reduce::none, {1}}}});
}
BENCHMARK(from_bf16)->UseRealTime();

void transpose(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  measure(state, {.extents = {n, n},
                  .inputs = {{DType::f32, {1, n}}},
                  .outputs = {{in(0), DType::f32, Reduce::none, {n, 1}}}});
}
BENCHMARK(transpose)->Arg(500)->Arg(3000)->UseRealTime();

}  // namespace
