// Elementwise arithmetic. Operands are broadcast as in NumPy and must agree in dtype; numbers take the dtype
// of the variable they meet. All but mul_no_nan's special case works on integers too: they wrap around,
// divide towards zero, and x / 0 is 0. More elementwise ops: functions.hpp, compare.hpp, activations.hpp.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

Var operator+(const Operand& a, const Operand& b);
Var operator-(const Operand& a, const Operand& b);
Var operator*(const Operand& a, const Operand& b);
Var operator/(const Operand& a, const Operand& b);
Var operator-(const Operand& x);

/// The derivative at 0 is 0.
Var abs(const Operand& x);
/// -1, 0 or 1, NaN of a NaN; not differentiated.
Var sign(const Operand& x);
Var square(const Operand& x);
/// NaN if either is; the gradient of a tie goes to the first operand.
Var maximum(const Operand& a, const Operand& b);
Var minimum(const Operand& a, const Operand& b);
/// min(max(x, lo), hi); at the ends the derivative is 1. lo must not exceed hi.
Var clamp(const Operand& x, double lo, double hi);
/// a * b, but 0 where a is 0, even if b is infinite or NaN: how a zero cotangent stays zero.
Var mul_no_nan(const Operand& a, const Operand& b);

/// Float to integer truncates towards zero, number to bool is `!= 0`. Between floating dtypes the derivative
/// is cast back.
Var cast(const Operand& x, DType dtype);
/// x, but for gradients a constant.
Var stop_gradient(const Operand& x);

void register_pointwise(Registry& registry);

}  // namespace tapestry
