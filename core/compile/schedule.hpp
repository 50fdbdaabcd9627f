// From nodes to tasks: what is computed together, and in which order. Everything pointwise and every
// reduction is fused into as few loops as the data flow allows; each other primitive is a task of its own.
#pragma once

#include <tapestry/core/graph.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <optional>
#include <vector>

namespace tapestry {

/// One kernel call.
struct Task {
  std::vector<ValueId> nodes;         // what it computes, in order; some maybe after another task did
  std::vector<ValueId> reads;         // one value for each input of the loop or kernel
  std::vector<ValueId> writes;        // one value for each output
  std::optional<kernels::Loop> loop;  // nothing: the kernel of the only node
};

/// The tasks of a graph of primitives, in order. Without `fuse` each is one node. Leaves and views need no
/// task. With `may_recompute` loops compute again what is cheaper to compute than to read.
std::vector<Task> schedule(const Graph& graph, bool fuse, bool may_recompute = true);

}  // namespace tapestry
