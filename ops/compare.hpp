// Comparisons, logic and selection. Operands are broadcast; comparisons give bool and, with a NaN, are false,
// all but not_equal.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

Var equal(const Operand& a, const Operand& b);
Var not_equal(const Operand& a, const Operand& b);
Var less(const Operand& a, const Operand& b);
Var less_equal(const Operand& a, const Operand& b);
Var greater(const Operand& a, const Operand& b);
Var greater_equal(const Operand& a, const Operand& b);
inline Var operator<(const Operand& a, const Operand& b) { return less(a, b); }
inline Var operator<=(const Operand& a, const Operand& b) { return less_equal(a, b); }
inline Var operator>(const Operand& a, const Operand& b) { return greater(a, b); }
inline Var operator>=(const Operand& a, const Operand& b) { return greater_equal(a, b); }

/// Of bool values.
Var logical_and(const Operand& a, const Operand& b);
Var logical_or(const Operand& a, const Operand& b);
Var logical_not(const Operand& x);

/// Neither infinite nor NaN; true of integers.
Var is_finite(const Operand& x);

/// Where the bool `condition` holds a, elsewhere b; all three are broadcast. The branch that isn't selected
/// takes no part: its NaN stays out of the value, and its gradient is zero, also through functions whose
/// derivative is infinite there. where(x > 0, log(x), 0) is safe.
Var where(const Operand& condition, const Operand& a, const Operand& b);

void register_compare(Registry& registry);

}  // namespace tapestry
