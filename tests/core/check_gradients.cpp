#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_AUTO_TEST_SUITE(check_gradients)

BOOST_AUTO_TEST_CASE(right_rules_pass_in_both_orders) {
  const auto f = [](std::span<const Var> x) { return exp(x[0]) * x[1] / (x[0] * x[0] + 1); };
  const GradientCheck check = tapestry::check_gradients(
      f, {Tensor::linspace(-1, 1, {3, 1}), Tensor::linspace(0.5, 2, {4})}, {.order = 2});
  BOOST_TEST_MESSAGE(check.describe());
  BOOST_TEST(check.passes(1e-8));
  BOOST_TEST(check.comparisons > 100);
}

BOOST_AUTO_TEST_CASE(many_elements_are_checked_along_directions) {
  const auto f = [](std::span<const Var> x) { return exp(x[0]) * x[1]; };
  const GradientCheck check =
      tapestry::check_gradients(f, {Tensor::linspace(-1, 1, {40, 50}), Tensor::linspace(0.5, 2, {50})});
  BOOST_TEST_MESSAGE(check.describe());
  BOOST_TEST(check.passes(1e-9));
  BOOST_TEST(check.comparisons == 6);
}

BOOST_AUTO_TEST_CASE(a_broken_rule_fails) {
  const Op& exp_op = registry().at("exp");
  Op broken = exp_op;
  broken.vjp[0] = [](const Vjp& v) { return v.g * v.y * 1.001; };
  const auto f = [](std::span<const Var> x) { return exp(x[0]); };
  const Tensor x = Tensor::linspace(-1, 1, {5});
  BOOST_TEST(tapestry::check_gradients(f, {x}).passes(1e-7));
  const RuleOverride override_rule(exp_op, broken);
  const GradientCheck check = tapestry::check_gradients(f, {x});
  BOOST_TEST(!check.passes(1e-7));
  BOOST_TEST(check.error > 4e-4);
}

BOOST_AUTO_TEST_CASE(an_override_within_another_ends_alone) {
  const Op& exp_op = registry().at("exp");
  Op broken = exp_op, worse = exp_op;
  broken.vjp[0] = [](const Vjp& v) { return v.g * v.y * 2; };
  worse.vjp[0] = [](const Vjp& v) { return v.g * v.y * 3; };
  const auto slope = [] {
    Tape tape;
    const Var x = tape.constant(Tensor::scalar(0.0));
    return evaluate(gradient(exp(x), x)).item();
  };
  {
    const RuleOverride first(exp_op, broken);
    {
      const RuleOverride second(exp_op, worse);
      BOOST_TEST(slope() == 3);
    }
    BOOST_TEST(slope() == 2);
  }
  BOOST_TEST(slope() == 1);
}

BOOST_AUTO_TEST_CASE(parameters_are_moved_and_put_back) {
  const State w("w", Tensor::linspace(-1, 1, {6}));
  const Tensor before = w.value();
  const auto results = tapestry::check_gradients(
      [&](Tape& tape) { return sum(exp(tape.read(w)) * tape.read(w)); }, std::span(&w, 1));
  BOOST_TEST(results.at(0).passes(1e-9));
  BOOST_TEST(results.at(0).comparisons == 6);
  BOOST_TEST(identical(before, w.value()));
}

BOOST_AUTO_TEST_CASE(empty_inputs_compare_nothing) {
  const auto f = [](std::span<const Var> x) { return exp(x[0]); };
  BOOST_TEST(tapestry::check_gradients(f, {Tensor(DType::f64, {0, 3})}).comparisons == 0);
  BOOST_CHECK_THROW(tapestry::check_gradients(f, {Tensor(DType::f32, {3})}), Error);
}

BOOST_AUTO_TEST_SUITE_END()
