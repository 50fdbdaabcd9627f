// Rules that scale each weight's step by a running average `a` of its squared gradients.
#pragma once

#include <tapestry/optim/optimizer.hpp>

namespace tapestry {

/// a <- decay a + (1 - decay) g^2;  w <- w - lr g / (sqrt(a) + epsilon)  (Hinton, 2012)
struct RmsProp final : UpdateRule {
  double decay = 0.99;
  double epsilon = 1e-8;

  explicit RmsProp(double decay_ = 0.99, double epsilon_ = 1e-8) : decay(decay_), epsilon(epsilon_) {}
  std::string name() const override { return "rmsprop"; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

/// t <- t + 1;  v <- beta1 v + (1 - beta1) g;  a <- beta2 a + (1 - beta2) g^2;
/// w <- w - lr v/(1 - beta1^t) / (sqrt(a/(1 - beta2^t)) + epsilon)  (Kingma and Ba, 2015)
struct Adam final : UpdateRule {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;

  explicit Adam(double beta1_ = 0.9, double beta2_ = 0.999, double epsilon_ = 1e-8)
      : beta1(beta1_), beta2(beta2_), epsilon(epsilon_) {}
  std::string name() const override { return "adam"; }
  bool counts_steps() const override { return true; }
  /// What w becomes smaller by at the rate lr.
  Var step(const Var& g, const Operand& lr, const Slots& slots) const;
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

/// Adam, and w is also shrunk by lr weight_decay w (Loshchilov and Hutter, 2019).
struct AdamW final : UpdateRule {
  Adam adam;
  double weight_decay = 1e-2;

  explicit AdamW(double weight_decay_ = 1e-2, Adam adam_ = Adam{})
      : adam(adam_), weight_decay(weight_decay_) {}
  std::string name() const override { return "adamw"; }
  bool counts_steps() const override { return true; }
  std::optional<double> decoupled_decay() const override { return weight_decay; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

/// For large batches: Adam's step, and weight_decay w with it, as long as `w` is, so that a parameter moves
/// by the fraction lr of its norm. With Adam's v, a and t:
/// d = v/(1 - beta1^t) / (sqrt(a/(1 - beta2^t)) + epsilon) + weight_decay w;
/// w <- w - lr |w|/|d| d, or w - lr d where either norm is 0  (You et al., 2020)
struct Lamb final : UpdateRule {
  Adam adam{0.9, 0.999, 1e-6};
  double weight_decay = 1e-2;

  explicit Lamb(double weight_decay_ = 1e-2, Adam adam_ = Adam{0.9, 0.999, 1e-6})
      : adam(adam_), weight_decay(weight_decay_) {}
  std::string name() const override { return "lamb"; }
  bool counts_steps() const override { return true; }
  std::optional<double> decoupled_decay() const override { return weight_decay; }
  bool decays_weights() const override { return true; }
  Var update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const override;
};

}  // namespace tapestry
