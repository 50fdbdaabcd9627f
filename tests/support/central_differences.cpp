#include "central_differences.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <algorithm>
#include <cmath>

namespace tapestry::test {
namespace {

std::vector<Var> record(Tape& tape, const std::vector<Tensor>& inputs) {
  std::vector<Var> vars;
  for (const Tensor& input : inputs) vars.push_back(tape.constant(input));
  return vars;
}

std::vector<Var> floating(std::span<const Var> vars) {
  std::vector<Var> out;
  std::ranges::copy_if(vars, std::back_inserter(out), [](const Var& v) { return is_floating(v.dtype()); });
  return out;
}

/// The largest error of the gradient of a scalar function.
double gradient_error(const Function& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  const std::vector<Var> vars = record(tape, inputs);
  const auto given = evaluate(gradients(f(vars), floating(vars)));
  double worst = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!is_floating(inputs[i].dtype())) continue;
    const Tensor& gradient = given.at(next++);
    if (gradient.type() != inputs[i].type()) return INFINITY;
    for (std::int64_t at = 0; at < inputs[i].elements(); ++at) {
      constexpr double step = 1e-5;
      const auto shifted = [&](double by) {
        std::vector<Tensor> moved = inputs;
        moved[i].mutable_values<double>()[std::size_t(at)] += by;
        return value_of(f, moved).item();
      };
      const double expected = (shifted(step) - shifted(-step)) / (2 * step);
      const double error = std::abs(gradient.at(at) - expected) / std::max(1.0, std::abs(expected));
      worst = std::max(worst, std::isnan(error) ? INFINITY : error);
    }
  }
  return worst;
}

}  // namespace

Tensor random_tensor(const Shape& shape, std::uint64_t seed, DType dtype) {
  Tensor tensor(DType::f64, shape);
  Random random(seed);
  for (double& value : tensor.mutable_values<double>()) value = 2 * random.uniform() - 1;
  return tensor.to(dtype);
}

Tensor value_of(const Function& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  return evaluate(f(record(tape, inputs)));
}

double derivative_error(const Function& f, const std::vector<Tensor>& inputs) {
  const Function projected = [&](std::span<const Var> x) {
    const Var y = f(x);
    return sum(y * random_tensor(y.shape(), 7));
  };
  const Function slope = [&](std::span<const Var> x) {
    Var total = x[0].tape().constant(0.0, DType::f64);
    for (const Var& g : gradients(projected(x), floating(x))) {
      total = total + sum(g * random_tensor(g.shape(), 8));
    }
    return total;
  };
  return std::max(gradient_error(projected, inputs), gradient_error(slope, inputs));
}

}  // namespace tapestry::test
