// Tells the three arms of a spiral apart: a classifier in a screenful, trained with Adam.
#include <tapestry/tapestry.hpp>

#include <cmath>
#include <iostream>

using namespace tapestry;

int main() {
  Tensor points(DType::f32, {300, 2}), arms(DType::i64, {300});
  const auto position = points.mutable_values<float>();
  const auto arm = arms.mutable_values<std::int64_t>();
  for (std::size_t i = 0; i < 300; ++i) {
    arm[i] = std::int64_t(i / 100);
    const float radius = float(i % 100) / 100, angle = 4 * radius + 2.1f * float(arm[i]);
    position[2 * i] = radius * std::cos(angle);
    position[2 * i + 1] = radius * std::sin(angle);
  }

  StateDict state;
  const Initializer init(/*seed=*/0);
  const Linear hidden(state, "hidden", 2, 64, init), out(state, "out", 64, 3, init);
  const auto scores = [&](const Var& x) { return out(relu(hidden(x))); };
  const Optimizer optimizer(state, Adam{});

  Function step = [&](Var x, Var label, Var rate) {
    const Var loss = softmax_cross_entropy(scores(x), label);
    optimizer.minimize(loss, state.parameters(), rate);
    return loss;
  };
  Function right = [&](Var x, Var label) { return accuracy(scores(x), label); };

  const Tensor rate = Tensor::scalar(0.02f);
  for (int i = 0; i <= 400; ++i) {
    const double loss = step(points, arms, rate).item();
    if (i % 100 == 0) std::cout << "step " << i << "  loss " << loss << '\n';
  }
  const double share = right(points, arms).item();
  std::cout << "accuracy " << share << '\n';
  return share > 0.95 ? 0 : 1;  // every example is a test, too
}
