// d/dx sum(exp(x) * x) = exp(x) * (x + 1), and the exit code says whether Tapestry agrees.
#include <tapestry/tapestry.hpp>

#include <cmath>
#include <iostream>

using namespace tapestry;

int main() {
  Function derivative = [](Var x) { return gradient(sum(exp(x) * x), x); };
  const Tensor g = derivative(Tensor::from({0.0, 0.5, 1.0}, {3}));
  for (int i = 0; i < 3; ++i) {
    const double at = 0.5 * i, expected = std::exp(at) * (at + 1);
    std::cout << g.at(i) << " expected " << expected << '\n';
    if (std::abs(g.at(i) - expected) > 1e-12) return 1;
  }
  return 0;
}
