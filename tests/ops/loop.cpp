#include "../support/allocations.hpp"
#include "../support/loop_case.hpp"
#include "../support/restore_threads.hpp"
#include "../support/simd_targets.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop.hpp>
#include <tapestry/ops/kernels/random.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

void compare_random_loops(unsigned seed, int count) {
  Generator random(seed);
  for (int n = 0; n < count; ++n) {
    const Loop loop = random_loop(random);
    const LoopCase one(loop, random);
    const std::string wrong = difference(one, one.run());
    BOOST_REQUIRE_MESSAGE(wrong.empty(), "loop " << n << ": " << wrong);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loop)

BOOST_AUTO_TEST_CASE(adds_a_row_to_a_matrix_and_sums_its_columns) {
  const std::vector<float> matrix{1, 2, 3, 4, 5, 6}, row{10, 20, 30};
  std::vector<float> sum(6);
  std::vector<double> columns(3);
  const CompiledLoop compiled({.extents = {2, 3},
                               .inputs = {{DType::f32, {3, 1}}, {DType::f32, {0, 1}}},
                               .code = {{Code::add, Operand::input(0), Operand::input(1)}},
                               .outputs = {{Operand::result(0), DType::f32, Reduce::none, {3, 1}},
                                           {Operand::result(0), DType::f64, Reduce::sum, {0, 1}}}});
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  const void* inputs[] = {matrix.data(), row.data()};
  void* outputs[] = {sum.data(), columns.data()};
  compiled.run(inputs, outputs, scratch.data());
  BOOST_TEST(sum == (std::vector<float>{11, 22, 33, 14, 25, 36}), boost::test_tools::per_element());
  BOOST_TEST(columns == (std::vector<double>{25, 47, 69}), boost::test_tools::per_element());
}

// The softmax of each row and its logarithm's denominator, as the fusing pass would write them.
Loop softmax_loop(std::int64_t rows, std::int64_t columns) {
  const auto of = [](int i) { return Operand::result(std::size_t(i)); };
  return {.extents = {rows, columns},
          .row = 1,
          .inputs = {{DType::f32, {columns, 1}}},
          .code = {{Code::row_max, Operand::input(0)},
                   {Code::sub, Operand::input(0), of(0)},
                   {Code::exp, of(1)},
                   {Code::row_sum, of(2)},
                   {Code::div, of(2), of(3)},
                   {Code::log, of(3)}},
          .outputs = {{of(4), DType::f32, Reduce::none, {columns, 1}},
                      {of(5), DType::f32, Reduce::none, {1, 0}, true},
                      {of(5), DType::f32, Reduce::sum, {0, 0}, true}}};
}

BOOST_AUTO_TEST_CASE(a_row_can_depend_on_all_of_itself) {
  for (const std::int64_t columns : {1, 2, 7, 10, 16, 17, 33, 100, 1000, 4096}) {
    const std::int64_t rows = 37;
    const Loop loop = softmax_loop(rows, columns);
    Generator random(7);
    LoopCase one(loop, random);
    const auto* x = static_cast<const float*>(one.inputs[0].data());
    const std::vector<Storage> results = one.run();
    const auto* y = static_cast<const float*>(results[0].data());
    const auto* logs = static_cast<const float*>(results[1].data());
    double total = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* row = x + r * columns;
      const float most = *std::max_element(row, row + columns);
      double sum = 0;
      for (std::int64_t i = 0; i < columns; ++i) sum += std::exp(double(row[i]) - most);
      for (std::int64_t i = 0; i < columns; ++i) {
        BOOST_TEST(y[r * columns + i] == std::exp(double(row[i]) - most) / sum,
                   boost::test_tools::tolerance(1e-6));
      }
      BOOST_TEST(std::abs(logs[r] - std::log(sum)) < 1e-6);
      total += logs[r];
    }
    BOOST_TEST(*static_cast<const float*>(results[2].data()) == float(total),
               boost::test_tools::tolerance(1e-6f));
  }
}

std::string refusal(const Loop& loop) {
  return test::thrown([&] { (void)CompiledLoop(loop); });
}

BOOST_AUTO_TEST_CASE(refuses_rows_that_make_no_sense) {
  Loop loop = softmax_loop(3, 4);
  loop.row.reset();
  loop.outputs.resize(1);
  BOOST_TEST(refusal(loop).find("row_max in a loop without rows") != std::string::npos);
  loop = softmax_loop(3, 4);
  loop.outputs[0].per_row = true;
  BOOST_TEST(refusal(loop).find("within a row") != std::string::npos);
  loop = softmax_loop(3, 4);
  loop.outputs[1].strides = {4, 1};
  BOOST_TEST(refusal(loop).find("moves along dimension 1") != std::string::npos);
  BOOST_TEST(refusal(softmax_loop(0, 4)).find("can't have rows") != std::string::npos);
  BOOST_TEST(refusal(softmax_loop(2, 200000)).find("rows of 200000 elements") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(random_loops_match_a_scalar_evaluator) { compare_random_loops(1, 800); }

BOOST_AUTO_TEST_CASE(every_instruction_set_gives_the_same) {
  for (const std::int64_t target : {HWY_SCALAR, HWY_AVX2}) {
    const SimdTargets only(target);
    compare_random_loops(2, 150);
  }
}

BOOST_AUTO_TEST_CASE(random_loops_work_in_place) {
  Generator random(3);
  int shared = 0;
  for (int n = 0; n < 800; ++n) {
    Loop loop = random_loop(random);
    // Make it likely that there is something to share.
    for (LoopInput& input : loop.inputs) {
      const LoopOutput& output = loop.outputs[random() % loop.outputs.size()];
      if (random() % 2 && output.reduce == Reduce::none) input = {output.dtype, output.strides};
    }
    const LoopCase one(loop, random);
    shared += std::ranges::count_if(shareable(loop), [](int input) { return input >= 0; });
    BOOST_REQUIRE_MESSAGE(same_bytes(one.run(), one.run(true)), "loop " << n << ": " << to_string(loop));
  }
  BOOST_TEST(shared > 300);
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  const test::RestoreThreads restore;
  Generator random(4);
  for (int n = 0; n < 100; ++n) {
    Loop loop = random_loop(random);
    if (n % 2) {
      loop.extents = {below(random, 900), below(random, 900)};
      if (loop.row) {
        loop.extents = {below(random, 9000) + 1, below(random, 100) + 1};
        loop.row = 1;
      }
      for (LoopInput& input : loop.inputs) input.strides = strides_of(loop.extents);
      for (LoopOutput& output : loop.outputs) {
        output.strides = strides_of(loop.extents);
        output.per_row = false;
        if (output.reduce == Reduce::none) continue;
        if (random() % 2) output.strides = {0, 1};
        if (random() % 2) output.strides = {output.strides[0] != 0, 0};
      }
      for (Instruction& instruction : loop.code) instruction.dim = 0;
    }
    const LoopCase one(loop, random);
    set_thread_count(1);
    const std::vector<Storage> alone = one.run();
    for (const int threads : {2, 3, 8}) {
      set_thread_count(threads);
      BOOST_REQUIRE_MESSAGE(same_bytes(alone, one.run()), threads << " threads: " << to_string(loop));
    }
  }
}

// Pairwise summation of n numbers errs by log2(n) units of the last place at worst, and far less as a rule.
template <class T>
void check_sums(const Shape& extents, const Shape& kept) {
  Generator random(5);
  Loop loop{.extents = extents, .lane = std::is_same_v<T, float> ? Lane::f32 : Lane::f64};
  loop.inputs = {{dtype_of<T>, strides_of(extents)}};
  loop.outputs = {{Operand::input(0), dtype_of<T>, Reduce::sum, kept}};
  LoopCase one(loop, random);
  auto* values = static_cast<T*>(one.inputs[0].data());
  for (std::int64_t i = 0; i < extents.elements(); ++i) values[i] = T(0.1) + T(random() % 1000) / 1000;
  const void* inputs[] = {values};
  const NaiveResult expected = evaluate_naively(loop, inputs)[0];
  const std::vector<Storage> got = one.run();
  double worst = 0;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    const long double value = load_naively(dtype_of<T>, got[0].data(), expected.offsets[i]);
    worst = std::max(
        worst, double(std::abs(value / expected.values[i] - 1)) / double(std::numeric_limits<T>::epsilon()));
  }
  BOOST_TEST(worst < 2, "sums over " << extents << " are off by " << worst << " units");
}

BOOST_AUTO_TEST_CASE(sums_are_accurate) {
  for (const auto& [extents, kept] : std::vector<std::pair<Shape, Shape>>{{{2000000}, {0}},
                                                                          {{3, 500000}, {1, 0}},
                                                                          {{400000, 3}, {0, 1}},
                                                                          {{3000, 500}, {0, 1}},
                                                                          {{64, 6000}, {0, 0}}}) {
    check_sums<float>(extents, kept);
    check_sums<double>(extents, kept);
  }
}

BOOST_AUTO_TEST_CASE(infinities_and_overflow_in_sums) {
  const auto sum = [](std::vector<double> values) {
    const auto n = std::int64_t(values.size());
    const CompiledLoop compiled({.extents = {n},
                                 .lane = Lane::f64,
                                 .inputs = {{DType::f64, {1}}},
                                 .outputs = {{Operand::input(0), DType::f64, Reduce::sum, {0}}}});
    std::vector<std::byte> scratch(compiled.scratch_bytes());
    double out = 0;
    const void* inputs[] = {values.data()};
    void* outputs[] = {&out};
    compiled.run(inputs, outputs, scratch.data());
    return out;
  };
  const double infinity = std::numeric_limits<double>::infinity();
  BOOST_TEST(sum({1, infinity, 2}) == infinity);
  BOOST_TEST(sum({-infinity, 1}) == -infinity);
  BOOST_TEST(std::isnan(sum({infinity, -infinity})));
  BOOST_TEST(sum({1e308, 1e308}) == infinity);
  BOOST_TEST(sum({}) == 0);
}

// [rows, columns] random numbers, while the sums of the columns are computed too.
template <class T>
Tensor random_numbers(std::int64_t rows, std::int64_t columns, const RandomKey& key) {
  const CompiledLoop compiled(
      {.extents = {rows, columns},
       .lane = dtype_of<T> == DType::f32 ? Lane::f32 : Lane::f64,
       .inputs = {{DType::i64, {0, 0}}},
       .code = {{Code::uniform, Operand::input(0)}, {Code::mul, Operand::result(0), Operand::constant(1)}},
       .outputs = {{Operand::result(1), dtype_of<T>, Reduce::none, {columns, 1}},
                   {Operand::result(0), dtype_of<T>, Reduce::sum, {0, 1}}}});
  Tensor out(dtype_of<T>, {rows, columns}), sums(dtype_of<T>, {columns});
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  const void* inputs[] = {key.data()};
  void* outputs[] = {out.mutable_data(), sums.mutable_data()};
  compiled.run(inputs, outputs, scratch.data());
  return out;
}

BOOST_AUTO_TEST_CASE(random_numbers_are_those_of_a_random_tensor) {
  const RandomKey key{-123456789012345, 1234567890123};
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 5}, {7, 1023}, {300, 1001}}) {
    Tensor f32(DType::f32, {rows, columns}), f64(DType::f64, {rows, columns});
    random_uniform(key, f32.mutable_view());
    random_uniform(key, f64.mutable_view());
    BOOST_TEST(identical(random_numbers<float>(rows, columns, key), f32));
    BOOST_TEST(identical(random_numbers<double>(rows, columns, key), f64));
  }
}

// Large enough for its elements to be asked for while numbers are drawn.
BOOST_AUTO_TEST_CASE(random_numbers_join_a_large_operand) {
  constexpr std::int64_t n = 1'000'003;
  const RandomKey key{3, 4};
  Tensor x(DType::f32, {n}), numbers(DType::f32, {n}), sums(DType::f32, {n});
  for (std::int64_t i = 0; i < n; ++i) x.mutable_values<float>()[std::size_t(i)] = float(i % 101);
  random_uniform(key, numbers.mutable_view());
  const CompiledLoop compiled(
      {.extents = {n},
       .inputs = {{DType::f32, {1}}, {DType::i64, {0}}},
       .code = {{Code::uniform, Operand::input(1)}, {Code::add, Operand::input(0), Operand::result(0)}},
       .outputs = {{Operand::result(1), DType::f32, Reduce::none, {1}}}});
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  const void* inputs[] = {x.data(), key.data()};
  void* outputs[] = {sums.mutable_data()};
  compiled.run(inputs, outputs, scratch.data());
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < std::size_t(n); ++i) {
    wrong += sums.values<float>()[i] != x.values<float>()[i] + numbers.values<float>()[i];
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(running_allocates_nothing) {
  const CompiledLoop compiled(
      {.extents = {500, 900},
       .inputs = {{DType::bf16, {900, 1}}, {DType::f32, {0, 1}}, {DType::f32, {1, 500}}},
       .code = {{Code::mul, Operand::input(0), Operand::input(1)},
                {Code::exp, Operand::result(0)},
                {Code::add, Operand::result(1), Operand::input(2)}},
       .outputs = {{Operand::result(1), DType::f32, Reduce::none, {900, 1}},
                   {Operand::result(2), DType::f32, Reduce::sum, {0, 1}},
                   {Operand::result(2), DType::f64, Reduce::max, {0, 0}}}});
  Generator random(6);
  LoopCase one(compiled.loop(), random);
  Tensor full(DType::f32, {500, 900}), sums(DType::f32, {900}), most(DType::f64, {});
  std::vector<std::byte> scratch(compiled.scratch_bytes());
  const void* inputs[] = {one.inputs[0].data(), one.inputs[1].data(), one.inputs[2].data()};
  void* outputs[] = {full.mutable_data(), sums.mutable_data(), most.mutable_data()};
  compiled.run(inputs, outputs, scratch.data());  // threads start
  const std::size_t before = test::allocations();
  compiled.run(inputs, outputs, scratch.data());
  BOOST_TEST(test::allocations() == before);
}

BOOST_AUTO_TEST_CASE(loops_are_told_apart_by_all_that_they_are) {
  const auto loop = [](double number) {
    return Loop{.extents = {2, 3},
                .inputs = {{DType::f32, {3, 1}}},
                .code = {{Code::add, Operand::input(0), Operand::constant(number)}},
                .outputs = {{Operand::result(0), DType::f32, Reduce::none, {3, 1}}}};
  };
  std::vector<Loop> all(13, loop(0));
  all[1] = loop(-0.0);
  all[2] = loop(std::nextafter(0.0, 1.0));
  all[3].extents = {3, 2};
  all[4].lane = Lane::f64;
  all[5].row = 1;
  all[6].inputs[0].dtype = DType::bf16;
  all[7].inputs[0].strides = {1, 2};
  all[8].code[0].code = Code::sub;
  all[9].code[0].b = Operand::input(0);
  all[10].outputs[0].dtype = DType::bf16;
  all[11].outputs[0] = {Operand::result(0), DType::f32, Reduce::sum, {0, 1}};
  all[12].outputs[0].value = Operand::input(0);
  for (std::size_t a = 0; a < all.size(); ++a) {
    for (std::size_t b = 0; b < all.size(); ++b) {
      BOOST_TEST((identity_of(all[a]) == identity_of(all[b])) == (a == b), a << " and " << b);
    }
  }
  BOOST_TEST(identity_of(loop(NAN)) == identity_of(loop(NAN)));
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  const auto says = [](const char* text) {
    return [text](const Error& e) { return e.what() == std::string(text); };
  };
  BOOST_CHECK_EXCEPTION(
      CompiledLoop(
          {.extents = {2}, .inputs = {{DType::i64, {1}}}, .code = {{Code::uniform, Operand::input(0)}}}),
      Error, says("instruction 0 (uniform) needs an i64 input with strides 0 as its key"));
  BOOST_CHECK_EXCEPTION(
      CompiledLoop({.extents = {2}, .lane = Lane::i64, .code = {{Code::exp, Operand::constant(1)}}}), Error,
      says("instruction 0 (exp) does not exist for i64 lanes"));
  BOOST_CHECK_EXCEPTION(CompiledLoop({.extents = {2, 3}, .inputs = {{DType::f32, {1}}}}), Error,
                        says("a loop over [2, 3] has an input of strides [1]"));
  BOOST_CHECK_EXCEPTION(
      CompiledLoop({.extents = {2}, .code = {{Code::add, Operand::constant(1), Operand::result(0)}}}), Error,
      [](const Error& e) {
        return std::string(e.what()) == "instruction 0 (add) reads result 0 before it is computed";
      });
}

BOOST_AUTO_TEST_SUITE_END()
