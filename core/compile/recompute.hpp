// Recomputing: a value that an earlier loop would have to store, though it is cheap to make of what is in
// memory anyway, is made again by each loop that reads it.
#pragma once

#include <tapestry/core/compile/fuse.hpp>

namespace tapestry {

/// Fills in what the groups recompute, where that moves fewer bytes, and drops what nobody needs any longer.
/// True if there is anything. With `careful` the loops of tight groups stay as they are; else they may have
/// to store more values or fewer, and then hold more at once than fits.
bool recompute(const Graph& graph, Groups& groups, bool careful = false);

/// Has it rows, so long that what it stores may decide whether its loop fits()?
bool is_tight(const Group& group);

}  // namespace tapestry
