// Ops that pick elements by an index that is itself a value. Indices of take and
// scatter_add are i32 or i64; those outside [0, n) are an error when the op runs.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

/// x's slices along `axis` in the order of the indices, whose axes replace that axis: x [4, 3], indices
/// [2, 5], axis 0 gives [2, 5, 3].
Var take(const Operand& x, const Operand& indices, int axis);
/// `base` with a slice of `updates` added along `axis` for each index; those of equal indices add up. The
/// shape of `updates` is that of take(base, indices, axis).
Var scatter_add(const Operand& base, const Operand& indices, const Operand& updates, int axis);
/// indices.shape + [classes]: 1 where the last position is the index, else 0; all 0 if it is outside.
Var one_hot(const Operand& indices, std::int64_t classes, DType dtype = DType::f32);

void register_indexing(Registry& registry);

}  // namespace tapestry
