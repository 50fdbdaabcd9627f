#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/function.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/clip.hpp>
#include <tapestry/optim/sgd.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <array>
#include <cmath>
#include <string>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::thrown;

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

BOOST_AUTO_TEST_CASE(a_group_has_a_rule_and_a_rate_of_its_own) {
  // Three parameters under one optimizer, and each under one of its own that does the same.
  StateDict together, apart;
  std::vector<State> ours, theirs;
  for (const char* name : {"fc1/weight", "fc1/bias", "fc2/weight"}) {
    const Tensor start = Tensor::linspace(-1, 2, {3});
    ours.push_back(together.create(name, start));
    theirs.push_back(apart.create(name, start));
  }
  ParameterGroup bias{"*/bias", 0.5, 0.0, std::make_shared<Adam>(0.8, 0.9)}, second{"fc2/*", 3};
  second.learning_rate = [](const Var& rate) { return maximum(rate - 0.2, 0); };
  const Optimizer optimizer(together, Momentum{}, {.weight_decay = 0.1, .groups = {bias, second}});
  const Optimizer one(apart, Momentum{}, {.weight_decay = 0.1, .name = "one"}), two(apart, Adam(0.8, 0.9));
  const Optimizer three(apart, Momentum{}, {.weight_decay = 0.1, .name = "three"});
  Function f = [&](Var g, Var lr) {
    const std::array pairs = {ParameterGradient{ours[0], g}, ParameterGradient{ours[1], g},
                              ParameterGradient{ours[2], g}};
    optimizer.step(pairs, lr);
    return lr;
  };
  for (int t = 0; t < 6; ++t) {
    const Tensor g = Tensor::linspace(1.0 - t, 0.5 * t, {3});
    const double rate = 0.15 - 0.02 * t;  // three times that is below 0.2 in the end
    f(g, Tensor::scalar(rate));
    step(one, theirs[0], g, rate);
    step(two, theirs[1], g, 0.5 * rate);
    step(three, theirs[2], g, std::max(3 * rate - 0.2, 0.0));
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::int64_t k = 0; k < 3; ++k)
        BOOST_TEST(std::abs(ours[i].value().at(k) - theirs[i].value().at(k)) < 1e-13, ours[i].name()
                                                                                          << ", step " << t);
    }
  }
  BOOST_TEST(together.at("momentum/t").value().item() == 6);
  BOOST_TEST(together.find("momentum/fc1/bias/velocity") == nullptr);
}

BOOST_AUTO_TEST_CASE(the_first_group_that_matches_applies) {
  StateDict state;
  const State bias = state.create("fc1/bias", Tensor::scalar(1.0)),
              other = state.create("x", Tensor::scalar(1.0));
  const Optimizer sgd(state, Sgd{}, {.groups = {{"fc1/*", 2}, {"*", 10}}});
  Function f = [&](Var g, Var lr) {
    const std::array pairs = {ParameterGradient{bias, g}, ParameterGradient{other, g}};
    sgd.step(pairs, lr);
    return lr;
  };
  f(Tensor::scalar(1.0), Tensor::scalar(0.125));
  BOOST_TEST(bias.value().item() == 1 - 2 * 0.125);
  BOOST_TEST(other.value().item() == 1 - 10 * 0.125);
}

BOOST_AUTO_TEST_CASE(slow_weights_are_those_of_plain_loops) {
  // Momentum with decoupled decay under slow weights of every third step, across a checkpoint in between.
  constexpr double kRate = 0.1, kDecay = 0.05, kAlpha = 0.4, kMomentum = 0.9;
  const OptimizerOptions options{
      .weight_decay = kDecay, .decoupled = true, .lookahead = Lookahead{.steps = 3, .alpha = kAlpha}};
  for (const int stop : {0, 1, 4, 6}) {
    StateDict state;
    State w = state.create("w", Tensor::from({1.0, -2.0}, {2}));
    std::optional<Optimizer> optimizer(std::in_place, state, Momentum(kMomentum), options);
    double fast[] = {1, -2}, slow[] = {1, -2}, velocity[] = {0, 0};
    StateDict resumed;
    for (int t = 1; t <= 10; ++t) {
      const double g[] = {std::sin(t), 1.0 / t};
      step(*optimizer, w, Tensor::from({g[0], g[1]}, {2}), kRate);
      for (std::size_t i = 0; i < 2; ++i) {
        velocity[i] = kMomentum * velocity[i] - kRate * g[i];
        fast[i] += velocity[i] - kRate * kDecay * fast[i];
        if (t % 3 == 0) fast[i] = slow[i] += kAlpha * (fast[i] - slow[i]);
        BOOST_TEST(std::abs(w.value().at(std::int64_t(i)) - fast[i]) < 1e-14, "step " << t);
      }
      if (t == stop) {
        for (const State& s : state) resumed.create(s.name(), s.value(), s.kind());
        w = resumed.at("w");
        optimizer.emplace(resumed, Momentum(kMomentum), options);
      }
    }
    BOOST_TEST((stop ? resumed : state).find("momentum/w/slow") != nullptr);
  }
}

BOOST_AUTO_TEST_CASE(slow_weights_move_at_each_multiple_and_at_no_other_step) {
  for (const std::int64_t every : {1, 3, 5, 7, 49, 1000}) {
    StateDict state;
    const State w = state.create("w", Tensor::scalar(0.0f));
    const Optimizer sgd(state, Sgd{}, {.lookahead = Lookahead{.steps = every, .alpha = 0.5}});
    Function f = [&](Var g, Var lr) {
      const ParameterGradient pair{w, g};
      sgd.step({&pair, 1}, lr);
      return lr;
    };
    const Tensor g = Tensor::scalar(-1.0f), rate = Tensor::scalar(1.0f);
    f(g, rate);
    double fast = 1, slow = 0;
    for (std::int64_t t = 1; t <= 3000; ++t) {
      if (t > 1) {
        f(g, rate);
        fast += 1;
      }
      if (t % every == 0) fast = slow += 0.5 * (fast - slow);
      BOOST_REQUIRE_MESSAGE(w.value().item() == fast, "every " << every << ", step " << t);
    }
  }
  StateDict state;
  BOOST_CHECK_THROW(Optimizer(state, Sgd{}, {.lookahead = Lookahead{.steps = 0}}), Error);
}

// 0.999 is 1 in bf16: averages kept in it would stand still, and their corrections divide by 0.
BOOST_AUTO_TEST_CASE(parameters_in_bf16_are_updated_in_f32) {
  const Tensor start = Tensor::from({1.0, -2.0, 3.0}, {3}), g = Tensor::from({0.5, 0.0, -4.0}, {3});
  StateDict state, rounded;
  const State w = state.create("w", start.to(DType::f32)), b = rounded.create("w", start.to(DType::bf16));
  const Optimizer adam(state, Adam{}), of_rounded(rounded, Adam{});
  for (int i = 0; i < 5; ++i) {
    step(adam, w, g.to(DType::f32), 0.125);
    step(of_rounded, b, g.to(DType::bf16), 0.125);
  }
  BOOST_TEST(w.value().at(0) == 0.375, boost::test_tools::tolerance(1e-4));
  for (int i = 0; i < 3; ++i) BOOST_TEST(std::abs(b.value().at(i) - w.value().at(i)) <= 0.02);
  BOOST_TEST(identical(rounded.at("adam/w/a").value(), state.at("adam/w/a").value()));
  BOOST_TEST((b.type().dtype == DType::bf16));
}

BOOST_AUTO_TEST_CASE(a_parameter_that_is_given_twice_is_refused) {
  StateDict state;
  const State w = state.create("w", Tensor::scalar(2.0));
  const Optimizer sgd(state, Sgd{});
  Function f = [&](Var x) {
    const Var loss = x * w;
    const std::vector<State> twice = {w, w};
    sgd.minimize(loss, twice, 0.1);
    return loss;
  };
  BOOST_TEST(thrown([&] { f(Tensor::scalar(1.0)); }) ==
             "parameter w is given twice, and would take two steps");
}

BOOST_AUTO_TEST_CASE(lamb_moves_by_a_fraction_of_the_norm) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    StateDict state;
    const State w = state.create("w", Tensor::from({3.0, -4.0}, {2}).to(dtype));
    step(Optimizer(state, Lamb(0)), w, Tensor::from({1e-4, 1e6}, {2}).to(dtype), 0.1);
    const double dx = w.value().at(0) - 3, dy = w.value().at(1) + 4;
    BOOST_TEST(std::hypot(dx, dy) == 0.5, boost::test_tools::tolerance(1e-5));
    BOOST_TEST(dx / dy == 1, boost::test_tools::tolerance(0.02));  // epsilon is 1e-6, the gradient 1e-4
  }
}

BOOST_AUTO_TEST_SUITE_END()
