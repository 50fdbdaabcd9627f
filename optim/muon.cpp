#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/optim/muon.hpp>

#include <cmath>

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
  require(w.rank() >= 2, "muon is for matrices and filters; a parameter of shape ", w.shape(),
          " needs a group with another rule");
  const Var velocity = slots.write("velocity", momentum * slots.read("velocity") + g);
  const Var direction = nesterov ? g + momentum * velocity : velocity;
  const std::int64_t out = w.shape().back(), in = w.shape().elements() / std::max<std::int64_t>(out, 1);
  const Var step = reshape(orthogonalized(reshape(direction, {in, out}), steps, coefficients), w.shape());
  const Var from = normalize ? w * (std::sqrt(double(out)) / norm(w)) : w;
  return from - lr * step;
}

}  // namespace tapestry
