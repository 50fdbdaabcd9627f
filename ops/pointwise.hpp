// Elementwise arithmetic and functions. Operands are broadcast as in NumPy and must agree in dtype; numbers
// take the dtype of the variable they meet.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

Var operator+(const Operand& a, const Operand& b);
Var operator-(const Operand& a, const Operand& b);
Var operator*(const Operand& a, const Operand& b);
Var operator/(const Operand& a, const Operand& b);
Var operator-(const Operand& x);

Var exp(const Operand& x);
Var log(const Operand& x);

void register_pointwise(Registry& registry);

}  // namespace tapestry
