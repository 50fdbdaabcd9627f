#include "../support/assembled.hpp"
#include "../support/simd_targets.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

using namespace tapestry;
using namespace tapestry::kernels;

BOOST_AUTO_TEST_SUITE(loop_rows)

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

// The reduction writes one of them itself; the other is a copy of a value for each row.
BOOST_AUTO_TEST_CASE(two_outputs_have_the_same_value_of_each_row) {
  for (const std::int64_t columns : {3, 100}) {
    for (const std::int64_t rows : {1, 50}) {
      Loop loop{.extents = {rows, columns}, .row = 1, .inputs = {{DType::f32, {columns, 1}}}};
      loop.code = {{Code::row_max, in(0)}};
      loop.outputs.assign(2, {res(0), DType::f32, Reduce::none, {1, 0}, true});
      Generator random(9);
      const LoopCase one(loop, random);
      BOOST_TEST(difference(one, one.run()) == "");
    }
  }
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

// The largest and the smallest of each row, of what is read and of what is computed, are those of the
// reductions by sweeps: the same bits, but that of 0 and -0 either may come out.
BOOST_AUTO_TEST_CASE(extremes_of_rows_are_those_of_sweeps) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInf = std::numeric_limits<float>::infinity();
  for (const std::int64_t columns : {1, 15, 63, 64, 65, 77, 96, 127, 512, 1024, 1030, 3000}) {
    const auto width = std::size_t(columns);
    std::vector<std::vector<float>> rows;
    for (const float all : {0.0f, 5.0f, -kInf, kInf, kNan, -1e-42f}) rows.emplace_back(width, all);
    // One that matters, wherever it is in a vector and in a row.
    for (std::size_t at = 0; at < width; at += 1 + width / 40) {
      for (const float one : {kNan, kInf, -kInf, 7.5f, -7.5f, -kNan}) {
        rows.push_back(numbers(width, unsigned(at)));
        for (float& value : rows.back()) value = std::isfinite(value) ? std::fmod(value, 4.0f) : -kInf;
        rows.back()[at] = one;
      }
    }
    for (unsigned seed = 0; seed < 20; ++seed) rows.push_back(numbers(width, seed));
    std::vector<float> x;
    for (const std::vector<float>& row : rows) x.insert(x.end(), row.begin(), row.end());
    const auto count = std::int64_t(rows.size());
    for (const auto& [code, reduce] : {std::pair(Code::row_max, Reduce::max), {Code::row_min, Reduce::min}}) {
      for (const bool computed : {false, true}) {
        Loop loop{.extents = {count, columns}, .row = 1, .inputs = {{DType::f32, {columns, 1}}}};
        if (computed) loop.code.push_back({Code::neg, in(0)});
        loop.code.push_back({code, computed ? res(0) : in(0)});
        loop.outputs = {{res(loop.code.size() - 1), DType::f32, Reduce::none, {1, 0}, true}};
        if (assembles() && columns >= 64) {
          const std::optional<LoopPlan> plan = make_plan(loop);
          BOOST_TEST((plan->steps.size() == 1 && plan->segments.size() == 1));
        }
        std::vector<float> values = x, expected(rows.size()), accumulators(rows.size());
        if (computed) std::ranges::transform(values, values.begin(), std::negate<>());
        const Reducer& reducer = find_reducer(Lane::f32, reduce);
        reducer.clear(accumulators.data(), count, count);
        reducer.by_rows(values.data(), count, columns, accumulators.data(), count);
        reducer.finish(accumulators.data(), count, count, expected.data());
        const std::vector<float> got = run(loop, {x}, rows.size());
        for (std::size_t r = 0; r < rows.size(); ++r) {
          BOOST_TEST((got[r] == expected[r] || (std::isnan(got[r]) && std::isnan(expected[r]))),
                     name_of(code) << " of row " << r << " of " << columns << " columns is " << got[r]
                                   << ", not " << expected[r]);
        }
      }
    }
  }
}

// A row of which all is 0 but for the element with a number that the row has is not gone over: the element is
// read.
BOOST_AUTO_TEST_CASE(a_single_element_of_a_row_is_read) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::int64_t rows = 37;
  for (const std::int64_t columns : {1, 3, 77, 1000}) {
    for (const bool middle : {false, true}) {  // of rows of more dimensions, one of which counts
      const Shape full = middle ? Shape{columns, 1, columns} : Shape{columns, 1};
      const Shape numbered = middle ? Shape{1, 0, 0} : Shape{1, 0};
      const Loop loop{.extents = middle ? Shape{rows, columns, 1} : Shape{rows, columns},
                      .row = 1,
                      .inputs = {{DType::f32, full}, {DType::f32, numbered}},
                      .code = {{.code = Code::index, .dim = 1},
                               {Code::eq, in(1), res(0)},
                               {Code::select, in(0), Operand::constant(0), res(1)},
                               {Code::row_sum, res(2)}},
                      .outputs = {{res(3), DType::f32, Reduce::none, numbered, true}}};
      const std::optional<LoopPlan> plan = make_plan(loop);
      BOOST_TEST(std::ranges::count(plan->steps, Step::Kind::pick, &Step::kind) == 1);
      BOOST_TEST(std::ranges::none_of(plan->leaves, [](const Leaf& leaf) { return leaf.input < 0; }));
      const std::vector<float> own = numbers(std::size_t(rows * columns), 3);
      std::vector<float> x = own, at, expected;
      for (std::int64_t r = 0; r < rows; ++r) {
        at.push_back(r == 5   ? kNan
                     : r == 6 ? 0.5f
                     : r == 7 ? -1.0f
                     : r == 8 ? float(columns)
                     : r == 9 ? 1e30f
                              : float(r * 7 % columns));
        const bool is_there = r < 5 || r > 9;
        const std::size_t here = std::size_t(r * columns) + std::size_t(is_there ? at.back() : 0);
        if (r % 3 == 0) std::fill_n(x.begin() + r * columns, columns, r % 2 ? kNan : -INFINITY);
        if (is_there) x[here] = r == 11 ? -0.0f : own[here];
        expected.push_back(is_there ? x[here] + 0.0f : 0.0f);
      }
      BOOST_TEST(same_bits(run(loop, {x, at}, std::size_t(rows)), expected), columns << " columns");
    }
  }
}

// Of any dtype and lane, of what is computed, of columns that all rows have in common, by any number.
BOOST_AUTO_TEST_CASE(single_elements_are_read_of_any_operand) {
  for (const Lane lane : {Lane::f32, Lane::f64, Lane::i64}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::boolean, DType::f64, DType::i64}) {
      for (const std::int64_t columns : {1, 5, 77, 300}) {
        const std::int64_t rows = 29;
        const Loop loop{.extents = {rows, columns},
                        .lane = lane,
                        .row = 1,
                        .inputs = {{dtype, {columns, 1}}, {dtype, {0, 1}}, {DType::i64, {1, 0}}},
                        .code = {{Code::row_at, in(0), Operand::constant(3)},
                                 {Code::row_at, in(1), in(2)},
                                 {Code::neg, in(0)},
                                 {Code::row_at, res(2), in(2)},
                                 {Code::add, res(0), res(1)},
                                 {Code::add, res(3), res(4)},
                                 {Code::max, in(0), res(5)}},
                        .outputs = {{res(5), DType::f64, Reduce::none, {1, 0}, true},
                                    {res(6), DType::f64, Reduce::none, {columns, 1}}}};
        Generator random(13);
        const LoopCase one(loop, random);
        BOOST_TEST(difference(one, one.run()) == "");
      }
    }
  }
  Loop loop{
      .extents = {4, 4}, .row = 1, .inputs = {{DType::f32, {4, 1}}}, .code = {{Code::row_at, in(0), in(0)}}};
  BOOST_CHECK_EXCEPTION(CompiledLoop{loop}, Error, [](const Error& e) {
    return std::string_view(e.what()).find("row_at of a number that differs within a row") !=
           std::string_view::npos;
  });
}

// What is read as it lies, what all rows have in common, and what is gathered or repeated for it.
BOOST_AUTO_TEST_CASE(rows_of_any_operand_are_reduced, *boost::unit_test::precondition(makes_code)) {
  for (const std::int64_t columns : {64, 77, 512}) {
    const std::int64_t rows = 23;
    for (const LoopInput& input : {LoopInput{DType::f32, {columns, 1}},
                                   {DType::bf16, {columns, 1}},
                                   {DType::boolean, {columns, 1}},
                                   {DType::f32, {0, 1}},
                                   {DType::f32, {1, rows}},
                                   {DType::f32, {1, 0}}}) {
      Loop loop{.extents = {rows, columns}, .row = 1, .inputs = {input}};
      for (const Code code : {Code::row_sum, Code::row_max, Code::row_min}) {
        loop.code.push_back({code, in(0)});
        loop.outputs.push_back({res(loop.code.size() - 1), DType::f32, Reduce::none, {1, 0}, true});
      }
      loop.code.push_back({Code::mul, in(0), res(0)});
      loop.code.push_back({Code::add, res(3), res(1)});
      loop.outputs.push_back({res(4), DType::f32, Reduce::none, {columns, 1}});
      const std::optional<LoopPlan> plan = make_plan(loop);
      const auto tiles = std::ranges::count(plan->leaves, Leaf::Kind::tile, &Leaf::kind);
      BOOST_TEST(tiles == (input.strides == Shape{1, rows} ? 1 : 0));
      // The number of a row is repeated by a step.
      const bool folds =
          std::ranges::any_of(plan->steps, [](const Step& s) { return s.kind == Step::Kind::fold; });
      BOOST_TEST(folds == (input.strides == Shape{1, 0}));
      Generator random(21);
      const LoopCase one(loop, random);
      BOOST_TEST(difference(one, one.run()) == "", columns << " columns");
    }
  }
}

// Softmax cross-entropy's loop, and layer norm's: a segment for each time that rows are gone over.
BOOST_AUTO_TEST_CASE(reductions_of_what_is_read_are_segments, *boost::unit_test::precondition(makes_code)) {
  Generator random(22);
  for (const std::int64_t columns : {64, 77, 1000}) {
    const std::int64_t rows = 40;
    const Shape full{columns, 1};
    const Loop entropy{.extents = {rows, columns},
                       .row = 1,
                       .inputs = {{DType::f32, full}, {DType::f32, {1, 0}}, {DType::f32, {0, 1}}},
                       .code = {{Code::row_max, in(0)},
                                {Code::sub, in(0), res(0)},
                                {Code::eq, in(1), in(2)},
                                {Code::select, res(1), Operand::constant(0), res(2)},
                                {Code::row_sum, res(3)},
                                {Code::exp, res(1)},
                                {Code::row_sum, res(5)},
                                {Code::log, res(6)},
                                {Code::sub, res(7), res(4)}},
                       .outputs = {{res(8), DType::f32, Reduce::none, {1, 0}, true}}};
    const Loop norm{.extents = {rows, columns},
                    .row = 1,
                    .inputs = {{DType::f32, full}},
                    .code = {{Code::row_sum, in(0)},
                             {Code::sub, in(0), res(0)},
                             {Code::mul, res(1), res(1)},
                             {Code::row_sum, res(2)},
                             {Code::mul, res(1), res(3)}},
                    .outputs = {{res(4), DType::f32, Reduce::none, full}}};
    // Of what waits for nothing all is reduced at once.
    const Loop both{.extents = {rows, columns},
                    .row = 1,
                    .inputs = {{DType::f32, full}, {DType::f32, full}},
                    .code = {{Code::row_sum, in(0)},
                             {Code::mul, in(0), in(1)},
                             {Code::row_sum, res(1)},
                             {Code::row_min, in(1)},
                             {Code::add, res(0), res(2)},
                             {Code::add, res(4), res(3)}},
                    .outputs = {{res(5), DType::f32, Reduce::none, {1, 0}, true}}};
    for (const auto& [loop, segments] : {std::pair(&entropy, 2), {&norm, 3}, {&both, 1}}) {
      const std::optional<LoopPlan> plan = make_plan(*loop);
      BOOST_TEST(plan->segments.size() == std::size_t(segments));
      BOOST_TEST(std::ranges::none_of(plan->steps, [](const Step& s) { return s.kind == Step::Kind::fold; }));
      std::vector<std::vector<float>> inputs;
      for (const LoopInput& input : loop->inputs) {
        const auto size =
            std::size_t((input.strides[0] != 0 ? rows : 1) * (input.strides[1] != 0 ? columns : 1));
        std::vector<float>& values = inputs.emplace_back(size);
        for (std::size_t i = 0; i < size; ++i) {
          values[i] = input.strides == full ? float(below(random, 4001)) / 1000 - 2 : float(i);
        }
      }
      const auto size = std::size_t(loop->outputs[0].per_row ? rows : rows * columns);
      const std::vector<float> got = run(*loop, inputs, size);
      const SimdTargets interpreted(HWY_AVX2);
      const std::vector<float> expected = run(*loop, inputs, size);
      for (std::size_t i = 0; i < size; ++i) {
        BOOST_TEST(std::abs(got[i] - expected[i]) <= 1e-5f * float(columns) * (1 + std::abs(expected[i])));
      }
    }
  }
}

// A function that isn't assembled stands in between: its rows are reduced by a step of their own.
BOOST_AUTO_TEST_CASE(rows_of_what_a_sweep_computes_are_reduced_by_one) {
  const std::int64_t rows = 30, columns = 100;
  const Loop loop{.extents = {rows, columns},
                  .row = 1,
                  .inputs = {{DType::f32, {columns, 1}}},
                  .code = {{Code::tanh, in(0)},
                           {Code::row_max, res(0)},
                           {Code::row_max, in(0)},
                           {Code::sub, in(0), res(1)},
                           {Code::mul, res(3), res(2)}},
                  .outputs = {{res(4), DType::f32, Reduce::none, {columns, 1}}}};
  Generator random(23);
  const LoopCase one(loop, random);
  BOOST_TEST(difference(one, one.run()) == "");
}

BOOST_AUTO_TEST_SUITE_END()
