#include "../support/loop_case.hpp"
#include "../support/simd_targets.hpp"

#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/kernels/loop_plan.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

const auto in = [](std::size_t i) { return Operand::input(i); };
const auto res = [](std::size_t i) { return Operand::result(i); };

/// Ordinary numbers of both signs and all magnitudes, with the odd ones among them.
std::vector<float> numbers(std::size_t count, unsigned seed) {
  constexpr float kOdd[] = {0.0f,   -0.0f,    1.0f,      -1.0f,
                            1e-42f, 3e38f,    88.9f,     -104.5f,
                            0.3f,   INFINITY, -INFINITY, std::numeric_limits<float>::quiet_NaN()};
  Generator random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    const float size = std::ldexp(1.0f, int(below(random, 20)) - 12);
    value = below(random, 6) == 0 ? kOdd[below(random, std::size(kOdd))]
                                  : size * (float(below(random, 2001)) / 1000 - 1);
  }
  return values;
}

std::vector<float> run(const Loop& loop, const std::vector<std::vector<float>>& inputs, std::size_t size) {
  const CompiledLoop compiled(loop);
  std::vector<float> result(size, -7);
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  std::vector<const void*> from;
  for (const std::vector<float>& input : inputs) from.push_back(input.data());
  void* to[] = {result.data()};
  compiled.run(from, to, scratch.data());
  return result;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return true;
}

Loop pointwise(std::int64_t size, std::size_t inputs, std::vector<Instruction> code) {
  Loop loop{.extents = {size}, .code = std::move(code)};
  loop.inputs.assign(inputs, {DType::f32, {1}});
  loop.outputs = {{res(loop.code.size() - 1), DType::f32, Reduce::none, {1}}};
  return loop;
}

std::size_t segments_of(const Loop& loop) { return make_plan(loop)->segments.size(); }

boost::test_tools::assertion_result makes_code(boost::unit_test::test_unit_id) { return assembles(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(loop_assembled)

BOOST_AUTO_TEST_CASE(an_instruction_gives_the_bits_of_its_sweep,
                     *boost::unit_test::precondition(makes_code)) {
  for (int c = 0; c < int(Code::index); ++c) {
    const auto code = Code(c);
    if (!can_assemble(code)) continue;
    for (const std::size_t size : {1, 15, 16, 17, 100, 5000}) {
      const std::vector<std::vector<float>> inputs{numbers(size, 1), numbers(size, 2), numbers(size, 3)};
      const Loop loop = pointwise(std::int64_t(size), 3, {{code, in(0), in(1), in(2)}});
      BOOST_REQUIRE_EQUAL(segments_of(loop), 1);
      std::vector<float> expected(size);
      const Source sources[] = {{inputs[0].data(), 1}, {inputs[1].data(), 1}, {inputs[2].data(), 1}};
      find_sweep(Lane::f32, code)(sources, expected.data(), std::int64_t(size));
      BOOST_TEST(same_bits(run(loop, inputs, size), expected), name_of(code) << " of " << size);
    }
  }
}

// With constants for every register, and values that are all needed at the end.
BOOST_AUTO_TEST_CASE(more_constants_and_values_than_registers, *boost::unit_test::precondition(makes_code)) {
  for (const int values : {5, 20, 40}) {
    std::vector<Instruction> code;
    for (int i = 0; i < values; ++i) code.push_back({Code::mul, in(0), Operand::constant(1.5 + i)});
    code.push_back({Code::add, res(0), in(1)});
    for (int i = 1; i < values; ++i) code.push_back({Code::sub, res(code.size() - 1), res(std::size_t(i))});
    const Loop loop = pointwise(77, 2, code);
    BOOST_TEST(segments_of(loop) == (values < 30 ? 1 : 0));  // too many to keep: interpreted
    const std::vector<std::vector<float>> inputs{numbers(77, 4), numbers(77, 5)};
    std::vector<float> expected(77);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] = inputs[0][i] * 1.5f + inputs[1][i];
      for (int k = 1; k < values; ++k) expected[i] = expected[i] - inputs[0][i] * (1.5f + float(k));
    }
    BOOST_TEST(same_bits(run(loop, inputs, 77), expected), values << " values");
  }
}

// Layer norm's derivative has all there is: rows, their sums, sums of columns, and operands for either.
BOOST_AUTO_TEST_CASE(rows_and_columns_become_two_segments, *boost::unit_test::precondition(makes_code)) {
  for (const std::int64_t columns : {64, 77, 512}) {
    const std::int64_t rows = 150;
    const Loop loop{.extents = {rows, columns},
                    .row = 1,
                    .inputs = {{DType::f32, {columns, 1}}, {DType::f32, {0, 1}}, {DType::f32, {1, 0}}},
                    .code = {{Code::mul, in(0), in(1)},
                             {Code::row_sum, res(0)},
                             {Code::mul, in(2), res(1)},
                             {Code::sub, res(0), res(2)}},
                    .outputs = {{res(3), DType::f32, Reduce::none, {columns, 1}},
                                {res(0), DType::f32, Reduce::sum, {0, 1}},
                                {in(0), DType::f32, Reduce::sum, {0, 1}}}};
    const std::optional<LoopPlan> plan = make_plan(loop);
    BOOST_TEST(plan->segments.size() == 2);
    BOOST_TEST(std::ranges::none_of(plan->steps, [](const Step& s) { return s.kind == Step::Kind::fold; }));
    BOOST_TEST(std::ranges::all_of(plan->reduceds, [](const ReducedOutput& r) { return r.panel; }));
    BOOST_TEST(std::ranges::none_of(plan->leaves, [](const Leaf& l) { return l.kind == Leaf::Kind::tile; }));
    Generator random(3);
    const LoopCase one(loop, random);
    BOOST_TEST(difference(one, one.run()) == "");
    BOOST_TEST(difference(one, one.run(true)) == "");
  }
}

// All of it is the same for each block, as there is one.
BOOST_AUTO_TEST_CASE(a_single_row_depends_on_itself) {
  const Loop loop{.extents = {64},
                  .row = 0,
                  .inputs = {{DType::f32, {1}}},
                  .code = {{Code::row_max, in(0)},
                           {Code::sub, in(0), res(0)},
                           {Code::max, Operand::constant(-1), res(1)}},
                  .outputs = {{res(2), DType::f32, Reduce::none, {1}}}};
  Generator random(8);
  const LoopCase one(loop, random);
  BOOST_TEST(difference(one, one.run()) == "");
}

// Up to 1,024 columns a lane adds up its share of the row, beyond that there are more partial sums: either
// way an addition for every 16 columns, and a few to put lanes together, round.
BOOST_AUTO_TEST_CASE(sums_of_rows_are_accurate_around_the_most_summed_columns) {
  const std::int64_t rows = 37;
  for (const std::int64_t columns : {kMostSummedColumns - 1, kMostSummedColumns, kMostSummedColumns + 1}) {
    const Loop loop{.extents = {rows, columns},
                    .row = 1,
                    .inputs = {{DType::f32, {columns, 1}}, {DType::f32, {columns, 1}}},
                    .code = {{Code::mul, in(0), in(1)}, {Code::row_sum, res(0)}},
                    .outputs = {{res(1), DType::f32, Reduce::none, {1, 0}, true}}};
    if (assembles()) {
      const std::optional<LoopPlan> plan = make_plan(loop);
      const bool folds =
          std::ranges::any_of(plan->steps, [](const Step& s) { return s.kind == Step::Kind::fold; });
      BOOST_TEST(folds == (columns > kMostSummedColumns), columns << " columns");
    }
    Generator random(11);
    std::vector<std::vector<float>> inputs(2, std::vector<float>(std::size_t(rows * columns)));
    for (std::vector<float>& input : inputs) {
      for (float& value : input) value = float(below(random, 1 << 24)) / (1 << 23) - 0.5f;
    }
    const std::vector<float> sums = run(loop, inputs, std::size_t(rows));
    for (std::int64_t r = 0; r < rows; ++r) {
      double sum = 0, magnitude = 0;
      for (std::int64_t c = 0; c < columns; ++c) {
        const auto i = std::size_t(r * columns + c);
        const double product = inputs[0][i] * inputs[1][i];
        sum += product;
        magnitude += std::abs(product);
      }
      const double additions = double(kMostSummedColumns) / 16 + 4;
      BOOST_TEST(std::abs(double(sums[std::size_t(r)]) - sum) <= additions * 0x1p-24 * magnitude,
                 "row " << r << " of " << columns << " columns");
    }
  }
}

// The sums of a block of 16 rows take as much memory as a number that is the same for all of them, repeated
// to a vector. Here there are too many of these to keep in registers, and each row reads all of them.
BOOST_AUTO_TEST_CASE(sums_of_rows_leave_alone_what_later_rows_read) {
  const std::int64_t parts = 3, rows = 32, columns = 128;  // two blocks each
  const std::size_t numbers = 40;
  Loop loop{
      .extents = {parts, rows, columns}, .row = 2, .inputs = {{DType::f32, {rows * columns, columns, 1}}}};
  for (std::size_t i = 0; i < numbers; ++i) loop.inputs.push_back({DType::f32, {1, 0, 0}});
  // The first is where sums might go, and what the second segment meets last.
  loop.code = {{Code::mul, in(0), in(1)}, {Code::row_max, res(0)}, {Code::sub, in(0), res(1)}};
  const auto add = [&](Code code, Operand other) {
    loop.code.push_back({code, res(loop.code.size() - 1), other});
  };
  for (std::size_t i = 2; i <= numbers; ++i) add(Code::add, in(i));
  add(Code::mul, in(1));
  const Operand product = res(loop.code.size() - 1);
  loop.code.push_back({Code::row_sum, product});
  add(Code::mul, product);
  loop.outputs = {{res(loop.code.size() - 1), DType::f32, Reduce::none, {rows * columns, columns, 1}}};
  if (assembles()) {
    const std::optional<LoopPlan> plan = make_plan(loop);
    BOOST_TEST(plan->block_slices == 16);
    BOOST_TEST(std::ranges::any_of(plan->segments, [](const Segment& segment) {
      return std::ranges::any_of(segment.outputs, [](const auto& o) { return o.to == To::row_sum; });
    }));
  }
  // Whole numbers, small enough for all to be exact.
  Generator random(12);
  std::vector<std::vector<float>> inputs(1 + numbers, std::vector<float>(std::size_t(parts)));
  inputs[0].resize(std::size_t(parts * rows * columns));
  for (std::vector<float>& input : inputs) {
    for (float& value : input) value = float(1 + below(random, 2));
  }
  std::vector<float> expected;
  for (std::size_t row = 0; row < std::size_t(parts * rows); ++row) {
    const std::size_t part = row / std::size_t(rows);
    const auto values = std::span(inputs[0]).subspan(row * std::size_t(columns), std::size_t(columns));
    float others = -std::ranges::max(values) * inputs[1][part], sum = 0;
    for (std::size_t i = 2; i <= numbers; ++i) others += inputs[i][part];
    for (const float value : values) sum += (value + others) * inputs[1][part];
    for (const float value : values) expected.push_back(sum * ((value + others) * inputs[1][part]));
  }
  BOOST_TEST(same_bits(run(loop, inputs, expected.size()), expected));
}

// A program's segments are shared with later ones, but not kept for ever.
BOOST_AUTO_TEST_CASE(segments_that_nobody_has_are_forgotten, *boost::unit_test::precondition(makes_code)) {
  for (int i = 0; i < 500; ++i) {
    std::vector<Instruction> code{{Code::add, in(0), Operand::constant(1)}};
    for (int bit = 1; bit < 512; bit *= 2) {
      code.push_back({(i & bit) != 0 ? Code::mul : Code::sub, res(code.size() - 1), in(0)});
    }
    static_cast<void>(CompiledLoop(pointwise(100, 1, code)));
  }
  BOOST_TEST(remembered_segments() <= 100);
}

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
    if (assembles()) BOOST_TEST(!make_plan(loop)->streaming.empty());
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

// Conditions stay masks if they are nothing else, as far as there are masks; booleans and a number for each
// row are read, and booleans written, as they lie in tensors.
BOOST_AUTO_TEST_CASE(conditions_are_masks_and_booleans_are_read_and_written_on_the_way,
                     *boost::unit_test::precondition(makes_code)) {
  for (const std::int64_t columns : {64, 77, 512}) {
    const std::int64_t rows = 41;
    const Shape full{columns, 1};
    Loop loop{.extents = {rows, columns},
              .inputs = {{DType::f32, full},
                         {DType::boolean, full},
                         {DType::f32, {1, 0}},
                         {DType::boolean, {0, 1}},
                         {DType::boolean, full}},
              .code = {{Code::select, in(0), in(2), in(1)},
                       {Code::select, res(0), Operand::constant(0.25), in(3)},
                       {Code::mul, res(1), in(4)},  // a number, too
                       {Code::select, in(2), res(2), in(4)}}};
    const std::size_t first = loop.code.size();
    for (const Code code : {Code::eq, Code::ne, Code::lt, Code::le, Code::gt, Code::ge, Code::lt, Code::eq}) {
      loop.code.push_back({code, in(0), Operand::constant(double(loop.code.size() % 3))});
    }
    for (std::size_t i = first; i < first + 8; ++i) {
      loop.code.push_back({Code::select, res(loop.code.size() - 1), in(2), res(i)});
    }
    loop.code[first + 8].a = res(3);
    const Operand last = res(loop.code.size() - 1);
    loop.outputs = {{last, DType::f32, Reduce::none, full},
                    {res(first + 2), DType::boolean, Reduce::none, full},
                    {in(0), DType::boolean, Reduce::none, full},
                    {res(3), DType::boolean, Reduce::none, full}};
    const std::optional<LoopPlan> plan = make_plan(loop);
    BOOST_TEST(plan->segments.size() == 1);
    BOOST_TEST(std::ranges::none_of(plan->leaves, [](const Leaf& l) { return l.kind == Leaf::Kind::tile; }));
    BOOST_TEST(std::ranges::count(plan->fulls, true, &FullOutput::direct) == 3);
    Generator random(15);
    const LoopCase one(loop, random);
    BOOST_TEST(difference(one, one.run()) == "", columns << " columns");
    BOOST_TEST(difference(one, one.run(true)) == "", columns << " columns, in place");
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
