#include "../support/assembled.hpp"

#include <tapestry/ops/kernels/gemm_bf16.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <tuple>
#include <vector>

using namespace tapestry;
using namespace tapestry::kernels;

BOOST_AUTO_TEST_SUITE(loop_segments)

// Rounded as everywhere, but that CPUs with AVX512-BF16 make 0 of subnormal numbers.
BOOST_AUTO_TEST_CASE(bf16_is_read_and_written_on_the_way, *boost::unit_test::precondition(makes_code)) {
  const std::int64_t size = 1000;
  Loop loop = pointwise(size, 1, {{Code::copy, in(0)}});
  loop.outputs[0].dtype = DType::bf16;
  std::vector<float> values = numbers(std::size_t(size), 6);
  values[1] = std::bit_cast<float>(0x3f808000u);  // a tie, down to even
  values[2] = std::bit_cast<float>(0x3f818000u);  // and up
  values[3] = std::bit_cast<float>(0x7f800001u);  // a NaN whose upper half is infinity
  values[4] = std::bit_cast<float>(0xffffffffu);  // and one that rounding would make 0
  values[5] = std::bit_cast<float>(0x7f7fffffu);  // to infinity
  values[6] = std::bit_cast<float>(0x00800000u);  // the least that is not subnormal
  values[7] = std::bit_cast<float>(0x807fffffu);  // the largest that is
  std::vector<bf16> rounded(values.size());
  std::vector<float> back(values.size());
  const void* from[] = {values.data()};
  void* to[] = {rounded.data()};
  BOOST_TEST(segments_of(loop) == 1);
  CompiledLoop(loop).run(from, to, nullptr);
  loop.inputs[0].dtype = DType::bf16;
  loop.outputs[0].dtype = DType::f32;
  const void* read[] = {rounded.data()};
  void* write[] = {back.data()};
  BOOST_TEST((make_plan(loop)->leaves[0].kind == Leaf::Kind::direct));
  CompiledLoop(loop).run(read, write, nullptr);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool is_zero = cpu_multiplies_bf16() && std::abs(values[i]) < std::numeric_limits<float>::min();
    BOOST_TEST(rounded[i].bits == bf16(is_zero ? std::copysign(0.0f, values[i]) : values[i]).bits);
    BOOST_TEST(std::bit_cast<std::uint32_t>(back[i]) == std::uint32_t{rounded[i].bits} << 16);
  }
}

// What is larger than caches is written past them, but in whole vectors alone: not where rows or memory lie
// otherwise, nor in an input's memory.
BOOST_AUTO_TEST_CASE(large_results_are_written_wherever_they_lie) {
  for (const std::int64_t columns : {512, 77}) {
    const std::int64_t rows = (3 << 20) / columns;
    const Shape full{columns, 1};
    const Loop loop{
        .extents = {rows, columns},
        .row = 1,
        .inputs = {{DType::f32, full}},
        .code = {{Code::row_sum, in(0)},
                 {Code::sub, in(0), res(0)},
                 {Code::mul, in(0), Operand::constant(3)}},
        .outputs = {{res(1), DType::f32, Reduce::none, full}, {res(2), DType::bf16, Reduce::none, full}}};
    const auto streams = [](const LoopPlan::Call& call) { return call.streaming != nullptr; };
    if (assembles()) BOOST_TEST(std::ranges::any_of(make_plan(loop)->calls, streams));
    const CompiledLoop compiled(loop);
    std::vector<std::byte> scratch(compiled.scratch_bytes());
    const auto size = std::size_t(rows * columns);
    for (const std::size_t first : {0, 1}) {
      for (const bool in_place : {false, true}) {
        std::vector<float> x(size + 32), difference(size + 32, -7);
        std::vector<bf16> product(size + 64);
        const auto aligned = [&](auto& values) {
          auto* data = values.data();
          while (reinterpret_cast<std::uintptr_t>(data) % 64 != 0) ++data;
          return data + first;
        };
        Generator random(14);
        std::vector<float> numbers(size);
        for (float& number : numbers) number = float(below(random, 21) - 10);
        std::ranges::copy(numbers, aligned(x));
        float* to = in_place ? aligned(x) : aligned(difference);
        const void* from[] = {aligned(x)};
        void* outputs[] = {to, aligned(product)};
        compiled.run(from, outputs, scratch.data());
        bool right = true;
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto row = std::span(numbers).subspan(std::size_t(r * columns), std::size_t(columns));
          float sum = 0;
          for (const float number : row) sum += number;
          for (std::size_t c = 0; c < row.size(); ++c) {
            const std::size_t i = std::size_t(r * columns) + c;
            right &= to[i] == row[c] - sum && float(aligned(product)[i]) == 3 * row[c];
          }
        }
        BOOST_TEST(right, columns << " columns, from element " << first << (in_place ? ", in place" : ""));
        BOOST_TEST((in_place || to[size] == -7));
      }
    }
  }
}

// Booleans, too.
BOOST_AUTO_TEST_CASE(large_masks_are_written_wherever_they_lie) {
  const std::int64_t size = (5 << 20) + 5;
  Loop loop = pointwise(size, 1, {{Code::lt, in(0), Operand::constant(1)}, {Code::add, in(0), res(0)}});
  loop.outputs.push_back({res(0), DType::boolean, Reduce::none, {1}});
  std::vector<float> x(std::size_t(size), 2), y(std::size_t(size) + 32);
  std::vector<std::uint8_t> mask(std::size_t(size) + 96);
  for (std::size_t i = 0; i < x.size(); i += 3) x[i] = 0.5;
  const auto aligned = [](auto* data) {
    while (reinterpret_cast<std::uintptr_t>(data) % 64 != 0) ++data;
    return data;
  };
  for (const int first : {0, 1}) {
    std::ranges::fill(mask, std::uint8_t{7});
    const void* from[] = {x.data()};
    std::uint8_t* chosen = aligned(mask.data()) + first;
    void* to[] = {aligned(y.data()), chosen};
    CompiledLoop(loop).run(from, to, nullptr);
    bool right = chosen[size] == 7 && (first == 0 || chosen[-1] == 7);
    for (std::int64_t i = 0; i < size; ++i) right &= chosen[i] == (i % 3 == 0);
    BOOST_TEST(right, "from element " << first);
  }
}

// Without rows there is nothing but the memory that must lie well.
BOOST_AUTO_TEST_CASE(large_results_without_rows_are_written_wherever_they_lie) {
  const std::int64_t size = (4 << 20) + 5;
  const Loop loop = pointwise(size, 1, {{Code::add, in(0), Operand::constant(1)}});
  std::vector<float> x(std::size_t(size), 2), y(std::size_t(size) + 32);
  auto* data = y.data();
  while (reinterpret_cast<std::uintptr_t>(data) % 64 != 0) ++data;
  for (const int first : {0, 1}) {
    std::ranges::fill(y, -7.0f);
    const void* from[] = {x.data()};
    void* to[] = {data + first};
    CompiledLoop(loop).run(from, to, nullptr);
    BOOST_TEST(std::count(data + first, data + first + size, 3.0f) == size);
    BOOST_TEST((first == 0 || data[0] == -7));
    BOOST_TEST(data[first + size] == -7);
  }
}

// What one cheap instruction makes of operands is made again where it is read, not stored in between.
BOOST_AUTO_TEST_CASE(a_later_segment_makes_again_what_is_cheap, *boost::unit_test::precondition(makes_code)) {
  const std::int64_t rows = 21, columns = 100;
  const Shape full{columns, 1};
  const Loop loop{.extents = {rows, columns},
                  .row = 1,
                  .inputs = {{DType::f32, full}, {DType::f32, {1, 0}}},
                  .code = {{Code::sub, in(0), in(1)},
                           {Code::mul, res(0), res(0)},
                           {Code::row_sum, res(1)},
                           {Code::mul, res(0), res(2)},
                           {Code::add, res(3), res(1)}},
                  .outputs = {{res(4), DType::f32, Reduce::none, full}}};
  const std::optional<LoopPlan> plan = make_plan(loop);
  BOOST_REQUIRE_EQUAL(plan->segments.size(), 2);
  // The square isn't made of operands alone.
  const auto& [first, second] = std::tie(plan->segments[0], plan->segments[1]);
  BOOST_TEST(first.outputs.size() == 2);
  BOOST_TEST(second.steps.size() == 3);
  // Whole numbers, small enough for all to be exact.
  Generator random(16);
  std::vector<std::vector<float>> inputs{std::vector<float>(std::size_t(rows * columns)),
                                         std::vector<float>(std::size_t(rows))};
  for (std::vector<float>& input : inputs) {
    for (float& value : input) value = float(below(random, 7) - 3);
  }
  std::vector<float> expected;
  for (std::size_t row = 0; row < std::size_t(rows); ++row) {
    const auto values = std::span(inputs[0]).subspan(row * std::size_t(columns), std::size_t(columns));
    const float mean = inputs[1][row];
    float sum = 0;
    for (const float x : values) sum += (x - mean) * (x - mean);
    for (const float x : values) expected.push_back((x - mean) * sum + (x - mean) * (x - mean));
  }
  BOOST_TEST(same_bits(run(loop, inputs, expected.size()), expected));
}

BOOST_AUTO_TEST_SUITE_END()
