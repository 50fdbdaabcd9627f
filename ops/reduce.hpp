// Reductions over any axes, all of them by default.
#pragma once

#include <tapestry/core/tape.hpp>
#include <tapestry/ops/axes.hpp>

namespace tapestry {

class Registry;

/// With keep_dims the reduced axes stay, of extent 1. The sum of nothing is 0.
Var sum(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Sums x over the axes along which `shape` would be broadcast to it.
Var sum_to(const Operand& x, const Shape& shape);

void register_reduce(Registry& registry);

}  // namespace tapestry
