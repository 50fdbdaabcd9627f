#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/function.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/clip.hpp>
#include <tapestry/optim/sgd.hpp>

#include <array>
#include <cmath>
#include <string>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

/// One step of `optimizer` on w with gradient g.
void step(const Optimizer& optimizer, const State& w, const Tensor& g, double rate) {
  Function f = [&](Var gradient, Var lr) {
    const ParameterGradient pair{w, gradient};
    optimizer.step({&pair, 1}, lr);
    return lr;
  };
  f(g, Tensor::scalar(rate));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer)

BOOST_AUTO_TEST_CASE(three_adam_steps_are_differentiated_by_the_learning_rate) {
  // The loss after three steps as a function of the learning rate: derived against central differences.
  const auto run = [](double rate, bool derive) {
    StateDict state;
    const State w = state.create("w", Tensor::from({1.0, -2.0, 0.5}, {3}));
    const Optimizer adam(state, Adam{});
    Tape tape;
    const Var lr = tape.input("lr", {DType::f64, {}});
    const auto loss = [&] {
      const Var v = tape.read(w);
      return sum(v * v * v * v) + sum(v);
    };
    for (int i = 0; i < 3; ++i) adam.minimize(loss(), state.parameters(), lr);
    const Var after = loss();
    Program p = compile(derive ? gradient(after, lr) : after);
    const Tensor argument = Tensor::scalar(rate);
    p.run(std::span(&argument, 1));
    return p.output().item();
  };
  const double h = 1e-4, rate = 0.05;
  const double numeric = (8 * (run(rate + h, false) - run(rate - h, false)) -
                          (run(rate + 2 * h, false) - run(rate - 2 * h, false))) /
                         (12 * h);
  BOOST_TEST(run(rate, true) == numeric, boost::test_tools::tolerance(1e-8));
  BOOST_TEST(std::abs(numeric) > 1);
}

BOOST_AUTO_TEST_CASE(groups_match_by_name) {
  BOOST_TEST(matches("*/bias", "fc1/bias"));
  BOOST_TEST(!matches("*/bias", "fc1/weight"));
  BOOST_TEST(matches("fc*/w*", "fc12/weight"));
  BOOST_TEST(matches("*", ""));
  BOOST_TEST(matches("fc1/weight", "fc1/weight"));
  BOOST_TEST(!matches("fc1", "fc1/weight"));

  StateDict state;
  const State bias = state.create("fc1/bias", Tensor::from({1.0}, {1}));
  const Optimizer sgd(state, Sgd{}, {.weight_decay = 0.5, .groups = {{"*/bias", 10, 0.0}}});
  step(sgd, bias, Tensor::from({0.1}, {1}), 0.1);
  BOOST_TEST(bias.value().item() == 1 - 0.1 * 10 * 0.1, boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(weight_decay_coupled_and_decoupled) {
  StateDict state;
  const State a = state.create("a", Tensor::scalar(2.0)), b = state.create("b", Tensor::scalar(2.0));
  step(Optimizer(state, Momentum{}, {.weight_decay = 0.5}), a, Tensor::scalar(1.0), 0.1);
  BOOST_TEST(a.value().item() == 2 - 0.1 * (1 + 0.5 * 2), boost::test_tools::tolerance(1e-14));
  step(Optimizer(state, Momentum{}, {.weight_decay = 0.5, .decoupled = true}), b, Tensor::scalar(1.0), 0.1);
  BOOST_TEST(b.value().item() == 2 - 0.1 - 0.1 * 0.5 * 2, boost::test_tools::tolerance(1e-14));
  // In the second step the decay is in the coupled rule's velocity, not in the decoupled one's.
  BOOST_TEST(state.at("momentum/a/velocity").value().item() == -0.2, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(state.at("momentum/b/velocity").value().item() == -0.1, boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(gradients_are_clipped_together) {
  StateDict state;
  const State a = state.create("a", Tensor::scalar(0.0)), b = state.create("b", Tensor::scalar(0.0));
  const Optimizer sgd(state, Sgd{}, {.clip_norm = 1.0});
  Function f = [&](Var g, Var h, Var lr) {
    const ParameterGradient pairs[] = {{a, g}, {b, h}};
    sgd.step(pairs, lr);
    return lr;
  };
  f(Tensor::scalar(3.0), Tensor::scalar(4.0), Tensor::scalar(1.0));
  BOOST_TEST(a.value().item() == -0.6, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(b.value().item() == -0.8, boost::test_tools::tolerance(1e-14));
  f(Tensor::scalar(0.3), Tensor::scalar(0.4), Tensor::scalar(1.0));  // small enough: as they are
  BOOST_TEST(a.value().item() == -0.9, boost::test_tools::tolerance(1e-14));
  f(Tensor::scalar(0.0), Tensor::scalar(0.0), Tensor::scalar(1.0));  // no division by 0
  BOOST_TEST(a.value().item() == -0.9, boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(a_learning_rate_is_an_input) {
  StateDict state;
  const State w = state.create("w", Tensor::scalar(1.0f));
  const Optimizer sgd(state, Sgd{});
  int traces = 0;
  Function f = [&](Var g, Var lr) {
    ++traces;
    const ParameterGradient pair{w, g};
    sgd.step({&pair, 1}, lr);
    return lr;
  };
  f(Tensor::scalar(1.0f), Tensor::scalar(0.5f));
  f(Tensor::scalar(1.0f), Tensor::scalar(0.25f));
  BOOST_TEST(traces == 1);
  BOOST_TEST(w.value().item() == 0.25);
}

BOOST_AUTO_TEST_CASE(groups_change_the_decay_of_adamw) {
  StateDict state;
  const State w = state.create("w", Tensor::scalar(1.0)), b = state.create("b", Tensor::scalar(1.0));
  const Optimizer adamw(state, AdamW(0.5), {.groups = {{"b", 1, 0.0}}});
  Function f = [&](Var g, Var lr) {
    const std::array pairs = {ParameterGradient{w, g}, ParameterGradient{b, g}};
    adamw.step(pairs, lr);
    return lr;
  };
  f(Tensor::scalar(0.0), Tensor::scalar(0.1));
  BOOST_TEST(w.value().item() == 1 - 0.1 * 0.5, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(b.value().item() == 1);
}

BOOST_AUTO_TEST_CASE(a_group_that_matches_nothing_is_an_error) {
  StateDict state;
  const State w = state.create("w", Tensor::scalar(1.0));
  const Optimizer sgd(state, Sgd{}, {.groups = {{"bias", 1, 0.0}}});
  BOOST_CHECK_EXCEPTION(step(sgd, w, Tensor::scalar(0.0), 0.1), Error, [](const Error& e) {
    return std::string(e.what()).find("no parameter's name matches the group 'bias'; the first is w") !=
           std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(two_optimizers_of_a_rule_count_their_own_steps) {
  StateDict state;
  const State a = state.create("a", Tensor::scalar(1.0)), b = state.create("b", Tensor::scalar(1.0));
  const Optimizer one(state, Adam{}, {.name = "one"}), two(state, Adam{}, {.name = "two"});
  step(one, a, Tensor::scalar(1.0), 0.1);
  step(two, b, Tensor::scalar(1.0), 0.1);
  BOOST_TEST(state.at("one/t").value().item() == 1);
  BOOST_TEST(state.at("two/t").value().item() == 1);
  BOOST_TEST(a.value().item() == b.value().item());
}

BOOST_AUTO_TEST_CASE(gradients_after_the_update_are_refused) {
  StateDict state;
  const State w = state.create("w", Tensor::scalar(1.0));
  const Optimizer sgd(state, Sgd{});
  Tape tape;
  const Var v = tape.read(w);
  const Var first = v * v, second = v * 3;
  sgd.minimize(first, state.parameters(), 0.1);
  BOOST_CHECK_THROW(sgd.minimize(second, state.parameters(), 0.1), Error);
}

BOOST_AUTO_TEST_SUITE_END()
