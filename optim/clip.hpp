// Bounding gradients.
#pragma once

#include <tapestry/core/tape.hpp>

#include <span>
#include <vector>

namespace tapestry {

/// The square root of the sum of all squared elements (Pascanu et al., 2013).
Var global_norm(std::span<const Var> gradients);

/// Scaled down together, if need be, so that their global norm is at most `limit` > 0.
std::vector<Var> clip_by_global_norm(std::span<const Var> gradients, double limit);

}  // namespace tapestry
