#include "../support/graphs.hpp"
#include "../support/special_numbers.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/function.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::kInf;
using test::kNan;
using test::numbers;
using test::simplified;

namespace {

const Tensor kBlock =
    Tensor::from({0.3, -1.2, 2.5, 0.7, -0.4, 1.1, -0.9, 0.6, 1.7, -2.2, 0.2, 0.8}, {2, 3, 2});

std::string described(const Var& v) { return text(v.type(), ": ", numbers(v)); }

using R = Var (*)(const Operand&, const Axes&, bool);

void refuses(const std::function<void()>& f, std::string_view what) {
  const std::string message = test::thrown(f);
  BOOST_TEST(message.find(what) != std::string::npos, message);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reduce)

BOOST_AUTO_TEST_CASE(axes_and_shapes) {
  Tape tape;
  const Var x = tape.constant(Tensor::linspace(1, 12, {2, 3, 2}));
  BOOST_TEST(described(sum(x)) == "f64 []: 78");
  BOOST_TEST(described(sum(x, {}, kKeepDims)) == "f64 [1, 1, 1]: 78");
  BOOST_TEST(described(sum(x, 1)) == "f64 [2, 2]: 9 12 27 30");
  BOOST_TEST(described(sum(x, -1, kKeepDims)) == "f64 [2, 3, 1]: 3 7 11 15 19 23");
  BOOST_TEST(described(sum(x, {2, 0})) == "f64 [3]: 18 26 34");
  BOOST_TEST(described(sum(x, Axes(std::vector<int>{}))) == text("f64 [2, 3, 2]: ", numbers(x)));
  BOOST_TEST(described(mean(x, {0, -1})) == "f64 [3]: 4.5 6.5 8.5");
  BOOST_TEST(described(max(x, 1)) == "f64 [2, 2]: 5 6 11 12");
  BOOST_TEST(described(min(x, {1, 2}, kKeepDims)) == "f64 [2, 1, 1]: 1 7");
  BOOST_TEST(described(argmax(x, {1, 2})) == "i64 [2]: 5 5");
  BOOST_TEST(described(argmin(x, 1, kKeepDims)) == "i64 [2, 1, 2]: 0 0 0 0");
  BOOST_TEST(described(sum_to(x, {3, 1})) == "f64 [3, 1]: 18 26 34");
}

BOOST_AUTO_TEST_CASE(moments) {
  Tape tape;
  const Var x = f64(tape, {2, 3}, {1, 2, 6, 5, 5, 5});
  BOOST_TEST(described(var(x, 1)) == "f64 [2]: 4.66667 0");
  BOOST_TEST(described(var(x, 1, kKeepDims, 1)) == "f64 [2, 1]: 7 0");
  BOOST_TEST(described(stddev(x, 1, false, 1)) == "f64 [2]: 2.64575 0");
  BOOST_TEST(described(norm(x, 0)) == "f64 [3]: 5.09902 5.38516 7.81025");
  BOOST_TEST(described(norm(f64(tape, {-3, 4}))) == "f64 []: 5");
  BOOST_TEST(std::isnan(evaluate(var(f64(tape, {2}), {}, false, 1)).item()));
  // The mean of squares less the square of the mean would have lost all digits.
  const Tensor far = Tensor::from({1e6 + 0.5, 1e6 + 0.25, 1e6 - 0.125, 1e6 + 2}, {4});
  BOOST_TEST(evaluate(var(tape.constant(far))).item() == 0.6513671875);
}

BOOST_AUTO_TEST_CASE(products) {
  Tape tape;
  const Var x = tape.constant(Tensor::linspace(1, 12, {2, 3, 2}));
  BOOST_TEST(described(prod(x, 1)) == "f64 [2, 2]: 15 48 693 960");
  BOOST_TEST(described(prod(x, {2, 0}, kKeepDims)) == "f64 [1, 3, 1]: 112 1080 3960");
  BOOST_TEST(described(prod(x, Axes(std::vector<int>{}))) == text("f64 [2, 3, 2]: ", numbers(x)));
  BOOST_TEST(described(prod(tape.constant(Tensor::from({2, -3, 4}, {3})))) == "i32 []: -24");
  double factorial = 1;
  for (int n = 0; n <= 17; ++n) {
    if (n > 0) factorial *= n;
    BOOST_TEST(evaluate(prod(tape.constant(Tensor::linspace(1, n, {n})))).item() == factorial);
  }
  // Zeros are no special case, of any order.
  const Var zeros = f64(tape, {3, 3}, {2, 3, 4, 0, 3, 4, 0, 0, 4});
  const Var g = gradient(sum(prod(zeros, 1)), zeros);
  BOOST_TEST(numbers(g) == "12 8 6 12 0 0 0 0 0");
  BOOST_TEST(numbers(gradient(sum(g), zeros)) == "7 6 5 7 4 3 4 4 0");
}

BOOST_AUTO_TEST_CASE(of_nothing) {
  Tape tape;
  const Var x = tape.constant(Tensor(DType::f64, {0, 2}));
  BOOST_TEST(described(sum(x, 0)) == "f64 [2]: 0 0");
  BOOST_TEST(described(mean(x, 0)) == "f64 [2]: nan nan");
  BOOST_TEST(described(prod(x, 0)) == "f64 [2]: 1 1");
  BOOST_TEST(described(gradient(sum(prod(x, 0)), x)) == "f64 [0, 2]: ");
  BOOST_TEST(described(var(x, 0)) == "f64 [2]: nan nan");
  BOOST_TEST(described(norm(x, 0)) == "f64 [2]: 0 0");
  BOOST_TEST(described(all(x > 0, 0)) == "bool [2]: 1 1");
  BOOST_TEST(described(any(x > 0, 0)) == "bool [2]: 0 0");
  BOOST_TEST(described(max(x, 1)) == "f64 [0]: ");
  BOOST_TEST(described(argmax(x, 1)) == "i64 [0]: ");
  BOOST_TEST(described(gradient(sum(sum(x, 0)), x)) == "f64 [0, 2]: ");
  for (const R op : std::vector<R>{max, min, argmax, argmin, logsumexp}) {
    refuses([&] { op(x, 0, false); }, ": there are no elements along axes [0]: constant [0, 2]");
  }
}

BOOST_AUTO_TEST_CASE(nan_infinities_and_ties) {
  Tape tape;
  const Var x = f64(tape, {4, 3}, {1, kNan, kNan, 3, 3, 1, -kInf, -kInf, -kInf, kInf, 0, kInf});
  BOOST_TEST(numbers(max(x, 1)) == "nan 3 -inf inf");
  BOOST_TEST(numbers(min(x, 1)) == "nan 1 -inf 0");
  BOOST_TEST(numbers(argmax(x, 1)) == "1 0 0 0");
  BOOST_TEST(numbers(argmin(x, 1)) == "1 2 0 1");
  BOOST_TEST(numbers(logsumexp(x, 1)) == "nan 3.75862 -inf inf");
  BOOST_TEST(numbers(gradient(sum(max(x, 1)), x)) == "0 1 0 1 0 0 1 0 0 1 0 0");
  BOOST_TEST(numbers(gradient(sum(min(x, 1)), x)) == "0 1 0 0 0 1 1 0 0 0 1 0");
  const Var ones = tape.constant(Tensor::full({2, 2, 2}, 1.0));
  BOOST_TEST(numbers(gradient(sum(max(ones, {0, 2})), ones)) == "1 0 1 0 0 0 0 0");
}

BOOST_AUTO_TEST_CASE(integers_and_booleans) {
  Tape tape;
  const Var i = tape.constant(Tensor::from({3, -1, 4, 1, -5, 9}, {2, 3}));
  BOOST_TEST(described(sum(i, 1)) == "i32 [2]: 6 5");
  BOOST_TEST(described(max(i, 1)) == "i32 [2]: 4 9");
  BOOST_TEST(described(min(i, 0)) == "i32 [3]: 1 -5 4");
  BOOST_TEST(described(argmax(i, 1)) == "i64 [2]: 2 2");
  BOOST_TEST(described(all(i > -5, 1)) == "bool [2]: 1 0");
  BOOST_TEST(described(any(i > 4, 1)) == "bool [2]: 0 1");
  BOOST_TEST(described(all(i > -9)) == "bool []: 1");
}

BOOST_AUTO_TEST_CASE(slopes) {
  const std::vector<Axes> choices = {{}, 0, 1, -1, {0, 2}, {2, 1}};
  for (const Axes& axes : choices) {
    for (const bool keep : {false, true}) {
      const auto error = [&](R op) {
        const auto value = [&](std::span<const Var> x) { return op(x[0], axes, keep); };
        const auto slope = [&](std::span<const Var> x) { return gradient(sum(exp(value(x))), x[0]); };
        return std::fmax(check_gradients(value, {kBlock}).error, check_gradients(slope, {kBlock}).error);
      };
      BOOST_TEST(error(sum) < 1e-7);
      BOOST_TEST(error(mean) < 1e-8);
      BOOST_TEST(error(prod) < 1e-7);
      BOOST_TEST(error(max) < 1e-8);
      BOOST_TEST(error(min) < 1e-8);
      BOOST_TEST(error(norm) < 1e-7);
      BOOST_TEST(error(logsumexp) < 1e-7);
      for (const double correction : {0.0, 1.0}) {
        BOOST_TEST(
            check_gradients([&](auto x) { return var(x[0], axes, keep, correction); }, {kBlock}).error <
            1e-8);
        BOOST_TEST(
            check_gradients([&](auto x) { return stddev(x[0], axes, keep, correction); }, {kBlock}).error <
            1e-8);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(roots_have_slope_zero_at_zero) {
  Tape tape;
  const Var x = f64(tape, {2, 2}, {0, 0, 3, 4});
  const Var g = gradient(sum(norm(x, 1)), x);
  BOOST_TEST(numbers(g) == "0 0 0.6 0.8");
  BOOST_TEST(numbers(gradient(sum(g), x)) == "0 0 0.032 -0.024");
  const Var same = f64(tape, {2, 2, 2});
  BOOST_TEST(numbers(gradient(stddev(same), same)) == "0 0 0");
}

BOOST_AUTO_TEST_CASE(the_rule_of_var_is_the_derivative_of_its_definition) {
  BOOST_TEST(test::rule_error([](Var x) { return var(x, {0, 2}, true); }, kBlock) < 1e-15);
  BOOST_TEST(test::rule_error([](Var x) { return var(x, 1, true, 1); }, kBlock) < 1e-15);
  // Also of the derivatives.
  Tape tape;
  const Var x = tape.constant(kBlock);
  const Var y = var(x, 1, true);
  const Node node = tape.graph().node(y.id());
  const auto second = [&](const Var& v) { return gradient(sum(exp(gradient(sum(exp(v)), x))), x); };
  const Tensor own = evaluate(second(y));
  const Tensor derived = evaluate(second(node.op->expand({{&x, 1}, node.attrs})));
  for (std::int64_t i = 0; i < own.elements(); ++i) {
    BOOST_TEST(own.at(i) == derived.at(i), boost::test_tools::tolerance(1e-13));
  }
}

BOOST_AUTO_TEST_CASE(logsumexp_of_huge_values) {
  Tape tape;
  const Var x = f64(tape, {3, 2}, {1e4, 1e4, -1e4, -1e4, -1e4, 1e4});
  const Var y = logsumexp(x, 1);
  const double ln2 = std::log(2.0);
  BOOST_TEST(evaluate(y).at(0) == 1e4 + ln2);
  BOOST_TEST(evaluate(y).at(1) == -1e4 + ln2);
  BOOST_TEST(evaluate(y).at(2) == 1e4);
  BOOST_TEST(numbers(gradient(sum(y), x)) == "0.5 0.5 0.5 0.5 0 1");
  const Var some = f64(tape, {-kInf, 0});
  BOOST_TEST(numbers(gradient(logsumexp(some), some)) == "0 1");
}

// Found by a random graph: the mean of nothing is NaN, and 0 / NaN isn't 0.
BOOST_AUTO_TEST_CASE(a_sum_of_nothing_is_0_whatever_its_factors) {
  Function f = [](Var x, Var c) { return sum(x / c, 1, kKeepDims) + sum(x * c, 1, kKeepDims); };
  const Tensor nothing(DType::f64, {2, 0}), factor = Tensor::full({2, 1}, std::nan(""));
  for (const std::int64_t i : {0, 1}) BOOST_TEST(f(nothing, factor).at(i) == 0);
}

BOOST_AUTO_TEST_CASE(factors_leave_sums) {
  const Type column{DType::f64, {2, 1}};
  const Type row{DType::f64, {3}};
  const Type matrix{DType::f64, {2, 3}};
  BOOST_TEST(simplified([](Var x, Var y) { return sum(x * y, 1, true); }, matrix, column) ==
             "mul(sum(x){axes=[1]}, y)");
  BOOST_TEST(simplified([](Var x, Var y) { return sum(y / x, 0, true); }, row, matrix) ==
             "div(sum(y){axes=[0]}, x)");
  BOOST_TEST(simplified([](Var x, Var y) { return sum(-(x * 3) * y, 1, true); }, matrix, column) ==
             "mul(mul(sum(x){axes=[1]}, -3), y)");
  BOOST_TEST(simplified([](Var x, Var) { return sum(-x, 1, true); }) == "neg(sum(x){axes=[1]})");
  // What changes along the axes stays.
  BOOST_TEST(simplified([](Var x, Var y) { return sum(x * y, 0, true); }, matrix, column) ==
             "sum(mul(x, y)){axes=[0]}");
  BOOST_TEST(simplified([](Var x, Var y) { return sum(x / y, 0, true); }, row, matrix) ==
             "sum(div(x, y)){axes=[0]}");
  BOOST_TEST(simplified([](Var x, Var y) { return sum(x * y, 0, true); }, row, column) ==
             "sum(mul(x, y)){axes=[0]}");
  // Nothing to sum
  BOOST_TEST(simplified([](Var x, Var) { return sum(x, 1, true); }, column) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return max(x, 1, true); }, column) == "x");
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const Var x = f64(tape, {2, 2}, {1, 2, 3, 4});
  refuses([&] { sum(x > 1); }, "sum: needs numbers, not bool");
  refuses([&] { all(x); }, "all: needs bool");
  refuses([&] { mean(tape.constant(Tensor::from({1}, {1}))); }, "mean: needs a floating dtype");
  refuses([&] { sum(x, 2); }, "sum: there is no axis 2: constant [2, 2]");
  refuses([&] { max(x, {0, -2}); }, "max: axis -2 is given twice");
  refuses([&] { sum_to(x, {3}); }, "sum_to: [3] can't be broadcast to it");
}

BOOST_AUTO_TEST_SUITE_END()
