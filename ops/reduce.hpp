// Reductions over any axes, all of them by default. With keep_dims the reduced axes stay, of extent 1.
#pragma once

#include <tapestry/core/tape.hpp>
#include <tapestry/ops/axes.hpp>

namespace tapestry {

class Registry;

inline constexpr bool kKeepDims = true;

/// The sum of nothing is 0. Integers wrap around.
Var sum(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Sums x over the axes along which `shape` would be broadcast to it.
Var sum_to(const Operand& x, const Shape& shape);
/// The mean of nothing is NaN.
Var mean(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Multiplied pairwise, so that zeros are no special case for any derivative. The product of nothing is 1.
Var prod(const Operand& x, const Axes& axes = {}, bool keep_dims = false);

/// NaN if any element is. The gradient goes to the first of equals in row-major order. Nothing has no
/// maximum: a reduced axis of extent 0 is an error.
Var max(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Var min(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Where the maximum is: an i64, the row-major position within the reduced axes of the first of equals, or of
/// the first NaN.
Var argmax(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Var argmin(const Operand& x, const Axes& axes = {}, bool keep_dims = false);

/// Of bool values; all of nothing is true, any of nothing false.
Var all(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Var any(const Operand& x, const Axes& axes = {}, bool keep_dims = false);

/// The sum of squared distances from the mean, in one pass over memory, as accurate as in two. Equal elements
/// give 0, nothing gives 0, an infinity NaN.
Var squared_deviations(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Their mean; divided by n - correction, so 1 gives the unbiased estimate.
Var var(const Operand& x, const Axes& axes = {}, bool keep_dims = false, double correction = 0);
/// Its square root, the op "std"; the gradient where it is 0 is 0.
Var stddev(const Operand& x, const Axes& axes = {}, bool keep_dims = false, double correction = 0);
/// The Euclidean norm: the root of the sum of squares. The gradient at 0 is 0.
Var norm(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// log(sum(exp(x))), without overflow; infinite values included. A reduced axis of extent 0 is an error.
Var logsumexp(const Operand& x, const Axes& axes = {}, bool keep_dims = false);

void register_reduce(Registry& registry);

}  // namespace tapestry
