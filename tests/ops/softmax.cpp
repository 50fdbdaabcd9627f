#include "../support/graphs.hpp"
#include "../support/special_numbers.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/softmax.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::kInf;
using test::kNan;
using test::numbers;

BOOST_AUTO_TEST_SUITE(softmax)

BOOST_AUTO_TEST_CASE(values) {
  Tape tape;
  const Var x = f64(tape, {2, 2}, {0, std::log(3), 5, 5});
  BOOST_TEST(numbers(tapestry::softmax(x)) == "0.25 0.75 0.5 0.5");
  BOOST_TEST(numbers(exp(log_softmax(x, 1))) == "0.25 0.75 0.5 0.5");
  BOOST_TEST(numbers(sum(tapestry::softmax(x, 0), 0)) == "1 1");
}

BOOST_AUTO_TEST_CASE(huge_values) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Tape tape;
    const Var x = cast(f64(tape, {2, 3}, {1e4, -1e4, 1e4, -1e4, -1e4, -1e4}), dtype);
    BOOST_TEST(numbers(tapestry::softmax(x)) == "0.5 0 0.5 0.333333 0.333333 0.333333");
    BOOST_TEST(numbers(log_softmax(x)) == "-0.693147 -20000.7 -0.693147 -1.09861 -1.09861 -1.09861");
    for (const bool logarithm : {false, true}) {
      const Var y = logarithm ? log_softmax(x) : tapestry::softmax(x);
      for (const double g : {1.0, 1e30}) {
        const Tensor slope = evaluate(gradient(sum(y * g * 1e-30), x));
        for (std::int64_t i = 0; i < slope.elements(); ++i) BOOST_TEST(std::isfinite(slope.at(i)));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(masked_and_broken_rows) {
  Tape tape;
  const Var x = f64(tape, {3, 2}, {-kInf, 1, kNan, 1, 2, 2});
  BOOST_TEST(numbers(tapestry::softmax(x)) == "0 1 nan nan 0.5 0.5");
  BOOST_TEST(numbers(log_softmax(x)) == "-inf 0 nan nan -0.693147 -0.693147");
  const Var masked = f64(tape, {-kInf, 1, 1});
  const Var weights = f64(tape, {3, 1, 2});
  BOOST_TEST(numbers(gradient(sum(tapestry::softmax(masked) * weights), masked)) == "0 -0.25 0.25");
}

BOOST_AUTO_TEST_CASE(slopes) {
  const Tensor x = Tensor::from({0.3, -1.2, 2.5, 0.7, -0.4, 1.1, -0.9, 0.6}, {2, 2, 2});
  for (const int axis : {0, 1, -1}) {
    const auto s = [&](std::span<const Var> v) { return tapestry::softmax(v[0], axis); };
    const auto l = [&](std::span<const Var> v) { return log_softmax(v[0], axis); };
    BOOST_TEST(check_gradients(s, {x}).error < 1e-9);
    BOOST_TEST(check_gradients(l, {x}).error < 1e-9);
    const auto s2 = [&](std::span<const Var> v) { return gradient(sum(exp(s(v))), v[0]); };
    const auto l2 = [&](std::span<const Var> v) { return gradient(sum(square(l(v))), v[0]); };
    BOOST_TEST(check_gradients(s2, {x}).error < 1e-8);
    BOOST_TEST(check_gradients(l2, {x}).error < 1e-8);
  }
}

BOOST_AUTO_TEST_CASE(small_and_empty) {
  Tape tape;
  BOOST_TEST(numbers(tapestry::softmax(f64(tape, {3, 1}, {1, -kInf, 3}), 0)) == "0.119203 0 0.880797");
  BOOST_TEST(numbers(tapestry::softmax(f64(tape, {7.0}))) == "1");
  BOOST_TEST(to_string(evaluate(log_softmax(tape.constant(Tensor(DType::f32, {0, 3}))))) == "f32 [0, 3] {}");
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const auto says = [](const auto& f, std::string_view what) {
    const std::string message = test::thrown(f);
    BOOST_TEST(message.find(what) != std::string::npos, message);
  };
  says(
      [&] {
        return tapestry::softmax(tape.constant(Tensor(DType::f32, {2, 0})));
      },
      "softmax: there are no elements along axis 1");
  says([&] { return log_softmax(f64(tape, {1}), 1); }, "log_softmax: there is no axis 1");
  says([&] { return tapestry::softmax(f64(tape, Shape{}, {1})); }, "softmax: there is no axis -1");
}

BOOST_AUTO_TEST_SUITE_END()
