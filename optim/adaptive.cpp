#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/optim/adaptive.hpp>

namespace tapestry {

Var RmsProp::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  const Var a = slots.write("a", decay * slots.read("a") + (1 - decay) * square(g));
  return w - lr * g / (sqrt(a) + epsilon);
}

Var Adam::step(const Var& g, const Operand& lr, const Slots& slots) const {
  const Var v = slots.write("v", beta1 * slots.read("v") + (1 - beta1) * g);
  const Var a = slots.write("a", beta2 * slots.read("a") + (1 - beta2) * square(g));
  // The corrections of the bias towards zero are scalars: worked out once a step, not once a weight.
  const Var t = slots.count();
  const Var rate = lr / (1 - pow(beta1, t));
  const Var scale = 1 / (1 - pow(beta2, t));
  return rate * v / (sqrt(a * scale) + epsilon);
}

Var Adam::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  return w - step(g, lr, slots);
}

Var AdamW::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  return adam.update(w, g, lr, slots);
}

Var Lamb::update(const Var& w, const Var& g, const Var& lr, const Slots& slots) const {
  Var direction = adam.step(g, 1, slots);
  if (slots.weight_decay() != 0) direction = direction + slots.weight_decay() * w;
  const Var length = norm(w), step = norm(direction);
  const Var trust = where(logical_and(length > 0, step > 0), length / step, 1);
  return w - (lr * trust) * direction;
}

}  // namespace tapestry
