#include "../support/restore_threads.hpp"
#include "../support/simd_targets.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/random.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/kernels/random.hpp>
#include <tapestry/ops/random.hpp>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

State key_at(std::uint64_t seed, std::int64_t step) {
  StateDict state;
  const State key = make_random_key(state, seed);
  key.set(Tensor::from({std::int64_t(seed), step}, {2}));
  return key;
}

/// The mean of f over the elements.
template <class F>
double mean(const Tensor& x, const F& f) {
  double total = 0;
  for (std::int64_t i = 0; i < x.elements(); ++i) total += f(x.at(i));
  return total / double(x.elements());
}

bool within(const Tensor& x, double lo, double hi) {
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    if (!(x.at(i) >= lo && x.at(i) < hi)) return false;
  }
  return true;
}

constexpr std::int64_t kMany = 200'000;

}  // namespace

namespace suites {  // apart from the C library's random()

BOOST_AUTO_TEST_SUITE(random)

// The first word of the counter runs over within a vector, and numbers begin and end within a counter's
// words.
BOOST_AUTO_TEST_CASE(elements_anywhere_are_words_of_philox) {
  const kernels::RandomKey key{0x123456789abcdef, 77};
  for (const std::int64_t targets : std::initializer_list<std::int64_t>{HWY_AVX2, HWY_SCALAR, 0}) {
    const SimdTargets only(targets);
    for (const std::int64_t start : {std::int64_t{0}, (std::int64_t{1} << 34) - 130, std::int64_t{1} << 34}) {
      for (std::int64_t first = start; first < start + 5; ++first) {
        for (const std::size_t size : {1, 3, 31, 64, 100, 300, 1000}) {
          std::vector<float> singles(size + 1, -7);
          std::vector<double> doubles(size + 1, -7);
          kernels::random_uniform(key, first, std::span(singles).first(size));
          kernels::random_uniform(key, first, std::span(doubles).first(size));
          bool same = singles[size] == -7 && doubles[size] == -7;
          for (std::size_t i = 0; i < size; ++i) {
            const auto words = [&](std::int64_t counter) {
              return philox4x32({low_word(std::uint64_t(counter)), high_word(std::uint64_t(counter)), 77, 0},
                                {0x89abcdef, 0x1234567});
            };
            const std::int64_t at = first + std::int64_t(i);
            const auto pair = std::size_t(at % 2 * 2);
            same &= singles[i] == unit_f32(words(at / 4)[std::size_t(at % 4)]);
            same &= doubles[i] == unit_f64(words(at / 2)[pair], words(at / 2)[pair + 1]);
          }
          BOOST_TEST(same, size << " from " << first);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_key_is_state) {
  StateDict state;
  const State key = make_random_key(state, 0xffffffffffffffff);
  BOOST_TEST(key.name() == "random/key");
  BOOST_TEST(to_string(key.value()) == "i64 [2] {-1, 0}");
  BOOST_TEST((key.kind() == StateKind::statistic));
  BOOST_TEST((*state.find("random/key") == key));
  make_random_key(state, 1, "dropout/key");
  BOOST_CHECK_THROW(make_random_key(state, 2), Error);
}

BOOST_AUTO_TEST_CASE(elements_are_words_of_philox) {
  const std::uint64_t seed = 0x123456789abcdef0;
  const std::int64_t step = 5'000'000'000;
  const State key = key_at(seed, step);
  Tape f, d;
  const Tensor x = evaluate(random_uniform(f, key, {3, 7}));
  const Tensor y = evaluate(random_uniform(d, key, {3, 7}, DType::f64));
  Random numbers(seed, std::uint64_t(step));
  for (std::int64_t i = 0; i < 21; ++i) {
    const auto words = philox4x32({std::uint32_t(i / 4), 0, low_word(std::uint64_t(step)), 1},
                                  {low_word(seed), high_word(seed)});
    BOOST_TEST(x.values<float>()[std::size_t(i)] == unit_f32(words[std::size_t(i % 4)]));
    BOOST_TEST(y.at(i) == numbers.uniform());
  }
}

BOOST_AUTO_TEST_CASE(each_draw_has_numbers_of_its_own) {
  const State key = key_at(3, 0);
  Tape tape;
  const Var a = random_uniform(tape, key, {8}, DType::f64);
  const Var b = random_uniform(tape, key, {8}, DType::f64);
  const Var c = random_normal(tape, key, {8}, DType::f64);
  const Var outputs[] = {a, b, c};
  Program program = compile(tape, outputs);
  std::set<double> seen;
  std::vector<Tensor> second;
  for (int step = 0; step < 3; ++step) {
    program.run();
    for (const Tensor& output : program.outputs()) {
      for (std::int64_t i = 0; i < 8; ++i) seen.insert(output.at(i));
    }
    if (step == 1) second = {Tensor(program.output(0)), Tensor(program.output(1)), Tensor(program.output(2))};
  }
  BOOST_TEST(seen.size() == 3u * 3 * 8);
  BOOST_TEST(to_string(key.value()) == "i64 [2] {3, 12}");
  // Put back to where the second step began, it repeats it.
  key.set(Tensor::from({std::int64_t{3}, std::int64_t{4}}, {2}));
  program.run();
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(identical(program.output(i), second[i]));
  // The interpreter draws the same.
  key.set(Tensor::from({std::int64_t{3}, std::int64_t{4}}, {2}));
  for (std::size_t i = 0; i < 2; ++i) BOOST_TEST(identical(evaluate(outputs[i]), second[i]));
}

BOOST_AUTO_TEST_CASE(uniform_numbers) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape;
    const State key = key_at(11, 2);
    const Tensor u = evaluate(random_uniform(tape, key, {kMany}, dtype));
    BOOST_TEST(within(u, 0, 1));
    // Standard errors are 6.5e-4, 6.7e-4, 6.3e-4.
    BOOST_TEST(std::abs(mean(u, [](double v) { return v; }) - 1. / 2) < 3e-3);
    BOOST_TEST(std::abs(mean(u, [](double v) { return v * v; }) - 1. / 3) < 3e-3);
    BOOST_TEST(std::abs(mean(u, [](double v) { return v * v * v; }) - 1. / 4) < 3e-3);
    const Tensor w = evaluate(random_uniform(tape, key, {kMany}, dtype, -3, 5));
    BOOST_TEST(within(w, -3, 5.0000001));
    BOOST_TEST(std::abs(mean(w, [](double v) { return v; }) - 1) < 3e-2);
  }
}

BOOST_AUTO_TEST_CASE(normal_numbers) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape;
    const Tensor z = evaluate(random_normal(tape, key_at(12, 0), {kMany}, dtype));
    BOOST_TEST(within(z, -8.6, 8.6));  // finite
    BOOST_TEST(std::abs(mean(z, [](double v) { return v; })) < 0.01);
    BOOST_TEST(std::abs(mean(z, [](double v) { return v * v; }) - 1) < 0.015);
    BOOST_TEST(std::abs(mean(z, [](double v) { return v * v * v; })) < 0.04);
    BOOST_TEST(std::abs(mean(z, [](double v) { return v * v * v * v; }) - 3) < 0.12);
    BOOST_TEST(std::abs(mean(z, [](double v) { return double(v < -1); }) - 0.158655) < 0.004);
  }
}

BOOST_AUTO_TEST_CASE(a_uniform_zero_makes_a_normal_number) {
  const State key = key_at(1343428, 0);  // found by search: one in 2^24 is 0
  Tape tape, other;
  BOOST_TEST(evaluate(random_uniform(tape, key, {4})).at(3) == 0);
  BOOST_TEST(std::isfinite(evaluate(random_normal(other, key, {4})).at(3)));
}

BOOST_AUTO_TEST_CASE(bernoulli_numbers) {
  Tape tape;
  const State key = key_at(13, 0);
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8, DType::boolean}) {
    const Tensor b = evaluate(random_bernoulli(tape, key, {kMany / 10}, 0.3, dtype));
    BOOST_TEST((b.dtype() == dtype));
    BOOST_TEST(mean(b, [](double v) { return double(v == 0 || v == 1); }) == 1);
    BOOST_TEST(std::abs(mean(b, [](double v) { return v; }) - 0.3) < 0.015);
  }
  BOOST_TEST(mean(evaluate(random_bernoulli(tape, key, {1000}, 0)), [](double v) { return v; }) == 0);
  BOOST_TEST(mean(evaluate(random_bernoulli(tape, key, {1000}, 1)), [](double v) { return v; }) == 1);
}

BOOST_AUTO_TEST_CASE(permutations) {
  for (const std::int64_t n : {0, 1, 2, 1000}) {
    Tape tape;
    const State key = key_at(14, 9);
    const Tensor p = evaluate(random_permutation(tape, key, n));
    BOOST_TEST(identical(p, Tensor::from(permutation(n, 14, 9), {n})));
    std::vector<std::int64_t> sorted(p.values<std::int64_t>().begin(), p.values<std::int64_t>().end());
    std::ranges::sort(sorted);
    for (std::int64_t i = 0; i < n; ++i) BOOST_TEST(sorted[std::size_t(i)] == i);
    const Tensor q = evaluate(random_permutation(tape, key, n));
    BOOST_TEST(identical(p, q) == (n < 2 || (n == 2 && p.at(0) == q.at(0))));
  }
}

BOOST_AUTO_TEST_CASE(threads_change_no_bit) {
  const auto drawn = [](int threads) {
    const RestoreThreads restore;
    set_thread_count(threads);
    Tape tape;
    return evaluate(random_normal(tape, key_at(15, 0), {kMany + 3}));
  };
  const Tensor one = drawn(1);
  for (const int threads : {2, 5}) BOOST_TEST(identical(drawn(threads), one));
}

BOOST_AUTO_TEST_CASE(of_any_shape) {
  Tape tape;
  const State key = key_at(16, 0);
  BOOST_TEST(evaluate(random_uniform(tape, key, {})).elements() == 1);
  BOOST_TEST(evaluate(random_uniform(tape, key, {2, 0, 3})).shape() == (Shape{2, 0, 3}));
  BOOST_TEST(evaluate(random_normal(tape, key, {0})).elements() == 0);
}

BOOST_AUTO_TEST_CASE(mistakes_name_the_line) {
  Tape tape;
  const State key = key_at(17, 0);
  const int line = __LINE__ + 1;
  const auto p = [&] { random_bernoulli(tape, key, {2}, 1.5); };
  const auto dtype = [&] { random_uniform(tape, key, {2}, DType::i32); };
  const auto n = [&] { random_permutation(tape, key, -1); };
  BOOST_TEST(thrown(p) == text("random.cpp:", line, ": random_bernoulli: 1.5 is no probability"));
  BOOST_TEST(thrown(dtype) ==
             text("random.cpp:", line + 1,
                  ": random_uniform: draws f32 or f64, not i32: random/key [2] (random.cpp:", line + 1, ")"));
  BOOST_TEST(thrown(n) == text("random.cpp:", line + 2, ": random_permutation: there can't be -1 elements"));
  BOOST_CHECK_THROW(random_bernoulli(tape, key, {2}, std::nan("")), Error);
  const State no_key("w", Tensor(DType::f32, {2}));
  BOOST_TEST(thrown([&] { random_uniform(tape, no_key, {2}); }).find("the key isn't i64 [2]: w [2]") !=
             std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace suites
