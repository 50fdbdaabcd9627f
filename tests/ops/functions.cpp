#include "../support/graphs.hpp"
#include "../support/special_numbers.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
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

BOOST_AUTO_TEST_SUITE(functions)

BOOST_AUTO_TEST_CASE(agree_with_the_standard_library) {
  Tape tape;
  const std::vector<double> xs = {-0.9, -0.25, 1e-12, 0.3, 1, 2.5, 20};
  const Var x = tape.constant(Tensor::from(xs, {std::int64_t(xs.size())}));
  const auto check = [&](const Var& y, double (*f)(double)) {
    const Tensor found = evaluate(y);
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const double expected = f(xs[i]);
      if (std::isnan(expected)) {
        BOOST_TEST(std::isnan(found.at(std::int64_t(i))));
      } else {
        BOOST_TEST(found.at(std::int64_t(i)) == expected, boost::test_tools::tolerance(1e-15));
      }
    }
  };
  check(sqrt(x), [](double v) { return std::sqrt(v); });
  check(rsqrt(x), [](double v) { return 1 / std::sqrt(v); });
  check(exp(x), [](double v) { return std::exp(v); });
  check(expm1(x), [](double v) { return std::expm1(v); });
  check(log(x), [](double v) { return std::log(v); });
  check(log1p(x), [](double v) { return std::log1p(v); });
  check(sin(x), [](double v) { return std::sin(v); });
  check(cos(x), [](double v) { return std::cos(v); });
  check(tanh(x), [](double v) { return std::tanh(v); });
  check(erf(x), [](double v) { return std::erf(v); });
  check(floor(x), [](double v) { return std::floor(v); });
  check(pow(x, 3), [](double v) { return std::pow(v, 3); });
  check(pow(2, x), [](double v) { return std::pow(2, v); });
}

BOOST_AUTO_TEST_CASE(edges) {
  Tape tape;
  const Var x = f64(tape, {0, -0.0, kInf, -kInf, kNan, -1});
  BOOST_TEST(numbers(sqrt(x)) == "0 -0 inf nan nan nan");
  BOOST_TEST(numbers(exp(x)) == "1 1 inf 0 nan 0.367879");
  BOOST_TEST(numbers(expm1(x) + 0) == "0 0 inf -1 nan -0.632121");
  BOOST_TEST(numbers(log(x)) == "-inf -inf inf nan nan nan");
  BOOST_TEST(numbers(log1p(x) + 0) == "0 0 inf nan nan -inf");
  BOOST_TEST(numbers(tanh(x)) == "0 -0 1 -1 nan -0.761594");
  BOOST_TEST(numbers(erf(x)) == "0 -0 1 -1 nan -0.842701");
  BOOST_TEST(numbers(floor(x)) == "0 -0 inf -inf nan -1");
  BOOST_TEST(numbers(sin(x)) == "0 -0 nan nan nan -0.841471");
  BOOST_TEST(numbers(pow(x, 0)) == "1 1 1 1 1 1");
}

BOOST_AUTO_TEST_CASE(slopes) {
  const Tensor any = Tensor::from({-1.7, -0.3, 0.2, 1.4}, {4});
  const Tensor positive = Tensor::from({0.2, 0.9, 1.3, 3.1}, {4});
  using F = Var (*)(const Operand&);
  for (const F f : std::vector<F>{exp, expm1, sin, cos, tanh, erf}) {
    BOOST_TEST(check_gradients([&](std::span<const Var> x) { return f(x[0]); }, {any}).error < 1e-9);
  }
  for (const F f : std::vector<F>{sqrt, rsqrt, log, log1p}) {
    BOOST_TEST(check_gradients([&](std::span<const Var> x) { return f(x[0]); }, {positive}).error < 1e-9);
  }
  const auto power = [](std::span<const Var> x) { return pow(x[0], x[1]); };
  BOOST_TEST(check_gradients(power, {positive, any}).error < 1e-9);
  BOOST_TEST(check_gradients([&](std::span<const Var> x) { return pow(x[0], 3); }, {any}).error < 1e-9);
}

BOOST_AUTO_TEST_CASE(powers_of_zero_and_of_negative_numbers) {
  Tape tape;
  const auto slopes = [&](std::initializer_list<double> a, std::initializer_list<double> b) {
    const std::vector<Var> wrt = {f64(tape, a), f64(tape, b)};
    const auto g = gradients(sum(pow(wrt[0], wrt[1])), wrt);
    return numbers(g[0]) + " | " + numbers(g[1]);
  };
  BOOST_TEST(slopes({0, 0, 0, 0.0}, {0, 1, 2, 0.5}) == "0 1 0 inf | 0 0 0 0");
  BOOST_TEST(slopes({-2, -2, -2}, {0, 1, 2}) == "0 1 -4 | nan nan nan");
  // An exponent of 0 makes a constant, whatever the base.
  BOOST_TEST(slopes({0, kInf, kNan}, {0, 0, 0}).starts_with("0 0 0"));
}

BOOST_AUTO_TEST_CASE(an_unselected_branch_leaks_nothing) {
  Tape tape;
  // Each function where its value or derivative is infinite or NaN, masked; then the second derivative.
  const auto masked = [&](const std::function<Var(Var)>& f, double at) {
    const Var x = f64(tape, {at, 0.25});
    const Var y = where(f64(tape, {0, 1}) > 0, f(x), 0);
    const Var first = gradient(sum(y), x);
    const Tensor g = evaluate(first);
    const Tensor h = evaluate(gradient(sum(first), x));
    return std::isfinite(g.at(1)) && std::isfinite(h.at(1)) && g.at(0) == 0 && h.at(0) == 0;
  };
  BOOST_TEST(masked([](Var x) { return log(x); }, 0));
  BOOST_TEST(masked([](Var x) { return log(x); }, -1));
  BOOST_TEST(masked([](Var x) { return log1p(x); }, -1));
  BOOST_TEST(masked([](Var x) { return sqrt(x); }, 0));
  BOOST_TEST(masked([](Var x) { return sqrt(x); }, -1));
  BOOST_TEST(masked([](Var x) { return rsqrt(x); }, 0));
  BOOST_TEST(masked([](Var x) { return 1 / x; }, 0));
  BOOST_TEST(masked([](Var x) { return x / x; }, 0));
  BOOST_TEST(masked([](Var x) { return exp(x); }, 1000));
  BOOST_TEST(masked([](Var x) { return expm1(x); }, 1000));
  BOOST_TEST(masked([](Var x) { return sin(x); }, kInf));
  BOOST_TEST(masked([](Var x) { return cos(x); }, kInf));
  BOOST_TEST(masked([](Var x) { return pow(x, 0.5); }, 0));
  BOOST_TEST(masked([](Var x) { return pow(x, x); }, 0));
  BOOST_TEST(masked([](Var x) { return pow(x, x); }, -1.5));
  BOOST_TEST(masked([](Var x) { return pow(x, -1); }, 0));
}

BOOST_AUTO_TEST_CASE(need_floating_values) {
  Tape tape;
  const Var i = tape.constant(Tensor::from({1, 2}, {2}));
  const std::string message = test::thrown([&] { return sqrt(i); });
  BOOST_TEST(message.find("sqrt: needs a floating dtype: constant [2]") != std::string::npos, message);
}

BOOST_AUTO_TEST_SUITE_END()
