// Averages of weights against sums in double.
#include <tapestry/core/function.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/optim/average.hpp>
#include <tapestry/optim/sgd.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// A parameter that moves by what it is told, and its average.
struct Walk {
  StateDict state;
  State w;
  ExponentialMovingAverage average;
  Function step;

  explicit Walk(double decay, DType dtype = DType::f64)
      : w(state.create("w", Tensor::from({1.5, -2.0, 0.25}, {3}).to(dtype))),
        average(state, decay),
        step([this](Var g) {
          const ParameterGradient pair{w, g};
          Optimizer(state, Sgd{}).step({&pair, 1}, 1);
          average.step(g.tape(), std::span(&w, 1));
          return g;
        }) {}
  void go(int i) { step(Tensor::from({std::sin(i), std::cos(2.0 * i), 1.0 / i}, {3}).to(w.type().dtype)); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(average)

BOOST_AUTO_TEST_CASE(is_the_weighted_mean_of_all_weights_so_far) {
  for (const double decay : {0.0, 0.5, 0.9, 0.9999}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      Walk walk(decay, dtype);
      std::vector<std::vector<double>> seen;
      for (int t = 1; t <= 12; ++t) {
        walk.go(t);
        seen.push_back({});
        for (std::int64_t i = 0; i < 3; ++i) seen.back().push_back(walk.w.value().at(i));
        for (std::int64_t i = 0; i < 3; ++i) {
          double sum = 0, weights = 0;
          for (std::size_t s = 0; s < seen.size(); ++s) {
            const double weight = std::pow(decay, double(seen.size() - 1 - s));
            sum += weight * seen[s][std::size_t(i)];
            weights += weight;
          }
          const double found = walk.state.at("ema/w").value().at(i);
          BOOST_TEST(
              std::abs(found - sum / weights) < (dtype == DType::f64 ? 1e-11 : 2e-6),
              decay << ", " << name_of(dtype) << ", step " << t << ": " << found << ", " << sum / weights);
        }
        // After the first step it is the weights, not a bit beside them.
        if (t == 1) BOOST_TEST(identical(walk.state.at("ema/w").value(), walk.w.value()), decay);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(takes_the_weights_place_for_a_while) {
  Walk walk(0.9);
  const Tensor start = walk.w.value();
  {
    const UseAverages none(walk.average, walk.state.parameters());  // before the first step: no averages
    BOOST_TEST(identical(walk.w.value(), start));
  }
  for (int t = 1; t <= 4; ++t) walk.go(t);
  const Tensor own = walk.w.value(), mean = walk.state.at("ema/w").value();
  BOOST_TEST(!identical(own, mean));
  {
    const UseAverages use(walk.average, walk.state.parameters());
    BOOST_TEST(identical(walk.w.value(), mean));
  }
  BOOST_TEST(identical(walk.w.value(), own));
  BOOST_TEST(identical(walk.state.at("ema/w").value(), mean));
  // Training goes on as if nothing had been.
  Walk other(0.9);
  for (int t = 1; t <= 5; ++t) other.go(t);
  walk.go(5);
  BOOST_TEST(identical(walk.w.value(), other.w.value()));
  BOOST_TEST(identical(walk.state.at("ema/w").value(), other.state.at("ema/w").value()));
}

BOOST_AUTO_TEST_CASE(of_parameters_and_of_the_statistics_that_change) {
  StateDict state;
  const State w = state.create("w", Tensor::scalar(1.0)),
              mean = state.create("mean", Tensor::scalar(2.0), StateKind::statistic);
  const State fixed = state.create("fixed", Tensor::scalar(3.0), StateKind::statistic);
  const State key = state.create("key", Tensor::scalar(std::int64_t{4}), StateKind::statistic);
  const State moment = state.create("moment", Tensor::scalar(5.0), StateKind::optimizer);
  Tape tape;
  for (const State& s : {w, mean, key, moment}) tape.write(s, tape.read(s) + 1);
  std::vector<std::string> names;
  for (const State& s : ExponentialMovingAverage::averaged(tape, state.all())) names.push_back(s.name());
  BOOST_TEST(names == (std::vector<std::string>{"w", "mean"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_decay_that_makes_no_sense) {
  StateDict state;
  for (const double decay : {-0.1, 1.0, double(NAN)})
    BOOST_CHECK_THROW(ExponentialMovingAverage(state, decay), Error);
}

BOOST_AUTO_TEST_SUITE_END()
