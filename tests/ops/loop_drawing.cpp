#include "../support/assembled.hpp"
#include "../support/restore_threads.hpp"

#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop_drawing.hpp>

#include <algorithm>
#include <cmath>
#include <new>
#include <span>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

constexpr RandomKey kKey{-123456789012345, 1234567890123};

Tensor uniform(std::int64_t n, const RandomKey& key = kKey) {
  Tensor y(DType::f32, {n});
  random_uniform(key, y.mutable_view());
  return y;
}

bool draws(const Loop& loop) {
  const auto plan = make_plan(loop);
  return std::ranges::any_of(plan->steps, &Step::draws);
}

/// The loop's outputs, as many bytes as each has elements times its size.
std::vector<std::vector<std::byte>> run_all(const Loop& loop, std::vector<const void*> inputs,
                                            std::span<const std::size_t> bytes) {
  const CompiledLoop compiled(loop);
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  std::vector<std::vector<std::byte>> results;
  std::vector<void*> outputs;
  for (const std::size_t size : bytes) outputs.push_back(results.emplace_back(size).data());
  for (std::size_t i = 0; i < bytes.size(); ++i) outputs[i] = results[i].data();
  compiled.run(inputs, outputs, scratch.data());
  return results;
}

std::span<const float> floats(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / 4};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(loop_drawing, test::RestoreThreads)

// Rows end anywhere within a batch, a vector, and a counter's words.
BOOST_AUTO_TEST_CASE(rows_of_any_length_have_the_numbers_of_a_random_tensor) {
  for (const std::int64_t rows : {1, 2, 13, 300}) {
    for (const std::int64_t columns : {1, 3, 16, 31, 32, 64, 77, 96, 100, 127, 128, 500, 1001, 4099}) {
      const Loop loop{.extents = {rows, columns},
                      .inputs = {{DType::i64, {0, 0}}, {DType::f32, {0, 1}}},
                      .code = {{Code::uniform, in(0)}, {Code::add, res(0), in(1)}},
                      .outputs = {{res(1), DType::f32, Reduce::none, {columns, 1}}}};
      const std::vector<float> bias(std::size_t(columns), 0.25f);
      const std::size_t bytes[] = {std::size_t(rows * columns * 4)};
      if (assembles()) BOOST_TEST(draws(loop));
      const auto result = run_all(loop, {kKey.data(), bias.data()}, bytes);
      const Tensor expected = uniform(rows * columns);
      std::int64_t wrong = 0;
      for (std::size_t i = 0; i < bytes[0] / 4; ++i) {
        wrong += floats(result[0])[i] != expected.values<float>()[i] + 0.25f;
      }
      BOOST_TEST(wrong == 0, rows << " rows of " << columns);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_number) {
  const std::int64_t n = 200'003;
  const Loop loop = [&] {
    Loop all = pointwise(n, 0, {{Code::uniform, in(0)}});
    all.inputs = {{DType::i64, {0}}};
    return all;
  }();
  const std::size_t bytes[] = {std::size_t(n * 4)};
  const Tensor expected = uniform(n);
  for (const int threads : {1, 2, 3, 5, 8}) {
    set_thread_count(threads);
    const auto result = run_all(loop, {kKey.data()}, bytes);
    BOOST_TEST(std::ranges::equal(floats(result[0]), expected.values<float>()), threads << " threads");
  }
}

// Limits that are numbers drawn, or next to one, with either on either side.
BOOST_AUTO_TEST_CASE(comparisons_with_a_constant_are_those_of_the_numbers) {
  constexpr std::int64_t n = 1003;
  const Tensor numbers = uniform(n);
  const float some = numbers.values<float>()[17], other = numbers.values<float>()[900];
  const float one = 1;
  for (const float limit : {0.9f,
                            0.5f,
                            some,
                            some + 0x1p-25f,
                            std::nextafter(some, one),
                            std::nextafter(some, 0.0f),
                            other,
                            std::nextafter(other, one),
                            0x1p-24f,
                            0x1p-25f,
                            1e-30f,
                            0.0f,
                            -0.0f,
                            -0.5f,
                            one,
                            1 - 0x1p-24f,
                            std::nextafter(one, 2.0f),
                            3.0f,
                            INFINITY,
                            -INFINITY,
                            NAN}) {
    for (const Code code : {Code::lt, Code::le, Code::gt, Code::ge, Code::eq, Code::ne}) {
      for (const bool swapped : {false, true}) {
        const Operand constant = Operand::constant(double(limit));
        const Operand a = swapped ? constant : res(0), b = swapped ? res(0) : constant;
        // The mask, what it chooses, the number, and the mask as a number.
        const Loop loop{.extents = {n},
                        .inputs = {{DType::i64, {0}}},
                        .code = {{Code::uniform, in(0)},
                                 {code, a, b},
                                 {Code::select, Operand::constant(3), Operand::constant(5), res(1)},
                                 {code, a, b},
                                 {Code::add, res(3), res(0)}},
                        .outputs = {{res(1), DType::boolean, Reduce::none, {1}},
                                    {res(2), DType::f32, Reduce::none, {1}},
                                    {res(4), DType::f32, Reduce::none, {1}}}};
        const std::size_t bytes[] = {n, n * 4, n * 4};
        const auto result = run_all(loop, {kKey.data()}, bytes);
        std::int64_t wrong = 0;
        for (std::size_t i = 0; i < n; ++i) {
          const float u = numbers.values<float>()[i], x = swapped ? limit : u, y = swapped ? u : limit;
          const bool holds = code == Code::lt   ? x < y
                             : code == Code::le ? x <= y
                             : code == Code::gt ? x > y
                             : code == Code::ge ? x >= y
                             : code == Code::eq ? x == y
                                                : x != y;
          wrong += result[0][i] != std::byte(holds);
          wrong += floats(result[1])[i] != (holds ? 3.0f : 5.0f);
          wrong += floats(result[2])[i] != float(holds) + u;
        }
        BOOST_TEST(wrong == 0, name_of(code) << " " << limit << (swapped ? ", swapped" : ""));
      }
    }
  }
}

// Of words themselves, where a comparison with a constant is all.
BOOST_AUTO_TEST_CASE(dropout_compares_words, *boost::unit_test::precondition(makes_code)) {
  const Loop loop = [] {
    Loop all = pointwise(1000, 0, {{Code::uniform, in(0)}, {Code::lt, res(0), Operand::constant(0.9)}});
    all.inputs = {{DType::i64, {0}}};
    return all;
  }();
  const LoopPlan plan = *make_plan(loop);
  BOOST_TEST(plan.segments.size() == 1u);
  BOOST_TEST(std::ranges::any_of(plan.segments[0].steps, &Segment::Step::of_words));
}

// Each draws them for itself.
BOOST_AUTO_TEST_CASE(two_segments_read_the_same_numbers) {
  for (const std::int64_t columns : {64, 100, 1001}) {
    const std::int64_t rows = 37;
    const Loop loop{.extents = {rows, columns},
                    .row = 1,
                    .inputs = {{DType::i64, {0, 0}}},
                    .code = {{Code::uniform, in(0)}, {Code::row_max, res(0)}, {Code::sub, res(0), res(1)}},
                    .outputs = {{res(2), DType::f32, Reduce::none, {columns, 1}}}};
    if (assembles()) {
      const LoopPlan plan = *make_plan(loop);
      BOOST_TEST(std::ranges::count_if(plan.steps, &Step::draws) == 2);
    }
    const std::size_t bytes[] = {std::size_t(rows * columns * 4)};
    const auto result = run_all(loop, {kKey.data()}, bytes);
    const Tensor numbers = uniform(rows * columns);
    std::int64_t wrong = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto row = numbers.values<float>().subspan(std::size_t(r * columns), std::size_t(columns));
      const float most = *std::ranges::max_element(row);
      for (std::size_t c = 0; c < row.size(); ++c) {
        wrong += floats(result[0])[std::size_t(r * columns) + c] != row[c] - most;
      }
    }
    BOOST_TEST(wrong == 0, columns << " columns");
  }
}

// What reads one element of a row doesn't draw: it needs them in memory.
BOOST_AUTO_TEST_CASE(single_elements_of_random_rows) {
  for (const bool others_draw : {false, true}) {
    const std::int64_t rows = 137, columns = 300;
    Loop loop{.extents = {rows, columns},
              .row = 1,
              .inputs = {{DType::i64, {0, 0}}, {DType::f32, {1, 0}}},
              .code = {{Code::uniform, in(0)}, {Code::row_at, res(0), in(1)}, {Code::add, res(0), res(1)}},
              .outputs = {{res(1), DType::f32, Reduce::none, {1, 0}, true}}};
    if (others_draw) loop.outputs.push_back({res(2), DType::f32, Reduce::none, {columns, 1}});
    std::vector<float> at(rows);
    for (std::size_t r = 0; r < at.size(); ++r) at[r] = float(r * 41 % std::size_t(columns));
    const std::size_t bytes[] = {std::size_t(rows * 4), std::size_t(rows * columns * 4)};
    const auto result = run_all(loop, {kKey.data(), at.data()}, std::span(bytes).first(loop.outputs.size()));
    const Tensor all = uniform(rows * columns);
    std::int64_t wrong = 0;
    for (std::size_t r = 0; r < at.size(); ++r) {
      const auto row = all.values<float>().subspan(r * std::size_t(columns), std::size_t(columns));
      const float one = row[std::size_t(at[r])];
      wrong += floats(result[0])[r] != one;
      for (std::size_t c = 0; others_draw && c < row.size(); ++c) {
        wrong += floats(result[1])[r * row.size() + c] != row[c] + one;
      }
    }
    BOOST_TEST(wrong == 0, (others_draw ? "others draw" : "nothing else reads them"));
  }
}

// With constants in registers, which drawing takes for itself.
BOOST_AUTO_TEST_CASE(two_tensors_are_drawn_in_one_segment) {
  constexpr std::int64_t n = 10'007;
  constexpr RandomKey other{5, 6};
  const Loop loop{
      .extents = {n},
      .inputs = {{DType::i64, {0}}, {DType::i64, {0}}, {DType::f32, {1}}},
      .code = {{Code::uniform, in(0)},
               {Code::uniform, in(1)},
               {Code::mul, res(0), Operand::constant(2)},
               {Code::sub, res(1), Operand::constant(0.125)},
               {Code::add, res(2), res(3)},
               {Code::exp, in(2)},
               {Code::erf, res(5)},
               {Code::mul, res(4), res(6)}},
      .outputs = {{res(7), DType::f32, Reduce::none, {1}}, {res(6), DType::f32, Reduce::none, {1}}}};
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = float(i % 100) / 50 - 1;
  const std::size_t bytes[] = {n * 4, n * 4};
  const auto result = run_all(loop, {kKey.data(), other.data(), x.data()}, bytes);
  const Tensor u = uniform(n), v = uniform(n, other);
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float sum = u.values<float>()[i] * 2 + (v.values<float>()[i] - 0.125f);
    wrong += floats(result[0])[i] != sum * floats(result[1])[i];
    wrong += std::abs(floats(result[1])[i] - std::erf(std::exp(x[i]))) > 1e-6f;
  }
  BOOST_TEST(wrong == 0);
}

// The first word of the counters runs over, soon or in the middle, and a block begins within a counter.
BOOST_AUTO_TEST_CASE(numbers_past_the_first_word_of_counters, *boost::unit_test::precondition(makes_code)) {
  constexpr std::int64_t n = 1000;
  Loop loop = pointwise(n, 0, {{Code::uniform, in(0)}});
  loop.inputs = {{DType::i64, {0}}};
  const LoopPlan plan = *make_plan(loop);
  const auto leaf = std::ranges::find(plan.leaves, true, &Leaf::random);
  BOOST_TEST_REQUIRE(plan.segments.size() == 1u);
  BOOST_TEST_REQUIRE(plan.calls.size() == 1u);
  const std::int64_t over = std::int64_t{1} << 34;
  for (const std::int64_t start : {std::int64_t{0}, std::int64_t{4096}, over - n - 600, over - n - 256,
                                   over - n - 40, over - 130, over - 1, over, 3 * over - 77, 5 * over}) {
    for (std::int64_t first = start; first < start + 5; ++first) {
      Drawing drawing(kKey);
      std::vector<std::uint32_t> buffer(std::size_t(n) + 8);
      std::vector<float> result(std::size_t(n) + 1, -7.0f);
      std::vector<std::byte*> slots(plan.slot_offsets.size());
      slots[std::size_t(leaf->drawing)] = reinterpret_cast<std::byte*>(&drawing);
      slots[std::size_t(leaf->slot)] = reinterpret_cast<std::byte*>(drawing.start(first, n, buffer.data()));
      slots[std::size_t(plan.fulls[0].slot)] = reinterpret_cast<std::byte*>(result.data());
      plan.calls[0].assembled->run(slots.data(), 1, n);
      bool same = result[std::size_t(n)] == -7;
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = std::uint64_t(first + i), step = std::uint64_t(kKey[1]),
                   seed = std::uint64_t(kKey[0]);
        const auto words = philox4x32({low_word(at / 4), high_word(at / 4), low_word(step), high_word(step)},
                                      {low_word(seed), high_word(seed)});
        same &= result[std::size_t(i)] == unit_f32(words[at % 4]);
      }
      BOOST_TEST(same, "from " << first);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
