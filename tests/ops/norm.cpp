#include "../support/graphs.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::numbers;

namespace {

const Tensor kImage =
    Tensor::from({0.3, -1.2, 2.5, 0.7, -0.4, 1.1, -0.9, 0.6, 1.7, -2.2, 0.2, 0.8}, {3, 2, 2});
const Tensor kGamma = Tensor::from({1.5, -0.7}, {2});
const Tensor kBeta = Tensor::from({0.2, 0.4}, {2});
const Tensor kMean = Tensor::from({0.1, -0.3}, {2});
const Tensor kVariance = Tensor::from({0.8, 2.0}, {2});

using X = std::span<const Var>;

int count(const Graph& graph, std::string_view op, std::int64_t elements) {
  int n = 0;
  for (ValueId id = 0; id < graph.size(); ++id) {
    n += graph.is(id, op) && graph.type(graph.input(id, 0)).shape.elements() == elements;
  }
  return n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(norm)

BOOST_AUTO_TEST_CASE(values) {
  Tape tape;
  const Var x = f64(tape, {2, 2}, {1, 10, 3, 30});
  const Var gamma = f64(tape, {2, 1});
  const Var beta = f64(tape, {0, 5});
  BOOST_TEST(numbers(batchnorm(x, gamma, beta, 0)) == "-2 4 2 6");
  BOOST_TEST(numbers(batchnorm(x, gamma, beta, 3)) == "-1 4.01467 1 5.98533");
  BOOST_TEST(numbers(batchnorm_inference(x, gamma, beta, f64(tape, {1, 0}), f64(tape, {4, 25}), 0)) ==
             "0 7 2 11");
  BOOST_TEST(numbers(layernorm(x, gamma, beta, 0)) == "-2 6 -2 6");
  BOOST_TEST(numbers(groupnorm(x, gamma, beta, 1, 0)) == "-2 6 -2 6");
  BOOST_TEST(numbers(groupnorm(x, gamma, beta, 2, 1)) == "0 5 0 5");
  const Var sequence = f64(tape, {1, 2, 2}, {1, 10, 3, 30});
  BOOST_TEST(numbers(instancenorm(sequence, gamma, beta, 0)) == "-2 4 2 6");
  BOOST_TEST(numbers(groupnorm(sequence, gamma, beta, 2, 0)) == "-2 4 2 6");
}

BOOST_AUTO_TEST_CASE(slopes) {
  const auto train = [](X x) { return batchnorm(x[0], x[1], x[2], 0.1); };
  const auto inference = [](X x) { return batchnorm_inference(x[0], x[1], x[2], x[3], x[4], 0.1); };
  const auto layer = [](X x) { return layernorm(x[0], x[1], x[2], 0.1); };
  BOOST_TEST(check_gradients(train, {kImage, kGamma, kBeta}).error < 1e-9);
  BOOST_TEST(check_gradients(inference, {kImage, kGamma, kBeta, kMean, kVariance}).error < 1e-9);
  BOOST_TEST(check_gradients(layer, {kImage, kGamma, kBeta}).error < 1e-9);
  const auto second = [&](auto f) { return [f](X x) { return gradient(sum(exp(f(x))), x[0]); }; };
  BOOST_TEST(check_gradients(second(train), {kImage, kGamma, kBeta}).error < 1e-7);
  BOOST_TEST(check_gradients(second(layer), {kImage, kGamma, kBeta}).error < 1e-7);
}

BOOST_AUTO_TEST_CASE(batch_of_one_and_constant_columns) {
  Tape tape;
  const Var gamma = tape.constant(kGamma);
  const Var beta = tape.constant(kBeta);
  const Var one = f64(tape, {1, 2}, {3, -7});
  BOOST_TEST(numbers(batchnorm(one, gamma, beta)) == "0.2 0.4");
  BOOST_TEST(numbers(gradient(sum(batchnorm(one, gamma, beta)), one) + 0) == "0 0");
  const Var constant = f64(tape, {2, 2}, {1, 5, 1, -5});
  BOOST_TEST(numbers(batchnorm(constant, gamma, beta, 0.0)).starts_with("nan"));
  const Tensor g = evaluate(gradient(sum(batchnorm(constant, gamma, beta)), constant));
  for (int i = 0; i < 4; ++i) BOOST_TEST(std::abs(g.at(i)) < 1e-9);
}

BOOST_AUTO_TEST_CASE(an_empty_batch) {
  Tape tape;
  const Var x = tape.constant(Tensor(DType::f64, {0, 2}));
  const Var y = batchnorm(x, tape.constant(kGamma), tape.constant(kBeta));
  BOOST_TEST(to_string(evaluate(y)) == "f64 [0, 2] {}");
}

// Forward: mean and variance, the result. Backward: two sums over the batch, then the gradient.
BOOST_AUTO_TEST_CASE(the_derived_backward_is_two_passes) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {100, 50}});
  const Var gamma = tape.input("gamma", {DType::f32, {50}});
  const Var beta = tape.input("beta", {DType::f32, {50}});
  const Var g = tape.input("g", {DType::f32, {100, 50}});
  const Var y = batchnorm(x, gamma, beta);
  const std::vector<Var> wrt = {x, gamma, beta};
  std::vector<Var> outputs = gradients(y, wrt, g);
  outputs.push_back(y);
  // Running statistics come for free.
  outputs.push_back(mean(x, 0));
  outputs.push_back(var(x, 0));
  Graph graph = expand(tape.take(outputs));
  for (const Pass& pass : passes()) graph = pass.run(graph);
  graph = eliminate_common_subexpressions(graph);
  BOOST_TEST(count(graph, "sum", 5000) == 3);
  BOOST_TEST(count(graph, "squared_deviations", 5000) == 1);
  BOOST_TEST(count(graph, "sub", 5000) == 1);
  BOOST_TEST(count(graph, "sqrt", 50) == 1);
  BOOST_TEST(count(graph, "div", 5000) == 0);
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const Var x = f64(tape, {2, 2}, {1, 2, 3, 4});
  const Var two = tape.constant(kGamma);
  const auto says = [](const auto& f, std::string_view what) {
    const std::string message = test::thrown(f);
    BOOST_TEST(message.find(what) != std::string::npos, message);
  };
  says(
      [&] {
        return batchnorm(x, f64(tape, {1, 2, 3}), two);
      },
      "batchnorm: the operands after the first need shape [2]: constant [2, 2]");
  says([&] { return batchnorm(two, two, two); }, "batchnorm: needs at least 2 axes");
  says([&] { return layernorm(f64(tape, Shape{}, {1}), two, two); }, "layernorm: needs at least 1 axis");
  says([&] { return layernorm(x, two, cast(two, DType::f32)); }, "layernorm: dtypes differ");
  says([&] { return batchnorm(x, two, two, -1); }, "batchnorm: eps is negative");
  says([&] { return groupnorm(x, two, two, 3); }, "groupnorm: 3 groups can't share 2 channels");
  says([&] { return groupnorm(x, two, two, 0); }, "groupnorm: 0 groups can't share 2 channels");
  says([&] { return groupnorm(two, two, two, 1); }, "groupnorm: needs at least 2 axes");
  says([&] { return instancenorm(x, two, two); }, "instancenorm: needs at least 3 axes");
}

BOOST_AUTO_TEST_SUITE_END()
