// Where the greatest or the least element is.
#pragma once

#include <tapestry/core/tensor.hpp>

namespace tapestry::kernels {

/// For each index of the axes of `x` that are not in `axes`: the row-major position, within the axes that
/// are, of the greatest element. Of equal ones the first; a NaN counts as greater than any number. `axes` are
/// distinct and rising; y is i64. Throws if there is nothing to choose from.
void argmax(const ConstView& x, const Shape& axes, const View& y);
/// The same for the least; a NaN counts as less than any number.
void argmin(const ConstView& x, const Shape& axes, const View& y);

}  // namespace tapestry::kernels
