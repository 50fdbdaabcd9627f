// Passes never mutate: each rebuilds the graph, copying what is alive and replacing what its rule replaces,
// so dead code is simply never copied.
#pragma once

#include <tapestry/core/tape.hpp>

#include <functional>
#include <optional>
#include <span>

namespace tapestry {

/// Called for each live node, operands first: `inputs` are its operands on the new tape. Returns what stands
/// for the node there, or nothing to copy it.
using RewriteRule = std::function<std::optional<Var>(Tape& tape, const Graph& graph, ValueId id,
                                                     std::span<const Var> inputs)>;

/// `graph` rebuilt by `rule`. All arguments are kept, whether used or not; outputs and updates are mapped.
Graph rewrite(const Graph& graph, const RewriteRule& rule);

/// Copies one node with new operands.
Var copy_node(Tape& tape, const Node& node, std::span<const Var> inputs);

}  // namespace tapestry
