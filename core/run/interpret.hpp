// The slow and simple way to run a graph: one node at a time, every value in memory of its own. It computes
// constants at compile time, finds the op that made the first NaN, and is what the compiled program is tested
// against.
#pragma once

#include <tapestry/core/graph.hpp>

#include <functional>
#include <span>
#include <vector>

namespace tapestry {

/// Computes a node whose op is a primitive: views in, a tensor out.
Tensor run_op(const Node& node, std::span<const ConstView> inputs);
/// The same for ops with a kernel, into `y`. What a kernel refuses is an error at the node's line.
void run_kernel(const Node& node, std::span<const ConstView> inputs, const View& y);

/// Called with each value as it is computed, in order; may return false to stop.
using Observer = std::function<bool(const Graph&, ValueId, const Tensor&)>;

/// Runs a graph (composed ops are expanded first) on arguments in order; returns the outputs. Updates are not
/// applied. Throws if the arguments' types differ from the declared ones.
std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> arguments,
                              const Observer& observe = {});

/// The values of variables that depend on no input.
std::vector<Tensor> evaluate(std::span<const Var> values);
Tensor evaluate(const Var& value);

}  // namespace tapestry
