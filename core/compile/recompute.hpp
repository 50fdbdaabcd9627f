// Recomputing: a value that an earlier loop would have to store, though it is cheap to make of what is in
// memory anyway, is made again by each loop that reads it.
#pragma once

#include <tapestry/core/compile/fuse.hpp>

namespace tapestry {

/// Fills in what the groups recompute, where that moves fewer bytes, and drops what nobody needs any longer.
/// True if there is anything.
bool recompute(const Graph& graph, Groups& groups);

}  // namespace tapestry
