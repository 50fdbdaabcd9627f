// Activation functions, elementwise, of floating values of any size: none overflows on the way.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

/// 1 / (1 + exp(-x))
Var sigmoid(const Operand& x);
/// max(x, 0); the derivative at 0 is 0.
Var relu(const Operand& x);
/// x for x > 0, slope * x otherwise.
Var leaky_relu(const Operand& x, double slope = 0.01);
/// x for x > 0, alpha * (exp(x) - 1) otherwise.
Var elu(const Operand& x, double alpha = 1);
/// x * P(N <= x) for a standard normal N: x / 2 * (1 + erf(x / sqrt(2))).
Var gelu(const Operand& x);
/// Its derivative, P(N <= x) + x p(x) with N's density p.
Var gelu_slope(const Operand& x);
/// gelu's approximation x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) (Hendrycks and Gimpel, 2016).
Var gelu_tanh(const Operand& x);
/// x * sigmoid(x)
Var silu(const Operand& x);
/// log(1 + exp(x))
Var softplus(const Operand& x);

void register_activations(Registry& registry);

}  // namespace tapestry
