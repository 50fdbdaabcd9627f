// Cell 4 of the seed notebook: layers and the fully connected net. Each error must be within what the
// notebook prints.
#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/tests/support/notebook.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::relative_error;

namespace {

Tensor random_normal(std::uint64_t stream, const Shape& shape) {
  Random random(231, stream);
  Tensor values(DType::f64, shape);
  for (double& v : values.mutable_values<double>()) v = random.normal();
  return values;
}

Var affine(const Var& x, const Var& w, const Var& b) { return linear(reshape(x, {x.shape()[0], -1}), w, b); }

// Large, because the gradients are small beside the loss: its last digit over the step is what is compared
// with.
constexpr double kStep = 2e-3;

/// Do all values before a relu stay on one side of its kink while a weight moves by kStep? That moves the
/// first layer's by kStep times an input, at most 2.5, and the second's by little more than kStep.
bool is_smooth(const FullyConnectedNet& net, const Tensor& x) {
  Tape tape;
  const auto state = [&](const char* name) { return tape.read(net.state().at(name)); };
  const Var first = linear(tape.constant(x), state("fc1/weight"), state("fc1/bias"));
  const Var second = linear(relu(first), state("fc2/weight"), state("fc2/bias"));
  return evaluate(min(abs(first))).item() > 2.5 * kStep && evaluate(min(abs(second))).item() > 1.2 * kStep;
}

/// The first such net, by seed.
FullyConnectedNet smooth_net(double reg, const Tensor& x) {
  for (std::uint64_t seed = 231;; ++seed) {
    FullyConnectedNet net({.hidden = {20, 30},
                           .inputs = 15,
                           .weight_scale = 5e-2,
                           .reg = reg,
                           .dtype = DType::f64,
                           .seed = seed});
    if (is_smooth(net, x)) return net;
  }
}

struct FcNet {
  Tensor x = random_normal(1, {2, 15});
  Tensor labels = Tensor::from({std::int64_t{3}, std::int64_t{7}}, {2});
  FullyConnectedNet net;

  explicit FcNet(double reg) : net(smooth_net(reg, x)) {}

  Var loss(Tape& tape) const { return net.loss(tape.constant(x), tape.constant(labels), Mode::train); }
  double loss() const {
    Tape tape;
    return evaluate(loss(tape)).item();
  }
  /// The relative error of each parameter's gradient: W1, b1, W2, b2, W3, b3.
  std::vector<double> errors() const {
    std::vector<double> all;
    const auto parameters = net.state().parameters();
    for (const GradientCheck& check : check_gradients([&](Tape& tape) { return loss(tape); }, parameters,
                                                      {.step = kStep, .elementwise_limit = 1000})) {
      BOOST_TEST_MESSAGE(check.describe());
      all.push_back(check.error);
    }
    return all;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(notebook)

BOOST_AUTO_TEST_CASE(cell_4_affine_forward) {
  Tape tape;
  const Var x = tape.constant(Tensor::linspace(-0.1, 0.5, {2, 4, 5, 6}));
  const Var w = tape.constant(Tensor::linspace(-0.2, 0.3, {120, 3}));
  const Var b = tape.constant(Tensor::linspace(-0.3, 0.1, {3}));
  const Tensor y = evaluate(affine(x, w, b));
  BOOST_TEST(relative_error(y, {1.49834967, 1.70660132, 1.91485297, 3.25553199, 3.5141327, 3.77273342}) <=
             9.77e-10);
}

BOOST_AUTO_TEST_CASE(cell_4_affine_backward) {
  const GradientCheck check =
      check_gradients([](std::span<const Var> x) { return affine(x[0], x[1], x[2]); },
                      {random_normal(1, {10, 2, 3}), random_normal(2, {6, 5}), random_normal(3, {5})});
  BOOST_TEST(check.comparisons > 0);
  BOOST_TEST(check.passes(7.27e-11), check.describe());  // dx, dw and db by the smallest of the three printed
}

BOOST_AUTO_TEST_CASE(cell_4_relu_forward) {
  Tape tape;
  const Tensor y = evaluate(relu(tape.constant(Tensor::linspace(-0.5, 0.5, {3, 4}))));
  BOOST_TEST(relative_error(y, {0, 0, 0, 0, 0, 0, 0.04545455, 0.13636364, 0.22727273, 0.31818182, 0.40909091,
                                0.5}) <= 5e-8);
}

BOOST_AUTO_TEST_CASE(cell_4_relu_backward) {
  Tensor x = random_normal(4, {10, 10});
  for (double& v : x.mutable_values<double>()) v += v < 0 ? -0.01 : 0.01;  // away from the kink
  const GradientCheck check = check_gradients([](std::span<const Var> v) { return relu(v[0]); }, {x});
  BOOST_TEST(check.passes(3.28e-12), check.describe());
}

BOOST_AUTO_TEST_CASE(cell_4_affine_relu) {
  const GradientCheck check =
      check_gradients([](std::span<const Var> x) { return relu(affine(x[0], x[1], x[2])); },
                      {random_normal(5, {2, 3, 4}), random_normal(6, {12, 10}), random_normal(7, {10})});
  BOOST_TEST(check.passes(9.58e-11), check.describe());
}

BOOST_AUTO_TEST_CASE(cell_4_fc_net_without_penalty) {
  const FcNet test(0);
  BOOST_TEST(std::abs(test.loss() - std::log(10.0)) < 0.02);
  const double printed[] = {1.52e-07, 2.9e-08, 4.47e-06, 2.21e-09, 8.1e-08, 1.34e-10};
  const std::vector<double> errors = test.errors();
  BOOST_REQUIRE(errors.size() == 6u);
  for (std::size_t i = 0; i < 6; ++i) BOOST_TEST(errors[i] <= printed[i]);
}

BOOST_AUTO_TEST_CASE(cell_4_fc_net_with_penalty) {
  const FcNet plain(0), test(3.14);
  double squares = 0;
  for (const char* name : {"fc1/weight", "fc2/weight", "fc3/weight"}) {
    for (const double v : test.net.state().at(name).value().values<double>()) squares += v * v;
  }
  BOOST_TEST(test.loss() == plain.loss() + 0.5 * 3.14 * squares, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(test.loss() > 6.5);  // the notebook's own weights gave 7.22
  BOOST_TEST(test.loss() < 8);
  const double printed[] = {1.22e-08, 1.07e-08, 6.75e-08, 2.49e-07, 3.45e-07, 2.24e-10};
  const std::vector<double> errors = test.errors();
  BOOST_REQUIRE(errors.size() == 6u);
  for (std::size_t i = 0; i < 6; ++i) BOOST_TEST(errors[i] <= printed[i]);
}

BOOST_AUTO_TEST_SUITE_END()
