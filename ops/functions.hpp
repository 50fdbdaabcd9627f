// Elementwise functions of floating values. Where a derivative can be infinite or NaN, a cotangent of zero
// stays zero: that is how the unselected branch of a `where` never leaks.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

Var sqrt(const Operand& x);
/// 1 / sqrt(x)
Var rsqrt(const Operand& x);
Var exp(const Operand& x);
/// exp(x) - 1 without cancellation near 0.
Var expm1(const Operand& x);
Var log(const Operand& x);
/// log(1 + x), exact near 0.
Var log1p(const Operand& x);
/// As C's pow. For a base of 0 the derivative with respect to the exponent is 0.
Var pow(const Operand& base, const Operand& exponent);
Var sin(const Operand& x);
Var cos(const Operand& x);
Var tanh(const Operand& x);
/// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Var erf(const Operand& x);
/// Rounded down; not differentiated.
Var floor(const Operand& x);

void register_functions(Registry& registry);

}  // namespace tapestry
