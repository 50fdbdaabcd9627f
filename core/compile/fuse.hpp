// Fusing: which nodes run together in one loop. Everything pointwise, every reduction and every broadcast can
// join a loop over the same extents; the fewer loops, the fewer passes over memory. A reduction of the last
// dimensions, short enough, is handed on row by row: what uses it can join the same loop.
#pragma once

#include <tapestry/core/compile/placement.hpp>
#include <tapestry/core/graph.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <optional>
#include <unordered_set>
#include <vector>

namespace tapestry {

/// Nodes that will be one task. If it is a loop all compute in the same kind of register, over the same
/// extents or, where it has rows, once for each row.
struct Group {
  std::vector<ValueId> nodes;  // ascending
  bool is_loop = false;
  Shape extents{};
  int row = kNoRows;  // the first dimension of a row
  kernels::Lane lane{};
  std::size_t instructions = 0;
  std::unordered_set<ValueId> inputs{};  // made elsewhere
};

struct Groups {
  std::vector<Group> order;                         // each after those whose values it reads
  std::vector<std::optional<kernels::Loop>> loops;  // by node: the loop it would be alone
};

/// Without `fuse` each node is a group of its own. Leaves and views are in none.
Groups group_nodes(const Graph& graph, bool fuse);

/// The value in whose memory `id` lies: itself, or what it is a view of.
ValueId storage_of(const Graph& graph, ValueId id);

}  // namespace tapestry
