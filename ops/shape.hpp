// Ops that move values without computing.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

/// The same elements in row-major order under another shape; one extent may be -1, worked out from the
/// others.
Var reshape(const Operand& x, const Shape& shape);
/// NumPy broadcasting to exactly `shape`.
Var broadcast_to(const Operand& x, const Shape& shape);

void register_shape(Registry& registry);

}  // namespace tapestry
