// Momentum whose steps are orthogonal matrices.
#pragma once

#include <tapestry/optim/optimizer.hpp>

#include <array>

namespace tapestry {

/// velocity <- momentum velocity + g;  w <- w - lr orthogonal(velocity), or, with `nesterov`, orthogonal(g +
/// momentum velocity)  (K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024). For
/// matrices [in, out] and filters [kh, kw, in, out], which are matrices [kh kw in, out]; other parameters
/// need a group with another rule.
struct Muon final : UpdateRule {
  double momentum = 0.95;
  bool nesterov = true;
  /// Steps of the iteration that makes a matrix nearly orthogonal, and what it multiplies by: X, (X X^T) X
  /// and (X X^T)^2 X.
  int steps = 5;
  std::array<double, 3> coefficients{3.4445, -4.7750, 2.0315};
  /// Before its step w is scaled to the norm sqrt(out), so that each filter has a norm of about 1.
  bool normalize = false;
  /// Steps are scaled to about this root mean square for each unit of the learning rate; 0.2 is near Adam's,
  /// so that one rate suits both (Liu et al., "Muon is scalable for LLM training", 2025). Nothing: as they
  /// are, with singular values near 1.
  std::optional<double> step_rms{};

  std::string name() const override { return "muon"; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

/// Muon as networks are commonly trained with it: it for matrices and filters, with steps of `step_rms` 0.2,
/// and the options' decay decoupled; `rest` for all that aren't, biases and scales, and for the last of them,
/// which makes the scores. `parameters` are in the order of their layers.
Optimizer muon_optimizer(StateDict& state, std::span<const State> parameters, Muon muon,
                         std::shared_ptr<const UpdateRule> rest, OptimizerOptions options = {});

/// A matrix [m, n] with the singular vectors of x and singular values near 1, by `steps` steps of a
/// Newton-Schulz iteration from x / (|x| + 1e-7). Zeros stay zeros.
Var orthogonalized(const Var& x, int steps = 5,
                   std::array<double, 3> coefficients = {3.4445, -4.7750, 2.0315});

}  // namespace tapestry
