// From nodes to tasks: what is computed together, and in which order. Everything pointwise and every
// reduction is fused into as few loops as the data flow allows; each other primitive is a task of its own.
#pragma once

#include <tapestry/core/graph.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace tapestry {

/// One kernel call, or that of a kernel and of the loop that takes its result.
struct Task {
  std::vector<ValueId> nodes;         // what it computes, in order; some maybe after another task did
  std::vector<ValueId> reads;         // one value for each input of the loop or kernel
  std::vector<ValueId> writes;        // one value for each output
  std::optional<kernels::Loop> loop;  // nothing: the kernel of the only node
  /// One of `reads` that is in memory nowhere: a kernel makes it in parts, each of which the loop takes while
  /// it is in cache. The kernel's operands follow the loop's inputs in `reads`.
  std::optional<ValueId> in_parts{};
  std::int64_t rows_of_part = 0;  // of each part but the last
};

/// The value that a kernel makes in it, if one does.
inline std::optional<ValueId> made_by_kernel(const Task& task) {
  return task.loop ? task.in_parts : task.nodes.front();
}

/// The tasks of a graph of primitives, in order. Without `fuse` each is one node. Leaves and views need no
/// task. With `may_recompute` loops compute again what is cheaper to compute than to read.
std::vector<Task> schedule(const Graph& graph, bool fuse, bool may_recompute = true);

}  // namespace tapestry
