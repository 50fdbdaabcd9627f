#include "../support/graphs.hpp"
#include "../support/special_numbers.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::kInf;
using test::kNan;
using test::numbers;

namespace {

using F = Var (*)(Var);
const std::vector<std::pair<std::string, F>> kAll = {
    {"sigmoid", [](Var x) { return sigmoid(x); }},
    {"relu", [](Var x) { return relu(x); }},
    {"leaky_relu", [](Var x) { return leaky_relu(x, 0.2); }},
    {"elu", [](Var x) { return elu(x, 0.7); }},
    {"gelu", [](Var x) { return gelu(x); }},
    {"gelu_tanh", [](Var x) { return gelu_tanh(x); }},
    {"silu", [](Var x) { return silu(x); }},
    {"softplus", [](Var x) { return softplus(x); }},
};

std::string slope(F f, std::initializer_list<double> at) {
  Tape tape;
  const Var x = f64(tape, at);
  return numbers(gradient(sum(f(x)), x) + 0);  // without the signs of zeros
}

}  // namespace

BOOST_AUTO_TEST_SUITE(activations)

BOOST_AUTO_TEST_CASE(values) {
  Tape tape;
  const Var x = f64(tape, {-2, -0.5, 0, 0.5, 2});
  BOOST_TEST(numbers(sigmoid(x)) == "0.119203 0.377541 0.5 0.622459 0.880797");
  BOOST_TEST(numbers(relu(x)) == "0 0 0 0.5 2");
  BOOST_TEST(numbers(leaky_relu(x)) == "-0.02 -0.005 0 0.5 2");
  BOOST_TEST(numbers(elu(x, 2)) == "-1.72933 -0.786939 0 0.5 2");
  BOOST_TEST(numbers(gelu(x)) == "-0.0455003 -0.154269 0 0.345731 1.9545");
  BOOST_TEST(numbers(gelu_tanh(x)) == "-0.0454023 -0.154286 0 0.345714 1.9546");
  BOOST_TEST(numbers(silu(x)) == "-0.238406 -0.18877 0 0.31123 1.76159");
  BOOST_TEST(numbers(softplus(x)) == "0.126928 0.474077 0.693147 0.974077 2.12693");
}

BOOST_AUTO_TEST_CASE(slopes) {
  const Tensor x = Tensor::from({-9.5, -2.3, -0.4, 0.3, 1.7, 8.5}, {6});
  for (const auto& [name, f] : kAll) {
    BOOST_TEST(check_gradients([&](std::span<const Var> v) { return f(v[0]); }, {x}).error < 1e-8, name);
    // The second derivative is the slope of the first.
    const auto first = [&](std::span<const Var> v) { return gradient(sum(f(v[0])), v[0]); };
    BOOST_TEST(check_gradients(first, {x}).error < 1e-8, name);
  }
}

BOOST_AUTO_TEST_CASE(slopes_at_zero) {
  BOOST_TEST(slope([](Var x) { return relu(x); }, {-0.0, 0}) == "0 0");
  BOOST_TEST(slope([](Var x) { return leaky_relu(x, 0.2); }, {0}) == "0.2");
  BOOST_TEST(slope([](Var x) { return elu(x, 0.7); }, {0}) == "0.7");
  BOOST_TEST(slope([](Var x) { return softplus(x); }, {0}) == "0.5");
  BOOST_TEST(slope([](Var x) { return gradient(sum(softplus(x)), x); }, {0}) == "0.25");
  BOOST_TEST(slope([](Var x) { return gelu(x); }, {0}) == "0.5");
}

BOOST_AUTO_TEST_CASE(own_rules_are_the_derivatives_of_the_definitions) {
  const Tensor x = Tensor::from({-20.0, -3.0, -0.5, 1e-3, 0.7, 4.0, 20.0}, {7});
  BOOST_TEST(test::rule_error([](Var v) { return sigmoid(v); }, x) < 1e-15);
  BOOST_TEST(test::rule_error([](Var v) { return softplus(v); }, x) < 1e-15);
}

BOOST_AUTO_TEST_CASE(huge_values) {
  for (const double scale : {1e3, 1e30, 1e160, 1e300}) {
    for (const auto& [name, f] : kAll) {
      for (const DType dtype : {DType::f64, DType::f32}) {
        if (dtype == DType::f32 && scale > 1e30) continue;
        Tape tape;
        const Var x = cast(f64(tape, {scale, -scale}), dtype);
        const Var y = f(x);
        const Tensor value = evaluate(y);
        const Tensor g = evaluate(gradient(sum(y), x));
        const Tensor h = evaluate(gradient(sum(gradient(sum(y), x)), x));
        const bool one = name == "sigmoid";
        const double left = name == "leaky_relu" ? 0.2 : 0;
        BOOST_TEST(std::abs(value.at(0) / (one ? 1 : scale) - 1) < 1e-6, name << ' ' << scale);
        BOOST_TEST(g.at(0) == (one ? 0 : 1), name << ' ' << scale);
        BOOST_TEST(std::abs(g.at(1) - left) < 1e-6, name << ' ' << scale);
        BOOST_TEST((h.at(0) == 0 && h.at(1) == 0), name << ' ' << scale);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(tails_keep_their_digits) {
  Tape tape;
  const Var x = f64(tape, {-700, -30});
  const Tensor y = evaluate(sigmoid(x));
  const Tensor g = evaluate(gradient(sum(sigmoid(x)), x));
  const Tensor s = evaluate(softplus(x));
  for (int i = 0; i < 2; ++i) {
    const double expected = std::exp(i == 0 ? -700 : -30);
    BOOST_TEST(y.at(i) == expected, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(g.at(i) == expected, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(s.at(i) == expected, boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_CASE(infinities_and_nan) {
  Tape tape;
  const Var x = f64(tape, {kInf, -kInf, kNan});
  BOOST_TEST(numbers(sigmoid(x)) == "1 0 nan");
  BOOST_TEST(numbers(relu(x)) == "inf 0 nan");
  BOOST_TEST(numbers(leaky_relu(x)) == "inf -inf nan");
  BOOST_TEST(numbers(elu(x, 2)) == "inf -2 nan");
  BOOST_TEST(numbers(softplus(x)) == "inf 0 nan");
}

BOOST_AUTO_TEST_SUITE_END()
