#include "../support/random_tensor.hpp"
#include "../support/special_numbers.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

State key_of(std::uint64_t seed) {
  StateDict state;
  return make_random_key(state, seed);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dropout)

BOOST_AUTO_TEST_CASE(keeps_a_share_and_the_mean) {
  constexpr std::int64_t n = 100'000;
  for (const double keep : {0.25, 0.8, 0.999}) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      Tape tape;
      const Var x = tape.constant(Tensor::full({n}, 2.0).to(dtype));
      const Tensor y = evaluate(tapestry::dropout(x, keep, key_of(1)));
      BOOST_TEST((y.dtype() == dtype));
      std::int64_t kept = 0;
      double total = 0, largest_error = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        if (y.at(i) == 0) continue;
        ++kept;
        total += y.at(i);
        largest_error = std::max(largest_error, std::abs(y.at(i) * keep / 2 - 1));
      }
      const double digits = dtype == DType::f64 ? 1e-15 : dtype == DType::f32 ? 2e-7 : 8e-3;
      BOOST_TEST(largest_error <= digits);
      BOOST_TEST(std::abs(double(kept) / n - keep) < 5 * std::sqrt(keep * (1 - keep) / n));
      BOOST_TEST(std::abs(total / n - 2) < 0.04);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_mask_is_that_of_the_uniform_numbers) {
  const Tensor x = random_tensor({5, 7});
  Tape tape, other;
  const Tensor y = evaluate(tapestry::dropout(tape.constant(x), 0.5, key_of(2)));
  const Tensor u = evaluate(random_uniform(other, key_of(2), {5, 7}, DType::f64));
  for (std::int64_t i = 0; i < 35; ++i) BOOST_TEST(y.at(i) == (u.at(i) < 0.5 ? 2 * x.at(i) : 0));
}

BOOST_AUTO_TEST_CASE(the_gradient_has_the_same_mask) {
  Tape tape;
  const Var x = tape.constant(random_tensor({64}));
  const Var y = tapestry::dropout(x, 0.5, key_of(3));
  const Var g = tape.constant(random_tensor({64}, 2));
  const Var dx = gradient(y * y, x, g);
  const Var second = gradient(dx, x, g);
  const Var asked[] = {x, y, g, dx, second};
  const auto v = evaluate(asked);
  for (std::int64_t i = 0; i < 64; ++i) {
    const double scale = v[1].at(i) == 0 ? 0 : 2;
    BOOST_TEST(v[3].at(i) == 2 * v[1].at(i) * scale * v[2].at(i), boost::test_tools::tolerance(1e-15));
    BOOST_TEST(v[4].at(i) == 2 * scale * scale * v[2].at(i) * v[2].at(i),
               boost::test_tools::tolerance(1e-15));
  }
}

BOOST_AUTO_TEST_CASE(what_is_dropped_leaves_no_trace) {
  Tape tape;
  const Tensor y = evaluate(tapestry::dropout(tape.constant(Tensor::full({100}, kInf)), 0.5, key_of(4)));
  bool kept = false, dropped = false;
  for (std::int64_t i = 0; i < 100; ++i) {
    BOOST_TEST((y.at(i) == 0 || y.at(i) == kInf));
    (y.at(i) == 0 ? dropped : kept) = true;
  }
  BOOST_TEST((kept && dropped));
}

BOOST_AUTO_TEST_CASE(keeping_all_is_the_input_itself) {
  Tape tape;
  const Var x = tape.constant(random_tensor({3}));
  BOOST_TEST(same(tapestry::dropout(x, 1, key_of(5)), x));
  BOOST_TEST(tape.graph().updates.empty());
  BOOST_TEST(
      evaluate(tapestry::dropout(tape.constant(Tensor(DType::f32, {0, 4})), 0.5, key_of(5))).elements() == 0);
}

BOOST_AUTO_TEST_CASE(mistakes_name_the_line) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {3}});
  const State key = key_of(6);
  const int line = __LINE__ + 1;
  const auto none = [&] { tapestry::dropout(x, 0, key); };
  BOOST_TEST(thrown(none) ==
             text("dropout.cpp:", line,
                  ": dropout: keep = 0 is not in (0, 1]; it is the probability of keeping a unit"));
  BOOST_CHECK_THROW(tapestry::dropout(x, 1.01, key), Error);
  BOOST_CHECK_THROW(tapestry::dropout(x, std::nan(""), key), Error);
  BOOST_CHECK_THROW(tapestry::dropout(tape.input("i", {DType::i64, {3}}), 0.5, key), Error);
}

BOOST_AUTO_TEST_SUITE_END()
