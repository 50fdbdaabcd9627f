// Ops that give elements another arrangement without computing: other extents, another order of axes, copies
// along new ones.
#pragma once

#include <tapestry/core/tape.hpp>
#include <tapestry/ops/axes.hpp>

namespace tapestry {

class Registry;

/// The same elements in row-major order under another shape; one extent may be -1, worked out from the
/// others.
Var reshape(const Operand& x, const Shape& shape);
/// Without the given axes, which must have extent 1; by default without all that have.
Var squeeze(const Operand& x, const Axes& axes = {});
/// With axes of extent 1 at these places of the result: expand_dims(x [2, 3], {0, -1}) is [1, 2, 3, 1].
Var expand_dims(const Operand& x, std::initializer_list<int> axes);

/// Axis i of the result is axis order[i] of x.
Var permute(const Operand& x, const Shape& order);
/// The last two axes exchanged.
Var transpose(const Operand& x);
/// Reversed along some axes, by default all.
Var flip(const Operand& x, const Axes& axes = {});

/// NumPy broadcasting to exactly `shape`.
Var broadcast_to(const Operand& x, const Shape& shape);
/// 0, 1, 2, ... along one axis, the same along the others; `dtype` is any but bool.
Var iota(Tape& tape, DType dtype, const Shape& shape, int axis = 0, Location at = Location::current());
/// x, if y is transpose(x) as recorded: for ops that can read their operands either way.
std::optional<Var> transposed_operand(const Var& y);

void register_shape(Registry& registry);

}  // namespace tapestry
