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
/// 0, 1, 2, ... along one axis, the same along the others; `dtype` is any but bool.
Var iota(Tape& tape, DType dtype, const Shape& shape, int axis = 0, Location at = Location::current());

void register_shape(Registry& registry);

}  // namespace tapestry
