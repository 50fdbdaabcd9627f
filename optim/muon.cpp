#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/optim/muon.hpp>

#include <algorithm>
#include <cmath>
#include <ranges>

namespace tapestry {

Var orthogonalized(const Var& x, int steps, std::array<double, 3> coefficients) {
  const auto [a, b, c] = coefficients;
  const bool tall = x.shape()[0] >= x.shape()[1];  // the Gram matrix of the shorter side is the cheaper one
  Var y = x / (norm(x) + 1e-7);
  for (int i = 0; i < steps; ++i) {
    const Var gram = tall ? matmul(y, y, {.transpose_a = true}) : matmul(y, y, {.transpose_b = true});
    const Var factor = b * gram + c * matmul(gram, gram);
    y = a * y + (tall ? matmul(y, factor) : matmul(factor, y));
  }
  return y;
}

Var Muon::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  require(w.rank() >= 2, "muon is for matrices and filters; the parameter ", slots.parameter(), " of shape ",
          w.shape(), " needs a group with another rule");
  const Var velocity = slots.write("velocity", momentum * slots.read("velocity") + g);
  const Var direction = nesterov ? g + momentum * velocity : velocity;
  const std::int64_t out = w.shape().back(), in = w.shape().elements() / std::max<std::int64_t>(out, 1);
  const Var step = reshape(orthogonalized(reshape(direction, {in, out}), steps, coefficients), w.shape());
  const double scale = step_rms ? *step_rms * std::sqrt(double(std::max(in, out))) : 1;
  const Var from = normalize ? w * (std::sqrt(double(out)) / norm(w)) : w;
  return from - (scale == 1 ? lr : lr * scale) * step;
}

Optimizer muon_optimizer(StateDict& state, std::span<const State> parameters, Muon muon,
                         std::shared_ptr<const UpdateRule> rest, OptimizerOptions options) {
  if (!muon.step_rms) muon.step_rms = 0.2;
  options.decoupled = true;
  const auto is_matrix = [](const State& p) { return p.type().shape.rank() >= 2; };
  const auto backwards = std::views::reverse(parameters);
  const auto last = std::ranges::find_if(backwards, is_matrix);
  for (const State& p : parameters) {
    if (is_matrix(p) && p != *last) continue;
    options.groups.push_back({.pattern = p.name(), .rule = rest});
  }
  return {state, muon, std::move(options)};
}

}  // namespace tapestry
