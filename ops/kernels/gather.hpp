// Picking positions along one axis, and its adjoint, adding to them. A position outside the axis throws
// Error, before anything is written: "take: index 12 at position 3 is outside [0, 10)".
#pragma once

#include <tapestry/core/tensor.hpp>

namespace tapestry::kernels {

/// y[o, j, i] = x[o, indices[j], i], where x's axes before `axis` are o and those after it are i. The indices
/// are i32 or i64; y has x's dtype and room for as many positions as there are indices.
void take(const ConstView& x, int axis, const ConstView& indices, const View& y);

/// y = base, and then y[o, indices[j], i] += updates[o, j, i] in the order of j, so that repeated indices
/// give the same bits with any number of threads. y may be base itself. For all dtypes but bool; bf16 rounds
/// after every addition.
void scatter_add(const ConstView& base, int axis, const ConstView& indices, const ConstView& updates,
                 const View& y);

}  // namespace tapestry::kernels
