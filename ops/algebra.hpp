// The clean-up rules of the elementwise ops, one function an op, and what they look at. Each returns an equal
// but cheaper form of the call, or nothing. The sign of a zero may change; the last bits may where constants
// are combined.
#pragma once

#include <tapestry/core/op.hpp>

#include <optional>

namespace tapestry::algebra {

/// The number that all elements of a constant are, also seen through a broadcast.
std::optional<double> number_in(const Var& x);
/// Operand `slot` of x's node, if it is made by the op of that name.
std::optional<Var> operand_of(const Var& x, std::string_view op, int slot = 0);

using Simpler = std::optional<Var>;

Simpler neg(const Call& c);
Simpler abs(const Call& c);
Simpler add(const Call& c);
Simpler sub(const Call& c);
Simpler mul(const Call& c);
Simpler div(const Call& c);
Simpler pow(const Call& c);
Simpler mul_no_nan(const Call& c);
Simpler where(const Call& c);
/// maximum(x, x)
Simpler of_equals(const Call& c);
Simpler cast(const Var& x, DType dtype);

}  // namespace tapestry::algebra
