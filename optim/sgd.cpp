#include <tapestry/ops/pointwise.hpp>
#include <tapestry/optim/sgd.hpp>

namespace tapestry {

Var Sgd::update(const Var& w, const Var& g, const Var& lr, const Slots&) const { return w - lr * g; }

Var Momentum::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  return w + slots.write("velocity", momentum * slots.read("velocity") - lr * g);
}

Var Nesterov::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  const Var old = slots.read("velocity");
  const Var velocity = slots.write("velocity", momentum * old - lr * g);
  return w + velocity + momentum * (velocity - old);
}

Var AccumulatedMomentum::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  const Var velocity = slots.write("velocity", momentum * slots.read("velocity") + g);
  return w - lr * (nesterov ? g + momentum * velocity : velocity);
}

}  // namespace tapestry
