// Stochastic gradient descent and its momentum.
#pragma once

#include <tapestry/optim/optimizer.hpp>

namespace tapestry {

/// w <- w - lr g
struct Sgd final : UpdateRule {
  std::string name() const override { return "sgd"; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

/// velocity <- momentum velocity - lr g;  w <- w + velocity  (Polyak, 1964)
struct Momentum final : UpdateRule {
  double momentum = 0.9;

  explicit Momentum(double momentum_ = 0.9) : momentum(momentum_) {}
  std::string name() const override { return "momentum"; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

/// velocity <- momentum velocity - lr g;  w <- w + velocity + momentum (velocity - old velocity)
/// (Sutskever et al., 2013, with the gradient taken at w)
struct Nesterov final : UpdateRule {
  double momentum = 0.9;

  explicit Nesterov(double momentum_ = 0.9) : momentum(momentum_) {}
  std::string name() const override { return "nesterov"; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

/// velocity <- momentum velocity + g;  w <- w - lr velocity, or, with `nesterov`, w - lr (g + momentum
/// velocity): the form that PyTorch's SGD has. It differs from those above where the learning rate changes.
struct AccumulatedMomentum final : UpdateRule {
  double momentum = 0.9;
  bool nesterov = false;

  explicit AccumulatedMomentum(double momentum_ = 0.9, bool nesterov_ = false)
      : momentum(momentum_), nesterov(nesterov_) {}
  std::string name() const override { return "accumulated_momentum"; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

}  // namespace tapestry
